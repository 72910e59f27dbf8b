"""From a table's description and a runs folder to the model of the table."""

from dataclasses import replace
from pathlib import Path

from deblur_lit.report.choose import Choice, choose
from deblur_lit.report.differences import with_differences
from deblur_lit.report.fields import read_json, take
from deblur_lit.report.read import find_runs, shown
from deblur_lit.report.runs import INPUT_ROW, RECORD, Run, Score, Weights
from deblur_lit.report.spec import RowSpec, TableSpec
from deblur_lit.report.stale import Current, changes, read_current
from deblur_lit.report.table import UNDERTRAINED_DB, Beside, Column, Measured, Row, Table, difference, spread

ADDED = "added here"  # heading above rows that the table's description does not know
MISSING = "missing.json"  # {row: why it could not be scored}, written by whoever tried


def build_table(spec: TableSpec, runs: Path, data: str, optional: bool = False) -> Table:
    """Return the table that the run folders give; they are only read.

    Args:
        spec: rows and published values.
        runs: the runs folder; records are looked for in runs/<table>/<data>/<row>.
        data: data set of the runs, such as `mini` or `gopro`.
        optional: also show optional rows that nobody has run.

    Raises:
        ValueError: if missing.json or current.json is damaged. A damaged metrics.json is none: its cell is empty and
            says so.
    """
    base = runs / spec.name / data
    spec = replace(spec, rows=(*spec.rows, *_added_rows(spec, base)))
    missing, current = _read_missing(base), read_current(base)
    found = {row.key: find_runs(base, row.key) for row in spec.rows}
    choice = choose(spec, data, {key: finished for key, (finished, _) in found.items()})
    rows: list[Row] = []
    for row in spec.rows:
        unfinished = (*found[row.key][1], *choice.left_out[row.key])
        if row.optional and not (optional or choice.runs[row.key] or unfinished or row.key in missing):
            continue
        lines = _rows(row, base, choice, unfinished, missing.get(row.key))
        rows += [_with_changes(line, base, current) for line in lines]
    rows = with_differences(rows, spec)
    return Table(
        name=spec.name,
        data=data,
        optional=optional,
        title=spec.title,
        claim=spec.claim,
        source=spec.source,
        reference=spec.reference,
        benchmarks=spec.benchmarks,
        columns=choice.columns,
        variants={column.benchmark: _labels(spec, rows, column.benchmark) for column in choice.columns},
        rows=tuple(rows),
        footnotes=_footnotes(spec, rows),
        warnings=tuple(filter(None, (_warning(spec, column) for column in choice.columns))),
    )


def _added_rows(spec: TableSpec, base: Path) -> list[RowSpec]:
    """Return a row for each network that was run for this table and that its description does not know."""
    known = {row.key for row in spec.rows}
    added = []
    for folder in sorted(base.iterdir()) if base.is_dir() else []:
        records = sorted(folder.glob(f"seed*/{RECORD}"))
        if folder.name not in known and records:
            where = shown(base, records[0])
            try:
                title = take(read_json(records[0], where), "title", str, where)
            except ValueError:
                title = folder.name  # the row itself will say what is wrong with its record
            added.append(RowSpec(folder.name, title, ADDED, optional=False, published={}, footnotes=()))
    return added


def _read_missing(base: Path) -> dict[str, str]:
    if not (base / MISSING).exists():
        return {}
    where = shown(base, base / MISSING)
    data = read_json(base / MISSING, where)
    return {row: take(data, row, str, where) for row in data}


def _rows(row: RowSpec, base: Path, choice: Choice, unfinished: tuple[str, ...], missing: str | None) -> list[Row]:
    """Return a line for each kind of weights that was scored, or one that says why there is none."""
    kinds: list[Weights] = ["input", "trained", "published"]
    by_kind = {kind: [run for run in choice.runs[row.key] if run.weights == kind] for kind in kinds}
    lines = [make_row(row, kind, runs, choice.columns) for kind, runs in by_kind.items() if runs]
    if lines:
        return [replace(lines[0], unfinished=unfinished), *lines[1:]]
    if not unfinished and missing is None:
        unfinished = (_looked_for(base, row.key),)
    reason = "; ".join([*unfinished, *([missing] if missing else [])])
    empty = make_row(row, None, [], choice.columns)
    return [replace(empty, unfinished=unfinished, reasons=dict.fromkeys(empty.reasons, reason))]


