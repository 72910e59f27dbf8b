"""A table as text in cells, with its notes: what Markdown, LaTeX and the terminal have in common."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from deblur_lit.report.columns import Cell, Head, limits, table_columns
from deblur_lit.report.runs import Run
from deblur_lit.report.table import Comparison, Measured, Row, Table
from deblur_lit.report.text import duration, millions, number, one_line, short_hash


@dataclass(frozen=True)
class Line:
    """The cells of a row, or the heading of a rule and no cells."""

    cells: tuple[Cell, ...]
    heading: str = ""


@dataclass(frozen=True)
class Layout:
    """Everything that a rendering shows, in order.

    `preface` are paragraphs above the table; `notes` pairs of mark and text: letters for footnotes, numbers
    for rows; `sources` say where the published numbers come from.
    """

    title: str
    preface: tuple[str, ...]
    heads: tuple[Head, ...]
    lines: tuple[Line, ...]
    notes: tuple[tuple[str, str], ...]
    sources: tuple[str, ...]

    def groups(self) -> list[tuple[str, int]]:
        """Return label and width in columns of each group of heads, "" for columns that stand alone."""
        return [(label, len(list(heads))) for label, heads in groupby(self.heads, lambda head: head.group)]


def lay_out(table: Table) -> Layout:
    """Return a table's cells and notes, every number rounded as printed: PSNR to .01 dB, SSIM to .001."""
    letters = dict(zip(table.footnotes, "abcdefghijklmnopqrstuvwxyz", strict=False))
    columns = list(table_columns(table, letters))
    lines: list[Line] = []
    section = ""
    for index, row in enumerate(table.rows, 1):
        if row.section != section:
            section = row.section
            lines.append(Line((), section))
        title = Cell(row.title, tuple(letters[name] for name in row.footnotes), describe(row))
        note = row_note(table, row)
        cells = [content(row) for _, content in columns]
        cells = [cell if cell.about or not cell.text else replace(cell, about=note) for cell in cells]
        lines.append(Line((title, *cells, Cell(str(index)))))
    footnotes = [(letters[name], one_line(text)) for name, text in table.footnotes.items()]
    rows = [(str(index), row_note(table, row)) for index, row in enumerate(table.rows, 1)]
    return Layout(
        title=f"{table.title}; measured on {table.data}",
        preface=(table.claim, table.source, *table.warnings, *_legend(table)),
        heads=(Head("", "system"), *(head for head, _ in columns), Head("", "#")),
        lines=tuple(lines),
        notes=(*footnotes, *rows),
        sources=tuple(dict.fromkeys(_sources(table))),
    )


def describe(row: Row) -> str:
    """Return what stands behind a row's title: whose weights, how small, how many seeds."""
    network = row.runs[0].network if row.runs else None
    parts = []
    if network and network.reduced:
        parts.append(f"(reduced, {millions(network.parameters)} M parameters)")
    if row.weights == "published":
        parts.append("(published weights)")
    if row.weights == "trained" and len(row.runs) > 1:
        parts.append(f"({len(row.runs)} seeds)")
    if row.undertrained:
        parts.append("(undertrained)")
    if any(cell.stale for cell in row.measured.values()):
        parts.append("(stale)")
    return " ".join(parts)


def row_note(table: Table, row: Row) -> str:
    """Return where a row's measured cells come from and what its differences are worth, or why they are empty."""
    told = [_provenance(run, row) for run in row.runs]
    common = [part for part in told[0] if all(part in parts for parts in told)] if len(told) > 1 else []
    sentences = []
    for run, parts in zip(row.runs, told, strict=True):
        own = [part for part in parts if part not in common]
        sentences.append(f"{run.folder}: {'; '.join(own)}")
    if len(told) > 1:
        sentences.append(f"All: {'; '.join(common)}")
        seeds = ", ".join(str(run.seed) for run in row.runs)
        sentences.insert(0, f"Mean ± sample standard deviation over seeds {seeds}")
    sentences += row.remarks
    sentences += dict.fromkeys(f"Stale: {text}" for cell in row.measured.values() for text in cell.stale)
    for name, cell in row.measured.items():
        sentences += _beside(table, name, cell)
        sentences += [_compared(table, name, key, found) for key, found in cell.compared.items()]
    if row.runs:
        sentences += row.unfinished
    sentences += dict.fromkeys(row.reasons.values())
    return " ".join(one_line(sentence).rstrip(".") + "." for sentence in sentences)


