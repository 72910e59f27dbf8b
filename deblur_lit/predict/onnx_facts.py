"""What an exported network says of itself: all that tiles and padding need, so that nobody has to open the network."""

import json
from dataclasses import asdict, dataclass
from typing import Any

KEY = "deblur_lit"  # of the file's metadata
FORMAT = 1


@dataclass(frozen=True)
class Facts:
    """Facts of an exported network.

    Attributes:
        network: its configuration, a resolved node with its `_target_`.
        weights: type that they are stored in, `float32` or `float16`; they are computed with in float32.
        step: (rows, columns) that the sides inside are multiples of.
        least: (rows, columns) of the smallest image inside.
        extra: pixels that are added to a side before it is rounded up to the step.
        padding: how the image is continued there, below and on the right: `reflect`, `replicate`, `constant`.
        value: what `constant` continues with.
        multiple: tiles begin at multiples of it.
        minimum: least side of a tile.
        margin: pixels on each side that a restored pixel sees, the means of the image apart; None for all.
        means: how many means of the whole image the network takes; 0 where it pools nothing.
        bytes_per_pixel: of memory that a forward pass takes.
        version: of deblur_lit.
    """

    network: dict[str, Any]
    weights: str
    step: tuple[int, int]
    least: tuple[int, int]
    extra: int
    padding: str
    value: float
    multiple: int
    minimum: int
    margin: int | None
    means: int
    bytes_per_pixel: float
    version: str

    def padded(self, height: int, width: int) -> tuple[int, int]:
        """Return the size of an image inside the network."""
        rows, columns = (
            max(side + self.extra + -(side + self.extra) % step, least)
            for side, step, least in zip((height, width), self.step, self.least, strict=True)
        )
        return rows, columns

    def to_json(self) -> str:
        """Return them as text."""
        return json.dumps({"format": FORMAT, **asdict(self)})


def from_json(text: str) -> Facts:
    """Read what `to_json` wrote.

    Raises:
        ValueError: if it is of another format.
    """
    values = json.loads(text)
    if values.pop("format", None) != FORMAT:
        raise ValueError(f"written by another version of deblur_lit ({values.get('version')}); export it again")
    return Facts(**{**values, "step": tuple(values["step"]), "least": tuple(values["least"])})
