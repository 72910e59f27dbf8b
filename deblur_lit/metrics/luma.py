"""Luma as the "Y channel" protocols compute it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

WEIGHTS = (65.481, 128.553, 24.966)  # of R, G and B in 0..1, to 16..235 once OFFSET is added
OFFSET = 16.0


def luma(levels: NDArray[np.uint8]) -> NDArray[Any]:
    """Return BT.601 luma in limited range, float64 in [16, 235], not rounded.

    Args:
        levels: (3, H, W), RGB, 0..255.

    Returns:
        (H, W).

    Source: Recommendation ITU-R BT.601, 2.5; MATLAB's `rgb2ycbcr` has the same weights.

    Example:
        >>> luma(np.array([[[0, 255]]] * 3, np.uint8))
        array([[ 16., 235.]])
    """
    red, green, blue = (weight / 255 * plane for weight, plane in zip(WEIGHTS, levels, strict=True))
    return red + green + blue + OFFSET
