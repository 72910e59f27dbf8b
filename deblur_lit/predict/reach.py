"""How far a restored pixel sees to any effect: less than the receptive field, which counts what never shows."""

from typing import Any

import numpy as np

from deblur_lit.predict.engine import Backend, Image, floats

STRIPS = 3  # that are looked at, across the image
HEIGHT = 48  # of a strip, in pixels
WIDEST = 768  # of a strip
EFFECT = 0.25 / 255  # in any channel, from which on an effect counts
LEAST = 32  # pixels, in any case
MOST = 256  # a network whose effects do not end depends on the size of the image itself
RESERVE = 1.25  # on top: three strips are not the image


def reach(backend: Backend, image: Image, shared: Any) -> int:
    """Return the margin in pixels outside of which a restored pixel sees nothing to any effect.

    Strips of the image are restored twice, the second time without their left end, and compared.

    Args:
        backend: what restores them.
        image: (H, W, 3).
        shared: what the tiles of the image share.
    """
    if image.shape[0] > image.shape[1]:
        image = image.swapaxes(0, 1)
    height, width = image.shape[:2]
    multiple = backend.needs.multiple
    length = min(width - width % multiple, WIDEST)
    cut = length // 4 - length // 4 % multiple
    if not cut:
        return min(width, MOST)
    rows = min(height, HEIGHT)
    found = 0
    for top, left in zip(_places(height - rows), _places(width - length), strict=True):
        strip = floats(image[top : top + rows, left : left + length], backend.dtype)
        whole, part = (
            backend.restore(piece.transpose(2, 0, 1)[None], shared) for piece in (strip, strip[:, cut:].copy())
        )
        effect = np.abs(whole[..., cut:] - part).max(axis=(0, 1, 2))
        seen = np.flatnonzero(~(effect <= EFFECT))
        found = max(found, int(seen[-1]) + 1 if len(seen) else 0)
    reserved = int(RESERVE * found) + multiple
    return min(max(reserved + -reserved % multiple, LEAST), MOST)


def _places(last: int) -> list[int]:
    """Return where the strips begin, spread from 0 to `last`."""
    return [last * (2 * index + 1) // (2 * STRIPS) for index in range(STRIPS)]