def make_row(row: RowSpec, weights: Weights | None, runs: list[Run], columns: tuple[Column, ...]) -> Row:
    """Return the line of a table for runs of one row and one kind of weights, without differences to other rows."""
    scored = {column.benchmark: [run for run in runs if column.benchmark in run.scores] for column in columns}
    measured = {name: _measure(held, name) for name, held in scored.items() if held}
    gain = measured[columns[0].benchmark].gain if columns[0].benchmark in measured else None
    remarks = []
    if weights == "trained" and gain is not None and gain < UNDERTRAINED_DB:
        remarks = [f"undertrained: {gain:+.2f} dB over the blurred input is less than {UNDERTRAINED_DB} dB"]
    return Row(
        key=row.key,
        title=row.title,
        section=row.section,
        footnotes=row.footnotes,
        published=row.published,
        weights=weights,
        runs=tuple(runs),
        measured=measured,
        undertrained=bool(remarks),
        reasons={name: f"not scored on {name}" for name, held in scored.items() if not held},
        unfinished=(),
        remarks=tuple(remarks),
    )


def _measure(runs: list[Run], benchmark: str) -> Measured:
    scores = [run.scores[benchmark] for run in runs]
    psnr = spread([score.psnr for score in scores])
    gain = None
    if all(run.weights != "input" for run in runs):
        gain = difference(psnr.mean, spread([score.psnr_blur for score in scores]).mean)
    return Measured(
        psnr=psnr,
        ssim=spread([score.ssim for score in scores]),
        gain=gain,
        delta_psnr=None,
        delta_ssim=None,
        beside={key: _beside(scores, key) for key in scores[0].variants if all(key in s.variants for s in scores)},
        stale=(),
        compared={},
    )


def _beside(scores: list[Score], key: str) -> Beside | None:
    held = [variant for score in scores if (variant := score.variants[key])]
    if len(held) < len(scores):
        return None
    return Beside(spread([variant.psnr for variant in held]), spread([variant.ssim for variant in held]))


def _labels(spec: TableSpec, rows: list[Row], benchmark: str) -> dict[str, str]:
    """Return the labels of the variants that rows were scored by, in the order of the table's description."""
    found: dict[str, str] = {}
    for row in rows:
        if benchmark in row.measured:
            variants = row.runs[0].scores[benchmark].variants
            found |= {key: variant.label for key, variant in variants.items() if variant}
    ordered = [key for name in spec.variants for key in sorted(found) if key.startswith(name)]
    return {key: found[key] for key in ordered}


def _with_changes(row: Row, base: Path, current: Current) -> Row:
    """Mark the cells of a row whose runs are no longer what they were scored with."""
    found = {run.folder: changes(base, run, current) for run in row.runs}
    told = {
        name: tuple(f"{folder}: {text}" for folder, texts in found.items() for text in texts.get(name, []))
        for name in row.measured
    }
    return replace(row, measured={name: replace(cell, stale=told[name]) for name, cell in row.measured.items()})


def _looked_for(base: Path, row: str) -> str:
    places = [row] if row == INPUT_ROW else [f"{row}/seed<k>", f"{row}/published"]
    return "not run: looked for " + " and ".join(shown(base, base / place / RECORD) for place in places)


def _footnotes(spec: TableSpec, rows: list[Row]) -> dict[str, str]:
    used = {name for row in rows for name in row.footnotes}
    used |= {name for row in rows for cell in row.published.values() for name in cell.footnotes.values()}
    return {name: text for name, text in spec.footnotes.items() if name in used}


def _warning(spec: TableSpec, column: Column) -> str:
    if column.benchmark not in spec.benchmarks:
        return f"Measured on {column.label}: not to be compared with the published columns."
    full = spec.benchmarks[column.benchmark]
    found = []
    if column.images and not column.complete:
        found.append(f"on {column.images} of {full.images} images of {full.title}")
    if column.images and column.protocol != full.protocol:
        named = [" and ".join(protocol.values()) for protocol in (column.protocol, full.protocol)]
        found.append(f"{full.title} with {named[0]}, published with {named[1]}")
    return f"Measured {', '.join(found)}: not to be compared with the published column." if found else ""
