"""Means, variances and SSIM under a sliding window, for tiles of an image: the arithmetic of all SSIM protocols.

Two images x and y enter as their sum s and difference d, because then SSIM needs two variances and no covariance:
2 mean_x mean_y = (mean_s^2 - mean_d^2) / 2, and so on for x^2 + y^2 and the covariance.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deblur_lit.metrics.scratch import Scratch

Plane = NDArray[Any]  # (H, W)
Moments = NDArray[Any]  # (4, H, W): local means of s and d, then local variances of s and d, in levels

RADIUS, SIGMA = 5, 1.5  # Gaussian window, pixels
BOX = 7  # side of the square window, pixels
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2  # Wang et al., IEEE TIP 2004, for levels 0..255

_GAUSSIAN = np.exp(-(np.arange(-RADIUS, RADIUS + 1) ** 2) / (2 * SIGMA**2))
TAPS = _GAUSSIAN / _GAUSSIAN.sum()  # of the Gaussian window along one axis
# The window minus its centre pixel, as 10 taps on the differences from pixel to pixel.
EXCESS_TAPS = -np.cumsum(TAPS - np.eye(1, 2 * RADIUS + 1, RADIUS)[0])[:-1]
_DEPTHS = {np.dtype(np.float32): cv2.CV_32F, np.dtype(np.float64): cv2.CV_64F, np.dtype(np.int32): cv2.CV_32S}


def sum_and_difference(x: Plane, y: Plane, kind: type[np.number[Any]], scratch: Scratch) -> Plane:
    """Return s = x + y and d = x - y, (2, H, W).

    Args:
        x: (H, W), one colour.
        y: same shape and dtype.
        kind: holds the squares exactly, if x and y are whole numbers.
        scratch: where the result lies.
    """
    planes = scratch.take("sum and difference", (2, *x.shape), kind)
    depth = _DEPTHS[np.dtype(kind)]
    cv2.add(x, y, dst=planes[0], dtype=depth)
    cv2.subtract(x, y, dst=planes[1], dtype=depth)
    return planes


def gaussian_moments(planes: Plane, moments: Moments, scratch: Scratch) -> None:
    """Write the moments under the 11 x 11 Gaussian window. They are of no use within 5 pixels of the planes' border.

    A variance is a small difference of large means of squares. Here each window is centred on its own pixel,
    so that nothing large is subtracted: float32 gives SSIM to 1e-8 where float32 means of squares are off by 1e-6.

    Args:
        planes: (2, H, W), of `sum_and_difference`; overwritten.
        moments: (4, H, W), result.
        scratch: for what lies between.
    """
    means, variances = moments[:2], moments[2:]
    excess = scratch.take("excess", planes.shape, planes.dtype.type)
    _excess(planes, excess, scratch)
    np.add(planes, excess, out=means)
    np.add(planes, means, out=variances)
    variances *= excess
    _excess(np.square(planes, out=planes), excess, scratch)
    np.subtract(excess, variances, out=variances)


def _excess(planes: Plane, result: Plane, scratch: Scratch) -> None:
    """Window mean minus the pixel itself, exactly 0 where the window is flat: along the rows, then down the columns."""
    steps, work = (scratch.take(name, planes.shape, planes.dtype.type) for name in ("steps", "work"))
    flat = planes.ravel()  # far faster than with gaps; what comes from the next row or plane falls on the border
    np.subtract(flat[1:], flat[:-1], out=steps.ravel()[:-1])
    steps[:, :, -1] = 0
    _filter(steps, EXCESS_TAPS[None], result)
    np.add(planes, result, out=work)
    np.subtract(work[:, 1:], work[:, :-1], out=steps[:, :-1])
    steps[:, -1] = 0
    _filter(steps, EXCESS_TAPS[:, None], work)
    result += work


def _filter(planes: Plane, taps: Plane, result: Plane) -> None:
    """Let the 6th of 10 taps lie on the pixel."""
    rows, columns = len(planes) * planes.shape[1], planes.shape[2]
    anchor = (min(taps.shape[1] - 1, RADIUS), min(taps.shape[0] - 1, RADIUS))
    cv2.filter2D(planes.reshape(rows, columns), -1, taps, dst=result.reshape(rows, columns), anchor=anchor)


def box_moments(planes: NDArray[np.int32], moments: Moments, scratch: Scratch) -> None:
    """Write the moments under the 7 x 7 window, exactly but for the last rounding.

    The means come times 49, the variances (of samples, divisor 48) times 49 * 48. The largest whole number on the
    way, 49^2 * 510^2, fits into 32 bits. The arguments are those of `gaussian_moments`.
    """
    total, total_square = scratch.take("totals", planes.shape, np.int32)
    for plane, mean, variance in zip(planes, moments[:2], moments[2:], strict=True):
        _box_sum(plane, total)
        mean[:] = total
        _box_sum(np.square(plane, out=plane), total_square)
        total_square *= BOX**2
        total_square -= np.square(total, out=total)
        variance[:] = total_square


def _box_sum(plane: NDArray[np.int32], result: NDArray[np.int32]) -> None:
    cv2.boxFilter(plane, -1, (BOX, BOX), dst=result, normalize=False, borderType=cv2.BORDER_REPLICATE)


def dissimilarity(moments: Moments, c1: float, c2: float, scratch: Scratch) -> Plane:
    """Return (1 - SSIM) / 2 of every window; exactly 0 where x = y.

    Args:
        moments: of s and d, float32 or float64.
        c1: the constant beside the squared means, in their unit.
        c2: the constant beside the variances, in their unit.
        scratch: where the result lies, in the type of the moments.
    """
    mean, mean_d, variance, variance_d = moments
    work = scratch.take("dissimilarity", moments.shape, moments.dtype.type)
    luminance, luminance_d, contrast, result = work
    np.square(mean, out=luminance)
    luminance += 2 * c1
    np.square(mean_d, out=luminance_d)
    np.add(variance, 2 * c2, out=contrast)
    np.multiply(luminance, variance_d, out=result)
    luminance += luminance_d
    luminance_d *= contrast
    result += luminance_d
    contrast += variance_d
    luminance *= contrast
    result /= luminance
    return result
