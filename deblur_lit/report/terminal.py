"""A laid-out table for a terminal of 110 columns."""

import textwrap
from collections.abc import Iterator, Sequence

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from deblur_lit.report.columns import Cell
from deblur_lit.report.layout import Layout
from deblur_lit.report.text import one_line

WIDTH = 110  # characters a line
_TITLE = 28  # what the first column keeps as long as there are spare columns to drop: "(reduced, ...)" on a line
_LEAST = 20  # what it keeps after that
_RAISED = str.maketrans("abcdefghijklmnoprstuvwxyz", "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ")  # there is no raised q

Stack = list[str]  # the lines of one cell


def print_table(layout: Layout, console: Console) -> None:
    """Print a table with its notes; lines are not folded where the terminal is narrower.

    Args:
        layout: what to print. Columns that the notes repeat are left out where they do not fit.
        console: where to print it.
    """
    for text, style in terminal_lines(layout):
        console.print(Text(text, style=style), soft_wrap=True)


def terminal_lines(layout: Layout) -> Iterator[tuple[str, str]]:
    """Yield the lines of a table, each with its style."""
    grid = _Grid(layout)
    yield one_line(layout.title), "bold"
    for paragraph in layout.preface:
        yield from ((text, "") for text in _wrap(paragraph, WIDTH))
    yield "", ""
    yield from ((text, "italic") for text in grid.labels())
    yield from ((text, "bold") for text in grid.lines(grid.heads, bottom=True))
    yield grid.rule(), "dim"
    for line in layout.lines:
        if line.heading:
            yield grid.rule(), "dim"
            yield one_line(line.heading), "italic"
        else:
            yield from ((text, "") for text in grid.lines(grid.stacks(line.cells)))
    yield grid.rule(), "dim"
    for mark, text in layout.notes:
        parts = _wrap(text, WIDTH - 3)
        yield from ((f"{mark if part is parts[0] else '':>2} {part}", "dim") for part in parts)


class _Grid:
    """The columns that fit, their widths and what separates them: a space within a group, two around it."""

    def __init__(self, layout: Layout) -> None:
        self.columns = list(range(len(layout.heads)))
        spare = [index for index in self.columns if layout.heads[index].spare]
        self._measure(layout, _TITLE)
        while spare and sum(self.widths) + sum(map(len, self.gaps)) > WIDTH:
            self.columns.remove(spare.pop())
            self._measure(layout, _TITLE)
        self._measure(layout, _LEAST)

    def _measure(self, layout: Layout, least: int) -> None:
        self.groups = [layout.heads[index].group for index in self.columns]
        pairs = zip(self.groups, self.groups[1:], strict=False)
        self.gaps = ["", "  ", *(" " if left == right else "  " for left, right in list(pairs)[1:])]
        self.heads = [layout.heads[index].name.rsplit(" ", 1) for index in self.columns]
        rows = [[_stack(line.cells[index]) for index in self.columns] for line in layout.lines if line.cells]
        self.widths = [
            max(cell_len(text) for stack in stacks for text in stack) for stacks in zip(self.heads, *rows, strict=True)
        ]
        room = WIDTH - sum(self.widths[1:]) - sum(map(len, self.gaps))
        self.widths[0] = max(least, min(self.widths[0], room))

    def stacks(self, cells: Sequence[Cell]) -> list[Stack]:
        """Return the lines of each shown cell, the title wrapped."""
        stacks = [_stack(cells[index]) for index in self.columns]
        stacks[0] = [part for text in stacks[0] for part in _wrap(text, self.widths[0])]
        return stacks

    def lines(self, stacks: Sequence[Stack], bottom: bool = False) -> Iterator[str]:
        """Yield the lines of a row: the first column to the left, the others to the right."""
        height = max(map(len, stacks))
        for level in range(height):
            parts = []
            for column, stack in enumerate(stacks):
                index = level - (height - len(stack) if bottom else 0)
                text = stack[index] if 0 <= index < len(stack) else ""
                space = " " * (self.widths[column] - cell_len(text))
                parts.append(self.gaps[column] + (text + space if column == 0 else space + text))
            yield "".join(parts).rstrip()

    def labels(self) -> Iterator[str]:
        """Yield the lines of group labels, each wrapped to the columns it stands above."""
        stacks: list[Stack] = []
        spans: list[int] = []
        for column, label in enumerate(self.groups):
            if column and label and label == self.groups[column - 1]:
                spans[-1] += self.widths[column] + len(self.gaps[column])
            else:
                spans.append(self.widths[column] + len(self.gaps[column]))
                stacks.append([label])
        wrapped = [_wrap(stack[0], max(1, span - 2)) for stack, span in zip(stacks, spans, strict=True)]
        for level in range(max(map(len, wrapped))):
            parts = [stack[level] if level < len(stack) else "" for stack in wrapped]
            yield "".join(
                set_cell_size(f"  {part}" if part else "", span) for part, span in zip(parts, spans, strict=True)
            ).rstrip()

    def rule(self) -> str:
        """Return a line as wide as the table."""
        return "─" * (sum(self.widths) + sum(map(len, self.gaps)))


def _stack(cell: Cell) -> Stack:
    marked = one_line(cell.text) + "".join(cell.marks).translate(_RAISED)
    return [marked, one_line(cell.second)] if cell.second else [marked]


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(one_line(text), width, break_on_hyphens=False) or [""]
