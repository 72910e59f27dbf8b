"""Perspective warps that sample an image at positions rounded to 1/32 pixel, as OpenCV up to 4.12 does.

The rounding moves a score by some thousandths of a decibel, hence it is part of the protocol.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]  # (H, W)
Planes = NDArray[np.float32]  # (K, H, W)
Doubles = NDArray[np.float64]

STEPS = 32  # positions per pixel
BAND_ROWS = 32  # rows that are worked on together: few calls of numpy, and arrays that stay in the cache
FARTHEST = 2.0**15 - 1  # pixels; positions beyond are moved here
CUBIC = -0.75  # slope at distance 1 of the cubic kernel


class Positions(NamedTuple):
    """Where the pixels of some rows come from: homogeneous coordinates, float64 planes (rows, W).

    `x` and `y` are column and row in the source, `scaled_x` and `scaled_y` their products with `third`. A pixel whose
    third coordinate is 0 comes from (0, 0).
    """

    x: Doubles
    y: Doubles
    scaled_x: Doubles
    scaled_y: Doubles
    third: Doubles


def bands(height: int) -> Iterator[slice]:
    """Cut the rows of an image into bands of BAND_ROWS."""
    for top in range(0, height, BAND_ROWS):
        yield slice(top, min(top + BAND_ROWS, height))


def positions(warp: NDArray[np.floating], rows: slice, width: int) -> Positions:
    """Map the pixels of some rows by a homography (3, 3), from the result to the source."""
    columns = np.arange(width, dtype=np.float64)
    lines = np.arange(rows.start, rows.stop, dtype=np.float64)[:, None]
    x, y, third = (a * columns + b * lines for a, b, _ in warp.astype(np.float64))
    for coordinate, shift in zip((x, y, third), warp[:, 2], strict=True):
        coordinate += shift
    inverse = np.divide(1.0, third, out=np.zeros_like(third), where=third != 0)
    return Positions(x * inverse, y * inverse, x, y, third)


def inside(at: Positions, height: int, width: int) -> Plane:
    """1 where the nearest source pixel exists, else 0; half-way positions go to the even pixel."""
    x, y = np.rint(at.x), np.rint(at.y)
    return ((x >= 0) & (x < width) & (y >= 0) & (y < height)).astype(np.float32)


class LinearSampler:
    """Bilinear interpolation of planes of one size, 0 beyond their borders.

    Args:
        planes: (K, H, W).
    """

    def __init__(self, planes: Planes) -> None:
        self.height, self.width = planes.shape[1:]
        padded = np.pad(planes, ((0, 0), (2, 2), (2, 2)))  # 2: a position beyond the border is moved into the zeros
        self.stride = padded.shape[2]
        self.planes = padded.reshape(len(planes), -1)

    def __call__(self, at: Positions) -> Planes:
        """Return (K, rows, W)."""
        x, x_steps = _split(at.x.clip(-2, self.width))
        y, y_steps = _split(at.y.clip(-2, self.height))
        top_left = (y + 2) * self.stride + (x + 2)
        right, down = (steps.astype(np.float32) / np.float32(STEPS) for steps in (x_steps, y_steps))
        left, up = 1 - right, 1 - down
        taps = [(0, up * left), (1, up * right), (self.stride, down * left), (self.stride + 1, down * right)]
        sampled = np.zeros((len(self.planes), *top_left.shape), np.float32)
        for offset, weight in taps:
            for plane, total in zip(self.planes[:, offset:], sampled, strict=True):
                tap = plane.take(top_left, mode="clip")
                tap *= weight
                total += tap
        return sampled


def cubic(image: Planes, warp: NDArray[np.floating]) -> Planes:
    """Warp planes by cubic interpolation; borders are mirrored with the border pixel repeated.

    Args:
        image: (K, H, W), any range; the result overshoots it.
        warp: (3, 3), from the result to the source.

    Returns:
        (K, H, W).
    """
    height, width = image.shape[1:]
    flat = image.reshape(len(image), -1)
    result = np.zeros_like(image)
    for rows in bands(height):
        at = positions(warp, rows, width)
        x, right = _split(at.x.clip(-FARTHEST, FARTHEST))
        y, down = _split(at.y.clip(-FARTHEST, FARTHEST))
        columns = [(_mirrored(x + tap - 1, width), _CUBIC_TAPS[tap][right]) for tap in range(4)]
        for tap in range(4):
            start, vertical = _mirrored(y + tap - 1, height) * width, _CUBIC_TAPS[tap][down]
            for column, horizontal in columns:
                index, weight = start + column, vertical * horizontal
                for source, total in zip(flat, result[:, rows], strict=True):
                    total += source.take(index, mode="clip") * weight
    return result


def _split(position: Doubles) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Round to 1/STEPS; return the whole pixel at or before the position and the steps from there."""
    steps = np.rint(position * STEPS).astype(np.int64)
    return steps // STEPS, steps & (STEPS - 1)


def _mirrored(index: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Bring an index into 0..size-1 by mirrors just outside of the first and the last pixel."""
    period = index % (2 * size)
    return np.minimum(period, 2 * size - 1 - period)


def _cubic_taps() -> Planes:
    """Weights (4, STEPS) of the pixels at -1, 0, 1, 2 for each position between 0 and 1. Keys, IEEE TASSP 1981."""
    near = np.arange(STEPS) / STEPS

    def outer(distance: Doubles) -> Doubles:
        return CUBIC * (((distance - 5) * distance + 8) * distance - 4)

    def inner(distance: Doubles) -> Doubles:
        return ((CUBIC + 2) * distance - (CUBIC + 3)) * distance**2 + 1

    taps = [outer(near + 1), inner(near), inner(1 - near), outer(2 - near)]
    return np.stack(taps).astype(np.float32)


_CUBIC_TAPS = _cubic_taps()
