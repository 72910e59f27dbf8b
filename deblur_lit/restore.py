"""How a network is applied to a frame when it is scored: precision, self-ensemble, tiles."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from deblur_lit.ensembles import ENSEMBLES as ENSEMBLES
from deblur_lit.networks.blocks import DeblurNetwork

PRECISIONS = ("32", "bf16")
TILES_AT_ONCE = 8  # as one batch: small tiles alone keep no device busy, and 8 of 256x256 are half a GoPro frame


@dataclass(frozen=True)
class Restorer:
    """A network with all that is decided when it is used.

    Args:
        network: in evaluation mode.
        precision: `32`, or `bf16` for autocast to bfloat16.
        ensemble: `none`; `rotations`: mean over the four quarter turns; `dihedral`: over all eight flips and turns.
        tiles: side of square tiles in pixels; they cover a frame evenly, overlaps are averaged. None: whole frames.

    Raises:
        ValueError: for an unknown precision or ensemble, or tiles below 1.
    """

    network: DeblurNetwork
    precision: str = "32"
    ensemble: str = "none"
    tiles: int | None = None

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision={self.precision!r} is unknown; there is {' and '.join(PRECISIONS)}")
        if self.ensemble not in ENSEMBLES:
            raise ValueError(f"ensemble={self.ensemble!r} is unknown; there is {', '.join(ENSEMBLES)}")
        if self.tiles is not None and self.tiles < 1:
            raise ValueError(f"tiles={self.tiles}: the side of a tile is 1 pixel or more, null for whole frames")

    @torch.inference_mode()
    def __call__(self, blur: Tensor) -> Tensor:
        """Restore (B, 3, H, W) float32 in [0, 1]; returns the same shape, not clamped."""
        lowered = torch.autocast(blur.device.type, torch.bfloat16) if self.precision == "bf16" else nullcontext()
        with lowered:
            return self._ensemble(blur).float()

    def _ensemble(self, blur: Tensor) -> Tensor:
        total = torch.zeros_like(blur)
        for turns, mirrored in ENSEMBLES[self.ensemble]:
            seen = torch.rot90(blur.flip(-1) if mirrored else blur, turns, (-2, -1))
            restored = torch.rot90(self._tiled(seen), -turns, (-2, -1))
            total += restored.flip(-1) if mirrored else restored
        return total / len(ENSEMBLES[self.ensemble])

    def _tiled(self, blur: Tensor) -> Tensor:
        if self.tiles is None:
            return self._whole(blur)
        return in_tiles(blur, self.tiles, self._whole)

    def _whole(self, blur: Tensor) -> Tensor:
        return self.network(blur).full


def in_tiles(image: Tensor, side: int, restore: Callable[[Tensor], Tensor]) -> Tensor:
    """Restore square tiles that cover an image evenly, and average where they overlap.

    Args:
        image: (B, 3, H, W).
        side: of a tile in pixels; a shorter side of the image is covered by one tile of its length.
        restore: keeps the shape of tiles; is given several as a batch.
    """
    height, width = image.shape[-2:]
    rows, columns = min(side, height), min(side, width)
    total, times = torch.zeros_like(image), torch.zeros_like(image[:1, :1])
    corners = list(product(_starts(height, rows), _starts(width, columns)))
    windows = [(..., slice(top, top + rows), slice(left, left + columns)) for top, left in corners]
    for first in range(0, len(windows), TILES_AT_ONCE):
        some = windows[first : first + TILES_AT_ONCE]
        restored = restore(torch.cat([image[window] for window in some]))
        for window, tile in zip(some, torch.split(restored, len(image)), strict=True):
            total[window] += tile
            times[window] += 1
    return total / times


def _starts(length: int, side: int) -> list[int]:
    """Return where tiles begin: the fewest that cover the length, evenly spread, the last flush with its end."""
    number = math.ceil(length / side)
    return [round(index * (length - side) / max(number - 1, 1)) for index in range(number)]
