"""SSIM by five protocols. Those that `measure` is asked for at once share the local means and variances."""

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
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
    Planes,
    box_moments,
    dissimilarity,
    gaussian_moments,
)

if TYPE_CHECKING:
    from torch import Tensor

STRIP = 32  # rows that are handled at once, so that they stay in a core's cache
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


class _Form(NamedTuple):
    """What tells one SSIM from another: the windows that lie in the image, and what runs through them."""

    edge: int  # pixels without a window at each border
    colours: int  # maps that are averaged


_FORMS = {
    "ssim_matlab_volume": _Form(0, 3),
    "ssim_gauss_valid_rgb": _Form(RADIUS, 3),
    "ssim_gauss_samplecov_rgb": _Form(RADIUS, 3),
    "ssim_uniform7_rgb": _Form(BOX // 2, 3),
    "ssim_y601_valid": _Form(RADIUS, 1),
}


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
        return _strip(restored[:, rows], sharp[:, rows], top, height, names, kind)

    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            strips = list(pool.map(strip, tops))
    else:
        strips = [strip(top) for top in tops]
    areas = {name: (height - 2 * _FORMS[name].edge) * (width - 2 * _FORMS[name].edge) for name in names}
    return {name: 1 - sum(found[name] for found in strips) / (areas[name] * _FORMS[name].colours) for name in names}


def _strip(
    x: Levels, y: Levels, top: int, height: int, names: Collection[str], kind: type[np.floating[Any]]
) -> dict[str, float]:
    """Sum of 1 - SSIM over the windows of a strip, (3, rows + 10, W + 10), whose first row is `top`."""
    maps: dict[str, Planes] = {}
    if set(names) & {"ssim_matlab_volume", "ssim_gauss_valid_rgb", "ssim_gauss_samplecov_rgb"}:
        moments = gaussian_moments(*_sum_and_difference(x, y, kind))
        for name, form in _GAUSSIAN.items():
            if name in names:
                maps[name] = dissimilarity(form(moments))
    if "ssim_uniform7_rgb" in names:
        moments = box_moments(*_sum_and_difference(x, y, np.int32))
        maps["ssim_uniform7_rgb"] = dissimilarity(moments, C1 * BOX**4, C2 * BOX**2 * (BOX**2 - 1))
    if "ssim_y601_valid" in names:  # float64, because luma is no whole number, and its square not exact in float32
        moments = gaussian_moments(*_sum_and_difference(luma(x)[None], luma(y)[None], np.float64))
        maps["ssim_y601_valid"] = dissimilarity(moments)
    return {name: _inside(maps[name], _FORMS[name].edge, top, height) for name in names}


def _inside(plane: Planes, edge: int, top: int, height: int) -> float:
    """Sum of a strip's map over the pixels that are not within `edge` of the image's border."""
    rows = slice(max(edge - top, 0), height - edge - top if height - edge > top else 0)
    columns = slice(RADIUS + edge, plane.shape[2] - RADIUS - edge)
    return float(plane[:, rows, columns].sum(dtype=np.float64))


def _sum_and_difference(x: Planes, y: Planes, kind: type[np.number[Any]]) -> tuple[Planes, Planes]:
    x = x.astype(kind)
    return x + y, x - y


def _sample(moments: Moments) -> Moments:
    return moments._replace(variance_s=moments.variance_s * SAMPLE, variance_d=moments.variance_d * SAMPLE)


def _over_colours(moments: Moments) -> Moments:
    """Continue the window over the colours: a variance is the mean variance plus the variance of the means."""
    mean_s, variance_s = _mix(moments.mean_s, moments.variance_s)
    mean_d, variance_d = _mix(moments.mean_d, moments.variance_d)
    return Moments(mean_s, mean_d, variance_s, variance_d)


def _mix(mean: Planes, variance: Planes) -> tuple[Planes, Planes]:
    apart = [np.square(mean[i] - mean[j]) for i, j in COLOUR_PAIRS]
    means, variances = np.empty_like(mean), np.empty_like(variance)
    for to, weights in enumerate(COLOUR_MIX):
        between = [weights[i] * weights[j] for i, j in COLOUR_PAIRS]
        means[to] = _weighted(weights, mean)
        variances[to] = _weighted([*weights, *between], [*variance, *apart])
    return means, variances


def _weighted(weights: Collection[float], planes: Any) -> Planes:
    total: Planes = sum(plane * float(weight) for weight, plane in zip(weights, planes, strict=True))
    return total


_GAUSSIAN: dict[str, Callable[[Moments], Moments]] = {
    "ssim_matlab_volume": _over_colours,
    "ssim_gauss_valid_rgb": lambda moments: moments,
    "ssim_gauss_samplecov_rgb": _sample,
}