def _beside(table: Table, name: str, cell: Measured) -> Iterator[str]:
    for key, label in table.variants[name].items():
        if key in cell.beside:
            found = cell.beside[key]
            said = f"{number(found.psnr.mean, 2)} dB, SSIM {number(found.ssim.mean, 3)}" if found else "as plain"
            yield f"On {name} with {label}, not the paper's protocol: {said}"


def _compared(table: Table, name: str, key: str, found: Comparison) -> str:
    title = next(row.title for row in table.rows if row.key == key)
    return f"Against {title} on {name}: {sentence(found)}"


def sentence(found: Comparison) -> str:
    """Return a difference with its interval, its verdict and what could have been found.

    Example:
        >>> sentence(Comparison(4.0, None, None, None, 7, (1, 1), "undecidable, 7 sequences"))
        '+4.00 dB; undecidable, 7 sequences'
        >>> sentence(Comparison(0.12, 0.05, 0.19, 0.09, 11, (3, 3), "the rows differ")).split("; ")[:3]
        ['+0.12 dB', '95 % interval [+0.050, +0.190]', 'the rows differ']
    """
    parts = [f"{number(found.mean, 2, signed=True)} dB" if found.mean is not None else "", found.verdict]
    if found.low is not None:
        parts.insert(1, f"95 % interval {limits(found)}")
        parts.append(f"with 80 % power {number(found.detectable, 2)} dB would show")
        parts.append(f"{found.sequences} sequences, {found.seeds[0]} and {found.seeds[1]} runs")
    return "; ".join(filter(None, parts))


def _provenance(run: Run, row: Row) -> list[str]:
    parts = []
    if run.checkpoint:
        said = run.checkpoint.selection
        parts.append("published weights" if said == "published" else said)
        parts.append(f"{run.checkpoint.file} {short_hash(run.checkpoint.sha256)}")
    if run.training:
        parts.append(f"{run.training.steps} steps in {duration(run.training.seconds)}")
        parts.append(f"trained on {run.training.data} {short_hash(run.training.data_hash)}")
    for name in row.measured:
        if score := run.scores.get(name):
            protocol = " and ".join(score.protocol.values())
            parts.append(f"scored on {name} {short_hash(score.data_hash)} with {protocol}")
    return [*parts, f"commit {short_hash(run.commit)}", f"config {short_hash(run.config_hash)}"]


def _legend(table: Table) -> Iterator[str]:
    for column in table.columns:
        if column.images:
            protocol = " and ".join(column.protocol.values())
            yield f"Measured, {column.label}: {protocol}, means over images. Gain: over the blurred input."
    if table.reference:
        title = next(row.title for row in table.rows if row.key == table.reference)
        yield (
            f"Δ is the difference to the row '{title}', with the 95 % interval for PSNR over sequences and seeds. "
            "Detectable: the difference that would show with 80 % power. One run each speaks of two checkpoints, not "
            "of the rows, whose seeds scatter besides."
        )
    if any(table.variants.values()):
        yield "Not the paper's protocol: the same weights used otherwise. As plain: no pools, so TLC changes nothing."
    yield "params M: millions of parameters. MACs G: billions of multiply-accumulates at 256x256."


def _sources(table: Table) -> Iterator[str]:
    for row in table.rows:
        for name, cell in row.published.items():
            title = table.benchmarks[name].title
            yield f"{row.title}, {title}: {cell.source.rstrip('.')}. Protocol: {cell.protocol}."
