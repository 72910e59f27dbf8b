"""The columns of a table between title and note: a head each, and the text that a row has there."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from deblur_lit.report.runs import Run
from deblur_lit.report.spec import METRICS
from deblur_lit.report.table import Comparison, Row, Spread, Table
from deblur_lit.report.text import billions, duration, millions, number

DIGITS = {"psnr": 2, "ssim": 3}
NAMES = {"psnr": "PSNR dB", "ssim": "SSIM"}
DELTAS = {"psnr": "Δ dB", "ssim": "Δ SSIM"}
NONE = "-"  # a score that is not there; "" where there can be none


@dataclass(frozen=True)
class Cell:
    """A text, the letters of its footnotes, what may follow on a second line, and where it comes from."""

    text: str = ""
    marks: tuple[str, ...] = ()
    second: str = ""
    about: str = ""


@dataclass(frozen=True)
class Head:
    """A column's head; neighbours of one group share its label. The notes repeat a `spare` column."""

    group: str
    name: str
    spare: bool = False


Content = Callable[[Row], Cell]


def table_columns(table: Table, letters: Mapping[str, str]) -> Iterator[tuple[Head, Content]]:
    """Yield head and content of each column: published ones, measured ones, then the cost.

    Args:
        table: the model.
        letters: by name of a footnote.
    """
    reference = next((row for row in table.rows if row.key == table.reference), None)
    for name, benchmark in table.benchmarks.items():
        group = f"published: {benchmark.title}, {benchmark.images} images"
        for metric in METRICS:
            yield Head(group, NAMES[metric]), _published(name, metric, letters)
            if reference:
                yield Head(group, DELTAS[metric]), _published_delta(reference, name, metric)
    for column in table.columns:
        group = f"measured: {column.label}"
        for metric in METRICS:
            yield Head(group, NAMES[metric]), _measured(column.benchmark, metric)
            if reference:
                yield Head(group, DELTAS[metric]), _delta(column.benchmark, metric, reference.key)
            if reference and metric == "psnr":
                yield Head(group, "verdict", spare=True), _verdict(column.benchmark, reference.key)
                yield Head(group, "detectable dB", spare=True), _detectable(column.benchmark, reference.key)
        yield Head(group, "gain dB"), _gain(column.benchmark)
        for key, label in table.variants[column.benchmark].items():
            beside = f"not the paper's protocol: {column.label}, {label}"
            for metric in METRICS:
                yield Head(beside, NAMES[metric], spare=True), _beside(column.benchmark, key, metric)
    yield Head("", "params M"), _of_run(lambda run: millions(run.network.parameters) if run.network else "")
    yield Head("", "MACs G"), _of_run(lambda run: billions(run.network.macs_256) if run.network else "")
    yield Head("", "steps, time", spare=True), _effort


def _published(benchmark: str, metric: str, letters: Mapping[str, str]) -> Content:
    def content(row: Row) -> Cell:
        if (cell := row.published.get(benchmark)) is None:
            return Cell(NONE)
        marks = (letters[cell.footnotes[metric]],) if metric in cell.footnotes else ()
        about = f"{cell.source.rstrip('.')}. Protocol: {cell.protocol}."
        return Cell(number(getattr(cell, metric), DIGITS[metric]), marks, about=about)

    return content


def _published_delta(reference: Row, benchmark: str, metric: str) -> Content:
    def content(row: Row) -> Cell:
        if row.key == reference.key:
            return Cell()
        here, there = row.published.get(benchmark), reference.published.get(benchmark)
        if here is None or there is None:
            return Cell(NONE)
        return Cell(number(getattr(here, metric) - getattr(there, metric), DIGITS[metric], signed=True))

    return content


def _measured(benchmark: str, metric: str) -> Content:
    def content(row: Row) -> Cell:
        if benchmark not in row.measured:
            return Cell(NONE)
        value: Spread = getattr(row.measured[benchmark], metric)
        return _spread(value, metric, bool(row.measured[benchmark].stale))

    return content


def _spread(value: Spread, metric: str, stale: bool) -> Cell:
    std = "" if value.std is None else f"± {number(value.std, DIGITS[metric])}"
    return Cell(number(value.mean, DIGITS[metric]), second="stale" if stale else std)


def _beside(benchmark: str, key: str, metric: str) -> Content:
    def content(row: Row) -> Cell:
        cell = row.measured.get(benchmark)
        if cell is None or key not in cell.beside:
            return Cell(NONE)
        if (found := cell.beside[key]) is None:
            return Cell("as plain")
        return _spread(getattr(found, metric), metric, bool(cell.stale))

    return content


def _delta(benchmark: str, metric: str, reference: str) -> Content:
    def content(row: Row) -> Cell:
        if benchmark not in row.measured:
            return Cell(NONE)
        found = row.measured[benchmark].compared.get(reference) if metric == "psnr" else None
        delta = getattr(row.measured[benchmark], f"delta_{metric}")
        return Cell(number(delta, DIGITS[metric], signed=True), second=limits(found) if found else "")

    return content


def limits(found: Comparison) -> str:
    """Return the 95 % interval of a difference as printed, "" where nothing was decided."""
    if found.low is None or found.high is None:
        return ""
    low, high = (number(value, 3, signed=True) for value in (found.low, found.high))  # 3: 0 must not look inside
    return f"[{low}, {high}]"


def _verdict(benchmark: str, reference: str) -> Content:
    def content(row: Row) -> Cell:
        cell = row.measured.get(benchmark)
        if cell is None or row.key == reference:
            return Cell()
        return Cell(cell.compared[reference].verdict if reference in cell.compared else NONE)

    return content


def _detectable(benchmark: str, reference: str) -> Content:
    def content(row: Row) -> Cell:
        cell = row.measured.get(benchmark)
        found = cell.compared.get(reference) if cell else None
        return Cell(number(found.detectable, DIGITS["psnr"]) if found else "")

    return content


def _gain(benchmark: str) -> Content:
    def content(row: Row) -> Cell:
        if benchmark not in row.measured:
            return Cell(NONE)
        return Cell(number(row.measured[benchmark].gain, DIGITS["psnr"], signed=True))

    return content


def _of_run(read: Callable[[Run], str]) -> Content:
    return lambda row: Cell(read(row.runs[0]) if row.runs else "")


def _effort(row: Row) -> Cell:
    trainings = [run.training for run in row.runs if run.training]
    if not trainings:
        return Cell()
    seconds = sum(training.seconds for training in trainings) / len(trainings)
    return Cell(f"{trainings[0].steps},", second=duration(seconds))
