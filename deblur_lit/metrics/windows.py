"""Means, variances and SSIM under a sliding window, for tiles of an image: the arithmetic of all SSIM protocols.

Two images x and y enter as their sum s and difference d, because then SSIM needs two variances and no covariance:
2 mean_x mean_y = (mean_s^2 - mean_d^2) / 2, and so on for x^2 + y^2 and the covariance.
"""

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deblur_lit.metrics.scratch import Scratch

Plane = NDArray[Any]  # (H, W)
Moments = NDArray[Any]  # (4, h, w + 10): local means of s and d, then local variances of s and d, in levels

RADIUS, SIGMA = 5, 1.5  # Gaussian window, pixels
BOX = 7  # side of the square window, pixels
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2  # Wang et al., IEEE TIP 2004, for levels 0..255

_GAUSSIAN = [math.exp(-(offset**2) / (2 * SIGMA**2)) for offset in range(-RADIUS, RADIUS + 1)]
TAPS = np.array(_GAUSSIAN) / sum(_GAUSSIAN)  # of the Gaussian window along one axis
_EXCESS = np.cumsum(np.cumsum(TAPS - np.eye(1, 2 * RADIUS + 1, RADIUS)[0]))[: 2 * RADIUS - 1]
# The window minus its centre pixel is a second difference (1, -2, 1) followed by these 9 taps. They are symmetric to
# the last bit, because OpenCV takes twice as long over taps that are not.
EXCESS_TAPS = (_EXCESS + _EXCESS[::-1]) / 2
_ONE = np.ones(1)


def sum_and_difference(x: Plane, y: Plane, kind: type[np.number[Any]], scratch: Scratch) -> Plane:
    """Return s = x + y and d = x - y, (2, h + 10, w + 10).

    Args:
        x: (h + 10, w + 10), a tile of one colour with 5 pixels more on each side; beyond the image's border its
            pixels are repeated.
        y: same shape.
        kind: holds the squares exactly, if x and y are whole numbers.
        scratch: where the result lies.
    """
    planes = scratch.take("sum and difference", (2, *x.shape), kind)
    np.add(x, y, out=planes[0], dtype=kind)
    np.subtract(x, y, out=planes[1], dtype=kind)
    return planes


def gaussian_moments(planes: Plane, moments: Moments, scratch: Scratch) -> None:
    """Write the moments under the 11 x 11 Gaussian window.

    A variance is a small difference of large means of squares. Here each window is centred on its own pixel,
    so that nothing large is subtracted: float32 gives SSIM to 1e-8 where float32 means of squares are off by 1e-6.

    Args:
        planes: (2, h + 10, w + 10), of `sum_and_difference`; overwritten.
        moments: (4, h, w + 10), result. The columns keep their margin, since arrays without gaps are handled several
            times faster.
        scratch: for what lies between.
    """
    excess = scratch.take("excess", planes.shape[1:], planes.dtype.type)
    centre, inner = planes[:, RADIUS:-RADIUS], excess[RADIUS:-RADIUS]
    for i, (mean, variance) in enumerate(zip(moments[:2], moments[2:], strict=True)):
        _excess(planes[i], excess, scratch)
        np.add(centre[i], inner, out=mean)
        np.add(centre[i], mean, out=variance)
        variance *= inner
        _excess(np.square(planes[i], out=planes[i]), excess, scratch)
        np.subtract(inner, variance, out=variance)


def _excess(plane: Plane, result: Plane, scratch: Scratch) -> None:
    """Window mean minus the pixel itself, exactly 0 where the window is flat: two second differences, smoothed."""
    bend, work = (scratch.take(name, plane.shape, plane.dtype.type) for name in ("bend", "work"))
    _second_difference(plane, 1, work, bend)
    bend[:, 0] = bend[:, -1] = 0  # not the difference to the next row: pixels repeat
    cv2.sepFilter2D(bend, -1, EXCESS_TAPS, TAPS, dst=result, borderType=cv2.BORDER_REPLICATE)
    _second_difference(plane, plane.shape[1], work, bend)
    cv2.sepFilter2D(bend, -1, _ONE, EXCESS_TAPS, dst=work, borderType=cv2.BORDER_REPLICATE)
    result += work


def _second_difference(plane: Plane, step: int, work: Plane, result: Plane) -> None:
    flat, slope, result = plane.ravel(), work.ravel()[step:], result.ravel()
    np.subtract(flat[step:], flat[:-step], out=slope)
    np.subtract(slope[step:], slope[:-step], out=result[step:-step])
    result[:step] = result[-step:] = 0


def box_moments(planes: NDArray[np.int32], moments: Moments, scratch: Scratch) -> None:
    """Write the moments under the 7 x 7 window, exactly.

    They come as whole numbers: the means times 49, the variances (of samples, divisor 48) times 49 * 48.
    The largest, 49^2 * 510^2, fits into 32 bits. The arguments are those of `gaussian_moments`.
    """
    total = scratch.take("total", planes.shape[1:], np.int32)
    inner = total[RADIUS:-RADIUS]
    for plane, mean, variance in zip(planes, moments[:2], moments[2:], strict=True):
        _box_sum(plane, total)
        mean[:] = inner
        _box_sum(np.square(plane, out=plane), total)
        np.multiply(inner, BOX**2, out=variance)
        variance -= np.square(mean, out=inner)


def _box_sum(plane: NDArray[np.int32], result: NDArray[np.int32]) -> None:
    cv2.boxFilter(plane, -1, (BOX, BOX), dst=result, normalize=False, borderType=cv2.BORDER_REPLICATE)


def dissimilarity(moments: Moments, c1: float, c2: float, scratch: Scratch) -> Plane:
    """Return 1 - SSIM of every window, float64; exactly 0 where x = y.

    Args:
        moments: of s and d.
        c1: the constant beside the squared means, in their unit.
        c2: the constant beside the variances, in their unit.
        scratch: where the result lies.
    """
    # Not float32, whose rounding is the same all over a flat image and would not average away.
    exact = scratch.take("exact", moments.shape, np.float64)
    exact[:] = moments
    luminance, luminance_d, contrast, contrast_d = exact
    np.square(exact[:2], out=exact[:2])
    luminance += 2 * c1
    contrast += 2 * c2
    difference = scratch.take("difference", luminance.shape, np.float64)
    np.multiply(luminance, contrast_d, out=difference)
    luminance += luminance_d
    luminance_d *= contrast
    difference += luminance_d
    contrast += contrast_d
    luminance *= contrast
    difference /= luminance
    difference *= 2
    return difference
