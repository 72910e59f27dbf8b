"""SSIM by five protocols. Those that `measure` is asked for at once share the local means and variances."""

from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np

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
    Planes,
    box_moments,
    dissimilarity,
    gaussian_moments,
    stack,
)

if TYPE_CHECKING:
    from torch import Tensor

STRIP = 64  # rows of a colour that are handled at once, so that they stay in a core's cache
SMALL = 256**2  # pixels; a mean over fewer does not average the rounding of float32 away, so they get float64
SAMPLE = 121 / 120  # variance of samples over that of a population, for 11 x 11 pixels
# The Gaussian taps along the colours as a 3x3 matrix: red and blue repeat beyond the ends, so that taps add up.
COLOUR_MIX = [
    [sum(tap for i, tap in enumerate(TAPS, start=to - RADIUS) if min(max(i, 0), 2) == source) for source in range(3)]
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
        threads: how many strips are worked on at once. The result does not depend on it.

    Raises:
        ValueError: if the image is smaller than the window.
    """
    height, width = pair.size
    for name in names:
        side = 2 * _FORMS[name].edge + 1
        if min(height, width) < side:
            raise ValueError(f"{name} needs images of {side} x {side} pixels or more, this one is {width}x{height}")
    kind = np.float64 if height * width < SMALL else np.float32

    def strip(top: int) -> dict[str, float]:
        with lend() as scratch:
            moments = _Strip(*pair.rounded, top, kind, scratch)
            return {name: _sum(_FORMS[name], moments, height, scratch) for name in names}

    tops = range(0, height, STRIP)
    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            strips = list(pool.map(strip, tops))
    else:
        strips = [strip(top) for top in tops]
    total = {name: sum(found[name] for found in strips) for name in names}
    return {name: 1 - total[name] / _windows(_FORMS[name], height, width) for name in names}


class _Strip:
    """The local means and variances of a strip, for one colour after the other; protocols share the Gaussian ones.

    Args:
        restored: (3, H, W), the whole image.
        sharp: same shape.
        top: first row of the strip.
        kind: float32, or float64 for small images.
        scratch: where everything lies. What is yielded is valid until the next is.
    """

    def __init__(
        self, restored: Levels, sharp: Levels, top: int, kind: type[np.floating[Any]], scratch: Scratch
    ) -> None:
        self.top, self.kind, self.scratch = top, kind, scratch
        self.x, self.y = self._padded("restored", restored), self._padded("sharp", sharp)
        rows, columns = self.x.shape[1:]
        self.shape = (4, rows - 2 * RADIUS, columns)  # of moments

    def _padded(self, name: str, image: Levels) -> Levels:
        """Return the strip with RADIUS pixels more on each side, repeated beyond the border of the image."""
        height, width = image.shape[1:]
        bottom = min(self.top + STRIP, height)
        first, last = max(self.top - RADIUS, 0), min(bottom + RADIUS, height)
        above, below = first - (self.top - RADIUS), bottom + RADIUS - last
        padded = self.scratch.take(name, (3, bottom - self.top + 2 * RADIUS, width + 2 * RADIUS), np.uint8)
        for plane, result in zip(image[:, first:last], padded, strict=True):
            cv2.copyMakeBorder(plane, above, below, RADIUS, RADIUS, cv2.BORDER_REPLICATE, dst=result)
        return padded

    @cached_property
    def _gaussian(self) -> Planes:
        """Moments of each colour, (3, 4, h, W + 10)."""
        moments = self.scratch.take("gaussian", (3, *self.shape), self.kind)
        for x, y, colour in zip(self.x, self.y, moments, strict=True):
            gaussian_moments(stack(x, y, self.kind, self.scratch), colour, self.scratch)
        return moments

    def gaussian(self) -> Iterable[Moments]:
        return self._gaussian

    def over_colours(self) -> Iterable[Moments]:
        """Continue the window over the colours: a variance is the mean variance plus the variance of the means."""
        colours = self._gaussian
        apart = self.scratch.take("apart", (3, 2, *self.shape[1:]), self.kind)
        mixed, part = (self.scratch.take(name, self.shape, self.kind) for name in ("mixed", "part"))
        for squares, (i, j) in zip(apart, COLOUR_PAIRS, strict=True):
            np.subtract(colours[i, :2], colours[j, :2], out=squares)
            np.square(squares, out=squares)
        for weights in COLOUR_MIX:
            np.multiply(colours[0], weights[0], out=mixed)
            for weight, colour in zip(weights[1:], colours[1:], strict=True):
                mixed += np.multiply(colour, weight, out=part)
            for squares, (i, j) in zip(apart, COLOUR_PAIRS, strict=True):
                mixed[2:] += np.multiply(squares, weights[i] * weights[j], out=part[2:])
            yield mixed

    def box(self) -> Iterable[Moments]:
        moments = self.scratch.take("box", self.shape, np.int32)
        for x, y in zip(self.x, self.y, strict=True):
            box_moments(stack(x, y, np.int32, self.scratch), moments, self.scratch)
            yield moments

    def luma(self) -> Iterable[Moments]:
        """In float64, because luma is no whole number, and its square not exact in float32."""
        works = (
            self.scratch.take(name, (2, *self.x.shape[1:]), np.float64) for name in ("luma restored", "luma sharp")
        )
        x, y = (luma(image, work) for image, work in zip((self.x, self.y), works, strict=True))
        moments = self.scratch.take("of luma", self.shape, np.float64)
        gaussian_moments(stack(x, y, np.float64, self.scratch), moments, self.scratch)
        yield moments


class _Form(NamedTuple):
    """What tells one SSIM from another."""

    moments: Callable[[_Strip], Iterable[Moments]]  # of each plane whose windows are averaged
    edge: int  # pixels without a window at each border
    planes: int = 3
    c1: float = C1
    c2: float = C2


_FORMS = {
    "ssim_matlab_volume": _Form(_Strip.over_colours, 0),
    "ssim_gauss_valid_rgb": _Form(_Strip.gaussian, RADIUS),
    "ssim_gauss_samplecov_rgb": _Form(_Strip.gaussian, RADIUS, 3, C1, C2 / SAMPLE),
    "ssim_uniform7_rgb": _Form(_Strip.box, BOX // 2, 3, C1 * BOX**4, C2 * BOX**2 * (BOX**2 - 1)),
    "ssim_y601_valid": _Form(_Strip.luma, RADIUS, 1),
}


def _windows(form: _Form, height: int, width: int) -> int:
    return (height - 2 * form.edge) * (width - 2 * form.edge) * form.planes


def _sum(form: _Form, strip: _Strip, height: int, scratch: Scratch) -> float:
    """Sum of 1 - SSIM over the windows of a strip of an image of `height` rows."""
    total = 0.0
    for moments in form.moments(strip):
        plane = dissimilarity(moments, form.c1, form.c2, scratch)
        rows = slice(max(form.edge - strip.top, 0), max(height - form.edge - strip.top, 0))
        total += float(plane[rows, RADIUS + form.edge : plane.shape[1] - RADIUS - form.edge].sum())
    return total
