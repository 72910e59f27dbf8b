"""What a restored tile must not be: not a number, or another colour where the image is flat."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 16  # pixels, side of the patches that are looked at: each flat square of 32 holds one
SHIFT = 8 / 255  # of its mean, in any channel
FLAT = 4 / 255  # standard deviation up to which a patch counts as flat: noise, not texture
LEVEL = 2 / 255  # range of the means of its quarters up to which it does: not the end of a blurred edge

REACH = 16  # pixels to each side within which contrast is looked for
CONTRAST = 4 / 255  # range of values there from which on a change counts in full

Pixels = NDArray[np.floating[Any]]


def shares(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """Return how much of a change counts at each pixel: nothing where all around is one colour, which has no blur.

    Args:
        pixels: (H, W, 3), uint8, uint16, or float in [0, 1]; a share depends on `REACH` pixels to each side.

    Returns:
        (H, W, 1) in [0, 1], in proportion to the contrast up to `CONTRAST`.
    """
    white = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1.0
    contrast = _around(pixels, np.maximum) - _around(pixels, np.minimum)
    return np.minimum(1, contrast.max(axis=2, keepdims=True) / np.float32(CONTRAST * white))


def _around(pixels: NDArray[Any], extreme: Callable[..., NDArray[Any]]) -> NDArray[Any]:
    """Return the extreme of the square window around each pixel, of what it covers of the image."""
    for axis in (0, 1):
        found = np.pad(np.moveaxis(pixels, axis, 0), [(REACH, REACH), (0, 0), (0, 0)], "edge")
        covered = 1
        while covered <= 2 * REACH:  # a window and the same further on make a larger one
            step = min(covered, 2 * REACH + 1 - covered)
            found = extreme(found[:-step], found[step:])
            covered += step
        pixels = np.moveaxis(found, 0, axis)
    return pixels


def fault(seen: Pixels, change: Pixels) -> str | None:
    """Return why a restored tile does harm, None where it does not.

    Args:
        seen: (H, W, 3) in [0, 1], the image.
        change: what the network adds to it.
    """
    if not np.isfinite(change.sum()) and not np.isfinite(change).all():
        return "the network gave not-a-number or infinity"
    height, width = (max(1, side // BLOCK) for side in seen.shape[:2])
    shifts = np.abs(_blocks(change, height, width).mean(axis=(1, 3))).max(axis=-1)
    for row, column in np.argwhere(shifts > SHIFT):
        patch = _blocks(seen, height, width)[row, :, column]
        if _is_flat(patch):
            colour = ", ".join(str(round(float(255 * value))) for value in patch.mean(axis=(0, 1)))
            return f"the flat colour rgb({colour}) would shift by {255 * shifts[row, column]:.0f}/255"
    return None


def _is_flat(patch: Pixels) -> bool:
    if patch.std(axis=(0, 1)).max() > FLAT:
        return False
    halves = [half for half in np.array_split(patch, 2) if half.size]
    quarters = [part for half in halves for part in np.array_split(half, 2, axis=1) if part.size]
    means = np.stack([quarter.mean(axis=(0, 1)) for quarter in quarters])
    return bool(np.ptp(means, axis=0).max() <= LEVEL)


def _blocks(image: Pixels, height: int, width: int) -> Pixels:
    """Cut (H, W, 3) into (height, h, width, w, 3); what does not fill a block at the end is left away."""
    rows, columns = min(image.shape[0], BLOCK), min(image.shape[1], BLOCK)
    return image[: height * rows, : width * columns].reshape(height, rows, width, columns, 3)
