"""Whether what was written gives what PyTorch gives."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Restore = Callable[[NDArray[Any]], NDArray[Any]]

SIZES = ((33, 47), (64, 96), (130, 71))  # height and width in pixels: the tiles of photographs and odd ones
MOST = 1e-4  # of the range


def picture(height: int, width: int, seed: int = 0) -> NDArray[Any]:
    """Return (1, 3, H, W) in [0, 1]: smooth light with noise."""
    draw = np.random.default_rng(seed)
    rows, columns = np.linspace(0, 6, height)[:, None], np.linspace(0, 6, width)
    light = np.stack([np.sin(rows * draw.uniform(1, 3) + columns * draw.uniform(1, 3)) for _ in range(3)])
    return (0.5 + 0.4 * light + draw.normal(0, 0.02, light.shape)).clip(0, 1)[None].astype(np.float32)


def check(written: Restore, expected: Restore, padded: Callable[[int, int], tuple[int, int]]) -> float:
    """Return the largest difference between two ways to restore an image, at three sizes.

    Args:
        written: what is checked.
        expected: PyTorch.
        padded: gives the size of the image to restore for each of `SIZES`.

    Raises:
        ValueError: if they differ by more than 1e-4 of the range, or what is checked fails.
    """
    worst = 0.0
    for index, size in enumerate(SIZES):
        image = picture(*padded(*size), seed=index)
        try:
            restored = written(image)
        except Exception as error:  # each runtime has its own
            reason = str(error).strip().partition("\n")[0]
            raise ValueError(
                f"it works at some sizes only, at {image.shape[2]}x{image.shape[3]} not: {reason}"
            ) from None
        apart = float(np.abs(restored - expected(image)).max())
        if not apart <= MOST:  # not-a-number is no agreement
            raise ValueError(
                f"at {image.shape[2]}x{image.shape[3]} it differs from PyTorch by {apart:.1e}, above {MOST}"
            )
        worst = max(worst, apart)
    return worst
