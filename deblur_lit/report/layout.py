"""A table as text in cells, with its notes: what Markdown, LaTeX and the terminal have in common."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from deblur_lit.report.columns import Cell, Head, table_columns
from deblur_lit.report.runs import Run
from deblur_lit.report.table import Row, Table
from deblur_lit.report.text import duration, millions, one_line, short_hash


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
    for number, row in enumerate(table.rows, 1):
        if row.section != section:
            section = row.section
            lines.append(Line((), section))
        title = Cell(row.title, tuple(letters[name] for name in row.footnotes), describe(row))
        lines.append(Line((title, *(content(row) for _, content in columns), Cell(str(number)))))
    footnotes = [(letters[name], one_line(text)) for name, text in table.footnotes.items()]
    rows = [(str(number), row_note(row)) for number, row in enumerate(table.rows, 1)]
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
    return " ".join(parts)


def row_note(row: Row) -> str:
    """Return where a row's measured cells come from, or why they are empty."""
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
    if row.runs:
        sentences += row.unfinished
    sentences += dict.fromkeys(row.reasons.values())
    return " ".join(one_line(sentence).rstrip(".") + "." for sentence in sentences)


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
        yield f"Δ is the difference to the row '{title}'."
    yield "params M: millions of parameters. MACs G: billions of multiply-accumulates at 256x256."


def _sources(table: Table) -> Iterator[str]:
    for row in table.rows:
        for name, cell in row.published.items():
            title = table.benchmarks[name].title
            yield f"{row.title}, {title}: {cell.source.rstrip('.')}. Protocol: {cell.protocol}."
