"""SSIM by five protocols. Those that `measure` is asked for at once share the local means and variances."""

from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from deblur_lit.metrics.batch import score_batch
from deblur_lit.metrics.levels import LevelPair, Levels
from deblur_lit.metrics.luma import luma
from deblur_lit.metrics.scratch import Scratch, lend
from deblur_lit.metrics.windows import (
    BOX,
    C1,
    C2,
    RADIUS,
    TAPS,
    Moments,
    Plane,
    box_moments,
    dissimilarity,
    gaussian_moments,
    sum_and_difference,
)

if TYPE_CHECKING:
    from torch import Tensor

TILE = 360, 640  # rows and columns of a colour that are handled at once, so that they stay in a core's cache
SMALL = 256**2  # pixels; a mean over fewer does not average the rounding of float32 away, so they get float64
SAMPLE = 121 / 120  # variance of samples over that of a population, for 11 x 11 pixels
# The Gaussian taps along the colours as a 3x3 matrix: red and blue repeat beyond the ends, so that taps add up.
# Python's floats, for numpy's would take float32 planes to float64 and back.
COLOUR_MIX = [
    [
        sum(tap for i, tap in enumerate(TAPS.tolist(), start=to - RADIUS) if min(max(i, 0), 2) == source)
        for source in range(3)
    ]
    for to in range(3)
]
COLOUR_PAIRS = ((0, 1), (0, 2), (1, 2))


def ssim_matlab_volume(restored: "Tensor", sharp: "Tensor") -> "Tensor":
    """Return MATLAB's `ssim` of 8-bit RGB images, one value per image.

    MATLAB takes an H x W x 3 array for a volume: the Gaussian window has 11 x 11 x 11 taps and runs over the
    colours too, so "variance" holds the difference between colours, which blur hardly changes. Values lie
    0.02 to 0.03 above SSIM per channel. Sigma 1.5, K1 0.01, K2 0.03, levels 0..255, border voxels repeated on
    all three axes, population moments, mean over all H x W x 3 positions without a crop. This is the protocol
    of the GoPro column of MPRNet, Restormer, NAFNet, HINet, SRN, DMPHN and Nah et al.

    Args:
        restored: (B, 3, H, W) of any size, float nominally in [0, 1] (clamped and rounded to 8 bits here), or
            uint8.
        sharp: same shape, float or uint8.

    Returns:
        (B,) float64 in [-1, 1], 1 for identical images.

    Raises:
        ValueError: if the shapes differ, are not (B, 3, H, W), or an image is neither float nor uint8.

    Source: MATLAB documentation of `ssim`; github.com/SeungjunNah/DeepDeblur_release, issue 51.

    Example:
        >>> import torch
        >>> black = torch.zeros(1, 3, 4, 4)
        >>> ssim_matlab_volume(black + 0.02, black)  # 5 levels, no contrast: C1 / (5^2 + C1)
        tensor([0.2064], dtype=torch.float64)
    """
    return score_batch(measure, "ssim_matlab_volume", restored, sharp)


def ssim_gauss_valid_rgb(restored: "Tensor", sharp: "Tensor") -> "Tensor":
    """Return SSIM as Wang et al. define it, of each colour by itself, one mean per image.

    As `ssim_matlab_volume`, but the 11 x 11 window does not run over the colours, and only windows that lie within
    the image count: 5 pixels at each border have none. The protocol of DeepDeblur-PyTorch and BasicSR's
    `calculate_ssim`; scikit-image's with gaussian_weights, sigma 1.5 and use_sample_covariance False.

    Raises:
        ValueError: as `ssim_matlab_volume`, and if a side is shorter than 11 pixels.

    Source: Wang et al., IEEE TIP 13(4), 2004.

    Example:
        >>> import torch
        >>> black = torch.zeros(1, 3, 16, 16)
        >>> ssim_gauss_valid_rgb(black, black)
        tensor([1.], dtype=torch.float64)
    """
    return score_batch(measure, "ssim_gauss_valid_rgb", restored, sharp)


