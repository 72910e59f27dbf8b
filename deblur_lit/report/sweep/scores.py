"""Scores of a sweep's rows: test scores as tables have them, with verdicts, and the best validation so far."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deblur_lit.report.build import make_row
from deblur_lit.report.choose import choose
from deblur_lit.report.differences import with_differences
from deblur_lit.report.layout import sentence
from deblur_lit.report.read import read_run
from deblur_lit.report.runs import INPUT_ROW, Run, Weights
from deblur_lit.report.spec import RowSpec, TableSpec
from deblur_lit.report.sweep.jobs import Job
from deblur_lit.report.sweep.rows import find, shared
from deblur_lit.report.table import Measured, Row, Spread, difference, spread

REFERENCE = "baseline"  # the row that differences refer to, where nothing else is said
VALIDATION = "val/psnr"


@dataclass(frozen=True)
class Line:
    """A row of the table.

    Attributes:
        key: name of its folder.
        title: how it is shown.
        seeds: how many runs it has, finished or not.
        tested: how many of them the test scores are of.
        validated: over the best `val/psnr` (dB) of each seed, `so_far` where not all are finished; `val_delta` is the
            difference to the reference, None while either row is at work.
        measured: on the test split, None where nothing is scored yet.
        worth: what the difference to the reference is worth, "" where it cannot be said.
        remarks: what is left out, and why.
    """

    key: str
    title: str
    seeds: int
    tested: int
    validated: Spread | None
    so_far: bool
    val_delta: float | None
    measured: Measured | None
    verdict: str
    worth: str
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Scores:
    """The table of one data set: what its scores are of, the reference row (None where it is not
    there), what was changed in all rows alike, and the lines."""

    label: str
    protocol: str
    reference: str | None
    common: str
    lines: tuple[Line, ...]


def score(data: str, rows: Mapping[str, Sequence[Job]], reference: str) -> Scores:
    """Return the scores of the rows of one data set.

    Args:
        data: its name.
        rows: jobs by row, in order.
        reference: the row that differences refer to; without such a row there are none.
    """
    found, problems = _read(rows)
    spec = _spec(data, rows, reference)
    choice = choose(spec, data, found)
    made = [make_row(row, _weights(choice.runs[row.key]), choice.runs[row.key], choice.columns) for row in spec.rows]
    tested = {row.key: row for row in with_differences(made, spec)}
    lines = [
        _line(jobs, rows.get(spec.reference or "", ()), tested[key], data, [*problems[key], *choice.left_out[key]])
        for key, jobs in rows.items()
    ]
    column = choice.columns[0]
    common = ", ".join(shared(rows))
    return Scores(column.label, " and ".join(column.protocol.values()), spec.reference, common, tuple(lines))


def _line(jobs: Sequence[Job], base: Sequence[Job], row: Row, data: str, remarks: Sequence[str]) -> Line:
    """Return the line of a row, whose jobs are compared with those of the reference row, `base`."""
    measured = row.measured.get(data)
    reference = base[0].row if base else row.key
    compared = measured.compared.get(reference) if measured else None
    validated, other = _validated(jobs), _validated(base)
    done = all(job.state == "finished" for job in (*jobs, *base))
    delta = difference(validated.mean, other.mean) if validated and other and done and row.key != reference else None
    return Line(
        key=row.key,
        title=row.title,
        seeds=len(jobs),
        tested=measured.psnr.count if measured else 0,
        validated=validated,
        so_far=any(job.state != "finished" for job in jobs),
        val_delta=delta,
        measured=measured,
        verdict=compared.verdict if compared else "",
        worth=sentence(compared) if compared else "",
        remarks=(*remarks, *(f"{row.title}: {remark}" for remark in row.remarks)),
    )


def _read(rows: Mapping[str, Sequence[Job]]) -> tuple[dict[str, list[Run]], dict[str, list[str]]]:
    """Return the finished runs by row, and what is wrong with records that are no such runs."""
    found: dict[str, list[Run]] = {key: [] for key in rows}
    problems: dict[str, list[str]] = {key: [] for key in rows}
    for key, jobs in rows.items():
        for job in jobs:
            if job.record is None:
                continue
            try:
                found[key].append(_run(job))
            except ValueError as error:
                problems[key].append(str(error))
    return found, problems


def _run(job: Job) -> Run:
    path, row = job.path.resolve(), str((job.record or {}).get("row"))
    weights: Weights = "trained" if job.seed is not None else "published" if path.name == "published" else "input"
    if weights == "input" and path.name != INPUT_ROW:
        raise ValueError(f"{job.folder}: only folders <data>/<row>/seed<k> are in the table")
    base = Path(*path.parts[: -1 if weights == "input" else -2])
    return read_run(base, path, row, weights)


def _spec(data: str, rows: Mapping[str, Sequence[Job]], reference: str) -> TableSpec:
    titles = {key: jobs[0].title for key, jobs in rows.items()}
    return TableSpec(
        name="",
        title="",
        claim="",
        source="",
        reference=find(reference, rows),
        benchmarks={},
        measured={},
        rows=tuple(RowSpec(key, title, "", False, {}, ()) for key, title in titles.items()),
        footnotes={},
    )


def _weights(runs: Sequence[Run]) -> Weights | None:
    return runs[0].weights if runs else None


def _validated(jobs: Sequence[Job]) -> Spread | None:
    best = [max(job.log[VALIDATION].values()) for job in jobs if VALIDATION in job.log]
    return spread(best) if best else None
