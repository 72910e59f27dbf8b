"""Luma as the "Y channel" protocols compute it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

WEIGHTS = (65.481, 128.553, 24.966)  # of R, G and B in 0..1, to 16..235 once OFFSET is added
OFFSET = 16.0


def luma(levels: NDArray[np.uint8], out: NDArray[np.float64] | None = None) -> NDArray[Any]:
    """Return BT.601 luma in limited range, float64 in [16, 235], not rounded.

    Args:
        levels: (3, H, W), RGB, 0..255.
        out: (2, H, W) to work in.

    Returns:
        (H, W), the first plane of `out` if that is given.

    Source: Recommendation ITU-R BT.601, 2.5; MATLAB's `rgb2ycbcr` has the same weights.

    Example:
        >>> luma(np.array([[[0, 255]]] * 3, np.uint8))
        array([[ 16., 235.]])
    """
    total, part = np.empty((2, *levels.shape[1:])) if out is None else out
    np.multiply(levels[0], WEIGHTS[0] / 255, out=total)
    for weight, plane in zip(WEIGHTS[1:], levels[1:], strict=True):
        total += np.multiply(plane, weight / 255, out=part)
    total += OFFSET
    return total
