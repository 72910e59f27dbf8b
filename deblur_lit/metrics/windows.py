"""Means, variances and SSIM under a sliding window, for strips of an image: the arithmetic of all SSIM protocols.

Two images x and y enter as their sum s and difference d, because then SSIM needs two variances and no covariance:
2 mean_x mean_y = (mean_s^2 - mean_d^2) / 2, and so on for x^2 + y^2 and the covariance.
"""

import math
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[Any]  # (H, W)

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


class Moments(NamedTuple):
    """Local means and variances of s = x + y and d = x - y, each (H, W) and in levels."""

    mean_s: Plane
    mean_d: Plane
    variance_s: Plane
    variance_d: Plane


def gaussian_moments(s: Plane, d: Plane) -> Moments:
    """Return the moments under the 11 x 11 Gaussian window.

    A variance is a small difference of large means of squares. Here each window is centred on its own pixel,
    so that nothing large is subtracted: float32 gives SSIM to 1e-8 where float32 means of squares are off by 1e-6.

    Args:
        s: (h + 10, w + 10), h rows of one colour of an image of width w with 5 pixels more on each side; beyond
            the image's border its pixels are repeated.
        d: same shape.

    Returns:
        Each (h, w + 10). The columns keep their margin, since arrays without gaps are handled several times faster.
    """
    (mean_s, variance_s), (mean_d, variance_d) = _gaussian(s), _gaussian(d)
    return Moments(mean_s, mean_d, variance_s, variance_d)


def _gaussian(plane: Plane) -> tuple[Plane, Plane]:
    excess = _excess(plane)
    centre = plane[RADIUS:-RADIUS]
    mean = centre + excess
    variance = _excess(np.square(plane))
    excess *= mean + centre
    variance -= excess
    return mean, variance


def _excess(plane: Plane) -> Plane:
    """Window mean minus the pixel itself, exactly 0 where the window is flat: two second differences, smoothed."""
    across = _second_difference(plane, 1)
    across[:, 0] = across[:, -1] = 0  # not the difference to the next row: pixels repeat
    down = _second_difference(plane, plane.shape[1])
    excess: Plane = _filter(across, EXCESS_TAPS, TAPS)
    excess += _filter(down, _ONE, EXCESS_TAPS)
    return excess


def _second_difference(plane: Plane, step: int) -> Plane:
    flat = plane.ravel()
    slope = flat[step:] - flat[:-step]
    result = np.empty_like(plane)
    every = result.ravel()
    np.subtract(slope[step:], slope[:-step], out=every[step:-step])
    every[:step] = every[-step:] = 0
    return result


def _filter(plane: Plane, across: Plane, down: Plane) -> Plane:
    """Filter a plane, and leave out the rows of its margin."""
    inner: Plane = cv2.sepFilter2D(plane, -1, across, down, borderType=cv2.BORDER_REPLICATE)[RADIUS:-RADIUS]
    return inner


def box_moments(s: NDArray[np.int32], d: NDArray[np.int32]) -> Moments:
    """Return the moments under the 7 x 7 window, exactly.

    They come as whole numbers: the means times 49, the variances (of samples, divisor 48) times 49 * 48.
    The largest, 49^2 * 510^2, fits into 32 bits. Shapes are those of `gaussian_moments`.
    """
    (mean_s, variance_s), (mean_d, variance_d) = _box(s), _box(d)
    return Moments(mean_s, mean_d, variance_s, variance_d)


def _box(plane: NDArray[np.int32]) -> tuple[Plane, Plane]:
    total = _box_sum(plane)
    variance = BOX**2 * _box_sum(np.square(plane))
    variance -= np.square(total)
    return total, variance


def _box_sum(plane: NDArray[np.int32]) -> Plane:
    """As `_filter`."""
    summed = cv2.boxFilter(plane, -1, (BOX, BOX), normalize=False, borderType=cv2.BORDER_REPLICATE)
    inner: Plane = summed[RADIUS:-RADIUS]
    return inner


def dissimilarity(moments: Moments, c1: float = C1, c2: float = C2) -> Plane:
    """Return 1 - SSIM of every window, float64; exactly 0 where x = y.

    Args:
        moments: of s and d.
        c1: the constant beside the squared means, in their unit.
        c2: the constant beside the variances, in their unit.
    """
    # Not float32, whose rounding is the same all over a flat image and would not average away.
    mean_s, mean_d, contrast, contrast_d = (plane.astype(np.float64) for plane in moments)
    luminance, luminance_d = np.square(mean_s, out=mean_s), np.square(mean_d, out=mean_d)
    luminance += 2 * c1
    contrast += 2 * c2
    difference: Plane = luminance * contrast_d
    difference += luminance_d * contrast
    luminance += luminance_d
    contrast += contrast_d
    luminance *= contrast
    difference /= luminance
    difference *= 2
    return difference
