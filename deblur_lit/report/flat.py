"""A table as JSON, the whole model, and as CSV, one line a row with unrounded numbers."""

import csv
import io
import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from functools import reduce
from typing import Any, cast

from deblur_lit.report.runs import Run
from deblur_lit.report.spec import METRICS
from deblur_lit.report.table import Row, Table

SCHEMA = 1  # of table.json
_RUN_FIELDS = {
    "checkpoints": "checkpoint.sha256",
    "runs": "folder",
    "config_hashes": "config_hash",
    "commits": "commit",
}


def as_json(table: Table) -> str:
    """Return the model as JSON; an infinite number is the text "inf"."""
    content = {"schema": SCHEMA, **asdict(table)}
    return json.dumps(_finite(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def as_csv(table: Table) -> str:
    """Return one line a row: numbers unrounded, what several runs say joined by spaces."""
    return write_csv([dict(_fields(table, row)) for row in table.rows])


def write_csv(rows: list[dict[str, str]]) -> str:
    """Return lines of equal keys as CSV with a head."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def plain(value: object) -> str:
    """Return a value as CSV holds it: "" for None, floats so that they read back equal.

    Example:
        >>> plain(None), plain(0.1), plain(True), plain(3)
        ('', '0.1', 'true', '3')
    """
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _fields(table: Table, row: Row) -> Iterator[tuple[str, str]]:
    yield from {
        "row": row.key,
        "title": row.title,
        "section": row.section,
        "weights": row.weights or "",
    }.items()
    for name in table.benchmarks:
        published = row.published.get(name)
        for key in (*METRICS, "protocol", "source"):
            yield f"published_{name}_{key}", plain(getattr(published, key) if published else None)
    for column in table.columns:
        yield from _measured(table, row, column.benchmark)
    for key in ("network.parameters", "network.macs_256", "network.reduced", "checkpoint.selection"):
        yield key.replace(".", "_"), plain(_get(row.runs[0], key)) if row.runs else ""
    yield "undertrained", plain(row.undertrained)
    yield "seeds", _joined(row, "seed")
    for key in ("training.data", "training.data_hash", "training.steps", "training.seconds"):
        yield key.replace(".", "_"), _joined(row, key)
    for head, key in _RUN_FIELDS.items():
        yield head, _joined(row, key)
    yield "remarks", " | ".join((*row.remarks, *row.unfinished))


def _measured(table: Table, row: Row, name: str) -> Iterator[tuple[str, str]]:
    cell = row.measured.get(name)
    score = next((run.scores[name] for run in row.runs if name in run.scores), None)
    prefix = f"measured_{name}"
    yield f"{prefix}_label", score.label if score else ""
    for metric in METRICS:
        spread = getattr(cell, metric, None)
        yield f"{prefix}_{metric}", plain(getattr(spread, "mean", None))
        yield f"{prefix}_{metric}_std", plain(getattr(spread, "std", None))
    for key in ("gain", "delta_psnr", "delta_ssim"):
        yield f"{prefix}_{key}", plain(getattr(cell, key, None))
    if table.reference:
        found = cell.compared.get(table.reference) if cell else None
        for key in ("low", "high", "detectable", "verdict"):
            yield f"{prefix}_delta_psnr_{key}", plain(getattr(found, key, None))
    for variant in table.variants[name]:
        beside = cell.beside.get(variant) if cell else None
        for metric in METRICS:
            yield f"{prefix}_{variant}_{metric}", plain(getattr(getattr(beside, metric, None), "mean", None))
    yield f"{prefix}_stale", " | ".join(cell.stale) if cell else ""
    yield f"{prefix}_protocol", " ".join(score.protocol.values()) if score else ""
    yield f"{prefix}_data_hash", score.data_hash if score else ""
    yield f"{prefix}_missing", row.reasons.get(name, "")


def _joined(row: Row, key: str) -> str:
    return " ".join(filter(None, (plain(_get(run, key)) for run in row.runs)))


def _get(run: Run, key: str) -> object:
    """Return a field of a run or of one of its parts (`training.steps`), None where the part is None."""
    return reduce(lambda part, name: getattr(part, name, None), key.split("."), cast(object, run))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return value
