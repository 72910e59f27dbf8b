"""What a restored tile must not be: not a number, or another colour where the image is flat."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 16  # pixels, side of a flat patch
SHIFT = 8 / 255  # of its mean, in any channel
FLAT = 4 / 255  # standard deviation up to which a patch counts as flat: noise, not texture

Pixels = NDArray[np.floating[Any]]


def fault(seen: Pixels, change: Pixels) -> str | None:
    """Return why a restored tile does harm, None where it does not.

    Args:
        seen: (H, W, 3) in [0, 1], the image.
        change: what the network adds to it.
    """
    if not np.isfinite(change.sum()) and not np.isfinite(change).all():
        return "the network gave not-a-number or infinity"
    backwards = seen[::-1, ::-1], change[::-1, ::-1]  # so that the last pixels are in a patch too
    return _shifted(seen, change) or _shifted(*backwards)


def _shifted(seen: Pixels, change: Pixels) -> str | None:
    height, width = (max(1, side // BLOCK) for side in seen.shape[:2])
    shifts = np.abs(_blocks(change, height, width).mean(axis=(1, 3))).max(axis=-1)
    for row, column in np.argwhere(shifts > SHIFT):
        patch = _blocks(seen, height, width)[row, :, column]
        if patch.std(axis=(0, 1)).max() <= FLAT:
            colour = ", ".join(str(round(float(255 * value))) for value in patch.mean(axis=(0, 1)))
            return f"the flat colour rgb({colour}) would shift by {255 * shifts[row, column]:.0f}/255"
    return None


def _blocks(image: Pixels, height: int, width: int) -> Pixels:
    """Cut (H, W, 3) into (height, h, width, w, 3); what does not fill a block at the end is left away."""
    rows, columns = min(image.shape[0], BLOCK), min(image.shape[1], BLOCK)
    return image[: height * rows, : width * columns].reshape(height, rows, width, columns, 3)