def ssim_gauss_samplecov_rgb(restored: "Tensor", sharp: "Tensor") -> "Tensor":
    """Return `ssim_gauss_valid_rgb` with variances of samples, 121 / 120 of those of a population.

    scikit-image's with gaussian_weights alone, which SDWNet reports.
    """
    return score_batch(measure, "ssim_gauss_samplecov_rgb", restored, sharp)


def ssim_uniform7_rgb(restored: "Tensor", sharp: "Tensor") -> "Tensor":
    """Return `ssim_gauss_valid_rgb` under a square window of 7 x 7 equal weights, with variances of samples.

    scikit-image's without options; DeblurGAN-v2's during training.

    Raises:
        ValueError: as `ssim_matlab_volume`, and if a side is shorter than 7 pixels.
    """
    return score_batch(measure, "ssim_uniform7_rgb", restored, sharp)


def ssim_y601_valid(restored: "Tensor", sharp: "Tensor") -> "Tensor":
    """Return `ssim_gauss_valid_rgb` of the BT.601 luma (16..235, not rounded) alone.

    The protocol of deraining papers, BasicSR's `test_y_channel`; no deblurring table reports it.
    """
    return score_batch(measure, "ssim_y601_valid", restored, sharp)


def measure(pair: LevelPair, names: Collection[str], threads: int = 1) -> dict[str, float]:
    """Return the SSIM of one pair by each of the protocols `names`.

    Args:
        pair: of any size, if the protocols repeat the border; else not smaller than their window.
        names: protocols of this module.
        threads: how many tiles are worked on at once. The result does not depend on it.

    Raises:
        ValueError: if the image is smaller than the window.
    """
    height, width = pair.size
    for name in names:
        side = 2 * _FORMS[name].edge + 1
        if min(height, width) < side:
            raise ValueError(f"{name} needs images of {side} x {side} pixels or more, this one is {width}x{height}")
    kind = np.float64 if height * width < SMALL else np.float32
    restored, sharp = (_padded(image) for image in pair.rounded)

    def tile(corner: tuple[int, int]) -> dict[str, float]:
        with lend() as scratch:
            moments = _Tile(restored, sharp, corner, kind, scratch)
            return {name: _sum(_FORMS[name], moments) for name in names}

    corners = [(top, left) for top in range(0, height, TILE[0]) for left in range(0, width, TILE[1])]
    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            tiles = list(pool.map(tile, corners))
    else:
        tiles = [tile(corner) for corner in corners]
    total = {name: sum(found[name] for found in tiles) for name in names}
    return {name: 1 - total[name] / _windows(_FORMS[name], height, width) for name in names}


