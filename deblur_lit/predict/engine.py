"""The loop over the tiles of an image, on NumPy rows of the image's own type: it never copies all of it as floats."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from deblur_lit.predict.guard import REACH, fault, shares
from deblur_lit.predict.plan import Needs, Span, TilePlan

Image = NDArray[Any]  # (H, W, 3), uint8, uint16, or float in [0, 1]
View = tuple[int, bool]  # quarter turns, and whether the image is mirrored first
Progress = Callable[[int, int], None]  # is told tiles done and tiles in all
OVERHEAD = 60  # bytes per pixel of a tile that the loop itself holds


class Backend(Protocol):
    """What restores a tile.

    Attributes:
        dtype: of tiles, float32 or float64.
        shares: whether the network takes means over whole images, which its tiles have to share.
    """

    dtype: np.dtype[Any]
    shares: bool

    @property
    def needs(self) -> Needs:
        """Return what tiles have to be."""

    def restore(self, tile: NDArray[Any], shared: Any = None) -> NDArray[Any]:
        """Restore (1, 3, h, w) in [0, 1]; returns the same shape, not clamped.

        Args:
            tile: the memory may be that of (h, w, 3).
            shared: what `share` gave, for a tile of a larger image.

        Raises:
            MemoryError: if the memory is too small for it.
        """

    def share(self, parts: NDArray[Any], margin: int) -> Any:
        """Return the means of a whole image, taken over parts (N, 3, h, w) of it without their outer `margin`."""

    def pixels(self, memory: int | None, beside: int) -> int:
        """Return how many pixels a tile may have.

        Args:
            memory: bytes that may be held in all, None for what is free.
            beside: bytes of this machine's memory that are needed besides tiles.
        """


@dataclass(frozen=True)
class Fallback:
    """A tile that stayed as it was.

    Attributes:
        rows, columns: its spans in the image, in pixels.
        reason: in words.
    """

    rows: Span
    columns: Span
    reason: str

    def __str__(self) -> str:
        (top, bottom), (left, right) = self.rows, self.columns
        return f"x {left}-{right}, y {top}-{bottom}: {self.reason}"


def restore_tiles(
    image: Image,
    backend: Backend,
    plan: TilePlan,
    views: Sequence[View],
    shared: Sequence[Any],
    strength: float,
    progress: Progress | None = None,
) -> tuple[Image, list[Fallback]]:
    """Restore an image tile by tile.

    Args:
        image: (H, W, 3), uint8, uint16, or float in [0, 1].
        backend: what restores a tile.
        plan: of this size.
        views: whose results are averaged.
        shared: what the tiles of each view share.
        strength: share of the change that is made.
        progress: is told after each tile.

    Returns:
        The image in its own type, rounded (integers) or clamped to [0, 1] (floats); and the tiles left as they were.
    """
    result = np.empty_like(image)
    fallbacks: list[Fallback] = []
    above: NDArray[Any] = np.empty(0)
    for row, rows in enumerate(plan.rows):
        below_depth = _overlap(plan.rows, row)
        below = np.empty((below_depth, image.shape[1], 3), backend.dtype)
        left: NDArray[Any] = np.empty(0)
        for column, columns in enumerate(plan.columns):
            change, reason = _change(image, backend, plan, (rows, columns), views, shared)
            if reason:
                fallbacks.append(Fallback(rows, columns, reason))
                warnings.warn(f"the tile at {fallbacks[-1]}; it stays as it was", stacklevel=2)
            change *= strength
            if column:
                _blend(change.swapaxes(0, 1), left.swapaxes(0, 1))
            kept = change.shape[1] - _overlap(plan.columns, column)
            left, change = change[:, kept:].copy(), change[:, :kept]
            across = slice(columns[0], columns[0] + kept)
            if row:
                _blend(change, above[:, across])
            kept = change.shape[0] - below_depth
            below[:, across] = change[kept:]
            down = slice(rows[0], rows[0] + kept)
            result[down, across] = _added(image[down, across], change[:kept])
            if progress:
                progress(row * len(plan.columns) + column + 1, plan.tiles)
        above = below
    return result, fallbacks


def sample(image: Image, view: View, side: int, number: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return up to `number` squares (N, 3, side, side) of a view of an image, evenly spread over it."""
    seen = turned(image, view)
    height, width = seen.shape[:2]
    rows, columns = min(side, height), min(side, width)
    across = max(1, min(round((number * width / height) ** 0.5), -(-width // columns), number))
    down = max(1, min(number // across, -(-height // rows)))
    parts = [
        floats(seen[top : top + rows, left : left + columns], dtype)
        for top in _spread(height, rows, down)
        for left in _spread(width, columns, across)
    ]
    return np.stack(parts).transpose(0, 3, 1, 2)


def _spread(length: int, side: int, number: int) -> list[int]:
    """Return where squares begin, each in the middle of its share of the length."""
    share = length / number
    return [max(0, min(round((index + 0.5) * share - side / 2), length - side)) for index in range(number)]


def turned(image: Image, view: View) -> Image:
    """Return a view of an image, without copying it."""
    turns, mirrored = view
    return np.rot90(image[:, ::-1] if mirrored else image, turns)


def _turned_back(image: Image, view: View) -> Image:
    turns, mirrored = view
    upright = np.rot90(image, -turns)
    return upright[:, ::-1] if mirrored else upright


def _turned_spans(rows: Span, columns: Span, size: tuple[int, int], view: View) -> tuple[Span, Span]:
    """Return where a part of an image lies in a view of it."""
    turns, mirrored = view
    height, width = size
    if mirrored:
        columns = width - columns[1], width - columns[0]
    for _ in range(turns % 4):
        rows, columns = (width - columns[1], width - columns[0]), rows
        height, width = width, height
    return rows, columns


def _change(
    image: Image,
    backend: Backend,
    plan: TilePlan,
    part: tuple[Span, Span],
    views: Sequence[View],
    shared: Sequence[Any],
) -> tuple[NDArray[Any], str | None]:
    """Return what the network adds to a part of the image, zero with the reason where that would do harm."""
    total: NDArray[Any] | None = None
    for view, means in zip(views, shared, strict=True):
        seen = turned(image, view)
        spans = _turned_spans(*part, plan.size, view)
        windows = [plan.window(span, length) for span, length in zip(spans, seen.shape[:2], strict=True)]
        tile = floats(seen[slice(*windows[0]), slice(*windows[1])], backend.dtype)
        restored = backend.restore(tile.transpose(2, 0, 1)[None], means)[0].transpose(1, 2, 0)
        inner = tuple(slice(a - start, b - start) for (a, b), (start, _) in zip(spans, windows, strict=True))
        change = _turned_back(restored[inner] - tile[inner], view)
        total = change if total is None else total + change
    assert total is not None
    total = np.ascontiguousarray(total / len(views) if len(views) > 1 else total)
    with np.errstate(invalid="ignore", over="ignore"):
        reason = fault(floats(image[slice(*part[0]), slice(*part[1])], backend.dtype), total)
    return (np.zeros_like(total), reason) if reason else (total * _shares(image, part), None)


def _shares(image: Image, part: tuple[Span, Span]) -> NDArray[np.float32]:
    """Return how much of a change counts in a part of an image, as if it were looked at as a whole."""
    begins = [max(0, begin - REACH) for begin, _ in part]
    rows, columns = (slice(begin, end + REACH) for begin, (_, end) in zip(begins, part, strict=True))
    inner = tuple(slice(a - begin, b - begin) for begin, (a, b) in zip(begins, part, strict=True))
    return shares(np.ascontiguousarray(image[rows, columns]))[inner]


def floats(pixels: Image, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return pixels as floats in [0, 1], in memory of their own."""
    copied = np.array(pixels, dtype, order="C")
    if pixels.dtype.kind == "u":
        copied /= np.iinfo(pixels.dtype).max
    return copied


def _added(pixels: Image, change: NDArray[Any]) -> Image:
    if pixels.dtype.kind != "u":
        return np.clip(pixels + change, 0, 1)
    most = np.iinfo(pixels.dtype).max
    return np.clip(np.rint(pixels + change * most), 0, most)


def _overlap(spans: Sequence[Span], index: int) -> int:
    """Return by how much a span and the next overlap."""
    return spans[index][1] - spans[index + 1][0] if index + 1 < len(spans) else 0


def _blend(change: NDArray[Any], before: NDArray[Any]) -> None:
    """Fade from the end of the tile before into the beginning of this one, in place along the first axis."""
    depth = len(before)
    if depth:
        ramp = ((np.arange(depth) + 0.5) / depth).astype(change.dtype).reshape(-1, 1, 1)
        change[:depth] = before + ramp * (change[:depth] - before)
