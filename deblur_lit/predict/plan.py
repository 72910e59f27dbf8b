"""How an image is cut into tiles: sizes alone, no pixels and no network."""

import math
from dataclasses import dataclass
from itertools import pairwise

Span = tuple[int, int]  # first pixel, and the one behind the last

BLEND = 32  # pixels over which neighbours are blended where their overlap does not cover the receptive field
SMALLEST = 32  # side of what a tile contributes, in pixels: below that tiles are all overlap


@dataclass(frozen=True)
class Needs:
    """What a network needs of its tiles, in pixels.

    Attributes:
        multiple: tiles begin at multiples of it, so that strided grids and padding are those of the whole image.
        minimum: least side of a tile.
        margin: how far on each side a restored pixel sees; None where it sees the whole image.
    """

    multiple: int = 1
    minimum: int = 1
    margin: int | None = 0


@dataclass(frozen=True)
class TilePlan:
    """Parts of an image that are restored one after another, each with a margin around it that is not kept.

    Attributes:
        rows, columns: spans that cover the height and the width; neighbours overlap by `blend` pixels.
        margin: pixels beyond a part that its tile reads, where the image has them.
        exact: whether that is all that a pixel of the part depends on.
    """

    rows: tuple[Span, ...]
    columns: tuple[Span, ...]
    margin: int
    exact: bool
    needs: Needs

    @property
    def tiles(self) -> int:
        """The number of tiles."""
        return len(self.rows) * len(self.columns)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image."""
        return self.rows[-1][1], self.columns[-1][1]

    @property
    def work(self) -> float:
        """The pixels of all tiles together, in units of those of the image."""
        sums = []
        for spans, length in ((self.rows, self.size[0]), (self.columns, self.size[1])):
            sums.append(sum(stop - start for start, stop in (self.window(span, length) for span in spans)) / length)
        return sums[0] * sums[1]

    @property
    def largest(self) -> int:
        """The pixels of the largest tile."""
        sides = []
        for spans, length in ((self.rows, self.size[0]), (self.columns, self.size[1])):
            sides.append(max(stop - start for start, stop in (self.window(span, length) for span in spans)))
        return sides[0] * sides[1]

    def window(self, span: Span, length: int) -> Span:
        """Return what a tile reads of a side of the image for a span of it."""
        multiple, least = self.needs.multiple, max(self.needs.minimum, 2 * self.needs.multiple)
        stop = span[1] + self.margin
        start = max(0, min(span[0] - self.margin, length - least))
        start -= start % multiple
        stop = max(stop, start + least)
        return start, min(length, stop + -stop % multiple)

    def describe(self) -> str:
        """Return the plan in words."""
        if self.tiles == 1:
            return "in one piece"
        sides = [max(stop - start for start, stop in spans) for spans in (self.rows, self.columns)]
        words = f"{self.tiles} tiles of {sides[1]}x{sides[0]} with {self.margin} pixels around each"
        if self.exact:
            return f"{words}, all that a pixel depends on"
        if self.needs.margin is None:
            return f"{words}, of the whole image that a pixel depends on"
        return f"{words}, of the {self.needs.margin} that a pixel depends on"


def whole(height: int, width: int, needs: Needs) -> TilePlan:
    """Return the plan of one tile."""
    return TilePlan(((0, height),), ((0, width),), 0, True, needs)


def plan_side(height: int, width: int, needs: Needs, side: int, reach: int) -> TilePlan:
    """Return the plan whose tiles contribute squares of up to `side` pixels.

    Args:
        height: of the image.
        width: of the image.
        needs: of the network.
        side: in pixels, of what a tile contributes; the margin comes on top.
        reach: the margin where the network sees the whole image.

    Raises:
        ValueError: if the side is below 1.
    """
    if side < 1:
        raise ValueError(f"tile={side}: the side of a tile is 1 pixel or more, 'auto', or 'off' for the whole image")
    if height <= side and width <= side:
        return whole(height, width, needs)
    exact = needs.margin is not None
    margin = reach if needs.margin is None else needs.margin
    blend = 0 if exact else min(BLEND, side // 3)
    return TilePlan(_spans(height, side, blend), _spans(width, side, blend), margin, exact, needs)


def plan_pixels(height: int, width: int, needs: Needs, pixels: int, margin: int) -> TilePlan | None:
    """Return the plan whose tiles hold up to `pixels` pixels with their margins, None if that is too few.

    Args:
        height: of the image.
        width: of the image.
        needs: of the network.
        pixels: of a tile, at least those of the smallest.
        margin: in pixels, around what a tile contributes.
    """
    if height * width <= pixels:
        return whole(height, width, needs)
    exact = needs.margin is not None and margin >= needs.margin
    blend = 0 if exact else BLEND
    around = 2 * (margin + needs.multiple)
    side = math.isqrt(pixels)
    shorter = min(height, width)
    if shorter <= side:  # tiles as long as that side; the other side gets the rest
        sides = {shorter: shorter, max(height, width): pixels // shorter - around}
    else:
        sides = dict.fromkeys((height, width), side - around)
    if any(side < min(length, max(SMALLEST, 3 * blend)) for length, side in sides.items()):
        return None
    rows, columns = (_spans(length, sides[length], blend) for length in (height, width))
    return TilePlan(rows, columns, margin, exact, needs)


def _spans(length: int, side: int, blend: int) -> tuple[Span, ...]:
    """Return the fewest spans of at most `side` that cover a length evenly and overlap by `blend`."""
    if length <= side:
        return ((0, length),)
    number = math.ceil((length - blend) / (side - blend))
    edges = [(length - blend) * index // number for index in range(number + 1)]
    return tuple((start, stop + blend) for start, stop in pairwise(edges))