class _Tile:
    """The local means and variances of a tile, for one colour after the other; protocols share the Gaussian ones.

    Args:
        restored: (3, H + 10, W + 10), the whole image with RADIUS pixels more on each side.
        sharp: same shape.
        corner: first row and column of the tile.
        kind: float32, or float64 for small images.
        scratch: where everything lies. What is yielded is valid until the next is.
    """

    def __init__(
        self,
        restored: Levels,
        sharp: Levels,
        corner: tuple[int, int],
        kind: type[np.floating[Any]],
        scratch: Scratch,
    ) -> None:
        self.kind, self.scratch = kind, scratch
        self.corner, self.image = corner, tuple(side - 2 * RADIUS for side in restored.shape[1:])
        rows, columns = (slice(first, first + side + 2 * RADIUS) for first, side in zip(corner, TILE, strict=True))
        self.x, self.y = restored[:, rows, columns], sharp[:, rows, columns]
        self.shape = (4, *self.x.shape[1:])  # of moments

    def windows(self, edge: int) -> tuple[slice, slice]:
        """Rows and columns of the moments whose pixels lie `edge` or more from the border of the image."""
        rows, columns = (
            slice(max(edge - first, 0) + RADIUS, max(min(side, size - edge - first), 0) + RADIUS)
            for first, side, size in zip(self.corner, TILE, self.image, strict=True)
        )
        return rows, columns

    @cached_property
    def _gaussian(self) -> NDArray[Any]:
        """Moments of each colour, (3, 4, h + 10, w + 10)."""
        moments = self.scratch.take("gaussian", (3, *self.shape), self.kind)
        for x, y, colour in zip(self.x, self.y, moments, strict=True):
            gaussian_moments(sum_and_difference(x, y, self.kind, self.scratch), colour, self.scratch)
        return moments

    def gaussian(self) -> Iterable[Moments]:
        return self._gaussian

    def over_colours(self) -> Iterable[Moments]:
        """Continue the window over the colours: a variance is the mean variance plus the variance of the means."""
        apart = self.scratch.take("apart", (2, 3, *self.shape[1:]), self.kind)
        for i in range(2):
            for square, (one, other) in zip(apart[i], COLOUR_PAIRS, strict=True):
                np.subtract(self._gaussian[one, i], self._gaussian[other, i], out=square)
                np.square(square, out=square)
        mixed = self.scratch.take("mixed", self.shape, self.kind)
        work = self.scratch.take("part", self.shape[1:], self.kind)
        for weights in COLOUR_MIX:
            both = [*weights, *(weights[one] * weights[other] for one, other in COLOUR_PAIRS)]
            for i in range(2):
                _weighted(weights, self._gaussian[:, i], work, mixed[i])
                _weighted(both, [*self._gaussian[:, 2 + i], *apart[i]], work, mixed[2 + i])
            yield mixed

    def box(self) -> Iterable[Moments]:
        moments = self.scratch.take("box", self.shape, self.kind)
        for x, y in zip(self.x, self.y, strict=True):
            box_moments(sum_and_difference(x, y, np.int32, self.scratch), moments, self.scratch)
            yield moments

    def luma(self) -> Iterable[Moments]:
        """In float64, because luma is no whole number, and its square not exact in float32."""
        works = (
            self.scratch.take(name, (2, *self.x.shape[1:]), np.float64) for name in ("luma restored", "luma sharp")
        )
        x, y = (luma(image, work) for image, work in zip((self.x, self.y), works, strict=True))
        moments = self.scratch.take("of luma", self.shape, np.float64)
        gaussian_moments(sum_and_difference(x, y, np.float64, self.scratch), moments, self.scratch)
        yield moments


class _Form(NamedTuple):
    """What tells one SSIM from another."""

    moments: Callable[[_Tile], Iterable[Moments]]  # of each plane whose windows are averaged
    edge: int  # pixels without a window at each border
    planes: int = 3
    c1: float = C1
    c2: float = C2


_FORMS = {
    "ssim_matlab_volume": _Form(_Tile.over_colours, 0),
    "ssim_gauss_valid_rgb": _Form(_Tile.gaussian, RADIUS),
    "ssim_gauss_samplecov_rgb": _Form(_Tile.gaussian, RADIUS, 3, C1, C2 / SAMPLE),
    "ssim_uniform7_rgb": _Form(_Tile.box, BOX // 2, 3, C1 * BOX**4, C2 * BOX**2 * (BOX**2 - 1)),
    "ssim_y601_valid": _Form(_Tile.luma, RADIUS, 1),
}


def _windows(form: _Form, height: int, width: int) -> int:
    return (height - 2 * form.edge) * (width - 2 * form.edge) * form.planes


def _sum(form: _Form, tile: _Tile) -> float:
    """Sum of 1 - SSIM over the windows of a tile."""
    rows, columns = tile.windows(form.edge)
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return 0.0
    halves = (dissimilarity(moments, form.c1, form.c2, tile.scratch) for moments in form.moments(tile))
    return 2 * sum(cv2.sumElems(half[rows, columns])[0] for half in halves)  # adds up in float64


def _padded(image: Levels) -> Levels:
    """Return an image with RADIUS pixels more on each side, repeated from its border."""
    height, width = image.shape[1:]
    padded = np.empty((3, height + 2 * RADIUS, width + 2 * RADIUS), np.uint8)
    for plane, result in zip(image, padded, strict=True):
        cv2.copyMakeBorder(plane, RADIUS, RADIUS, RADIUS, RADIUS, cv2.BORDER_REPLICATE, dst=result)
    return padded


def _weighted(weights: Iterable[float], planes: Iterable[Plane], work: Plane, result: Plane) -> None:
    result[:] = 0
    for weight, plane in zip(weights, planes, strict=True):
        result += np.multiply(plane, weight, out=work)
