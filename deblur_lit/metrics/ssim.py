"""SSIM by five protocols. Those that `measure` is asked for at once share the local means and variances."""

from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from deblur_lit.metrics.batch import score_batch
from deblur_lit.metrics.levels import LevelPair, Levels
from deblur_lit.metrics.luma import luma
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
    padding = ((0, 0), (RADIUS, RADIUS), (RADIUS, RADIUS))
    restored, sharp = (np.pad(image, padding, mode="edge") for image in pair.rounded)
    kind = np.float64 if height * width < SMALL else np.float32
    tops = range(0, height, STRIP)

    def strip(top: int) -> dict[str, float]:
        rows = slice(top, top + STRIP + 2 * RADIUS)
        moments = _Strip(restored[:, rows], sharp[:, rows], kind)
        return {name: _sum(_FORMS[name], moments, top, height) for name in names}

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
        x: (3, rows + 10, W + 10).
        y: same shape.
        kind: float32, or float64 for small images.
    """

    def __init__(self, x: Levels, y: Levels, kind: type[np.floating[Any]]) -> None:
        self.x, self.y, self.kind = x, y, kind

    @cached_property
    def _gaussian(self) -> list[Moments]:
        colours = zip(self.x, self.y, strict=True)
        return [gaussian_moments(*_sum_and_difference(x, y, self.kind)) for x, y in colours]

    def gaussian(self) -> Iterable[Moments]:
        return self._gaussian

    def sample(self) -> Iterable[Moments]:
        for colour in self._gaussian:
            yield colour._replace(variance_s=colour.variance_s * SAMPLE, variance_d=colour.variance_d * SAMPLE)

    def over_colours(self) -> Iterable[Moments]:
        """Continue the window over the colours: a variance is the mean variance plus the variance of the means."""
        means_s, means_d, variances_s, variances_d = zip(*self._gaussian, strict=True)
        apart_s, apart_d = _apart(means_s), _apart(means_d)
        for weights in COLOUR_MIX:
            both = [*weights, *(weights[i] * weights[j] for i, j in COLOUR_PAIRS)]
            yield Moments(
                _weighted(weights, means_s),
                _weighted(weights, means_d),
                _weighted(both, [*variances_s, *apart_s]),
                _weighted(both, [*variances_d, *apart_d]),
            )

    def box(self) -> Iterable[Moments]:
        for x, y in zip(self.x, self.y, strict=True):
            yield box_moments(*_sum_and_difference(x, y, np.int32))

    def luma(self) -> Iterable[Moments]:
        """In float64, because luma is no whole number, and its square not exact in float32."""
        yield gaussian_moments(*_sum_and_difference(luma(self.x), luma(self.y), np.float64))


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
    "ssim_gauss_samplecov_rgb": _Form(_Strip.sample, RADIUS),
    "ssim_uniform7_rgb": _Form(_Strip.box, BOX // 2, 3, C1 * BOX**4, C2 * BOX**2 * (BOX**2 - 1)),
    "ssim_y601_valid": _Form(_Strip.luma, RADIUS, 1),
}


def _windows(form: _Form, height: int, width: int) -> int:
    return (height - 2 * form.edge) * (width - 2 * form.edge) * form.planes


def _sum(form: _Form, strip: _Strip, top: int, height: int) -> float:
    """Sum of 1 - SSIM over the windows of a strip whose first row is `top`."""
    total = 0.0
    for moments in form.moments(strip):
        plane = dissimilarity(moments, form.c1, form.c2)
        rows = slice(max(form.edge - top, 0), max(height - form.edge - top, 0))
        total += float(plane[rows, RADIUS + form.edge : plane.shape[1] - RADIUS - form.edge].sum())
    return total


def _sum_and_difference(x: Plane, y: Plane, kind: type[np.number[Any]]) -> tuple[Plane, Plane]:
    x = x.astype(kind)
    return x + y, x - y


def _apart(means: Sequence[Plane]) -> list[Plane]:
    return [np.square(means[i] - means[j]) for i, j in COLOUR_PAIRS]


def _weighted(weights: Iterable[float], planes: Iterable[Plane]) -> Plane:
    parts = [plane * float(weight) for weight, plane in zip(weights, planes, strict=True)]
    for part in parts[1:]:
        parts[0] += part
    return parts[0]
