"""Differences between the rows of a table: to its reference, and the further ones that its description names."""

from collections.abc import Sequence
from dataclasses import replace

from deblur_lit.report.choose import differing
from deblur_lit.report.spec import TableSpec
from deblur_lit.report.table import Comparison, Row, difference


def with_differences(rows: Sequence[Row], spec: TableSpec) -> list[Row]:
    """Return the rows with differences to the reference, and what differences are worth."""
    reference = _first(rows, spec.reference)
    if reference is not None:
        rows = [_with_deltas(row, reference) for row in rows]
    return [_with_comparisons(row, rows, spec) for row in rows]


def _first(rows: Sequence[Row], key: str | None) -> Row | None:
    return next((row for row in rows if row.key == key), None)


def _with_deltas(row: Row, reference: Row) -> Row:
    if row.key == reference.key and row.weights == reference.weights:
        return row
    measured = {
        name: replace(
            cell,
            delta_psnr=difference(cell.psnr.mean, reference.measured[name].psnr.mean),
            delta_ssim=difference(cell.ssim.mean, reference.measured[name].ssim.mean),
        )
        if name in reference.measured
        else cell
        for name, cell in row.measured.items()
    }
    remarks = row.remarks
    if row.weights == reference.weights == "trained" and (other := differing(row.runs[0], reference.runs[0])):
        remarks = (*remarks, f"trained otherwise than {reference.title}: {other}")
    return replace(row, measured=measured, remarks=remarks)


def _with_comparisons(row: Row, rows: Sequence[Row], spec: TableSpec) -> Row:
    keys = [key for key in (spec.reference, *(second for first, second in spec.compared if first == row.key)) if key]
    others = [other for key in keys if (other := _first(rows, key)) is not None and other != row]
    measured = {
        name: replace(
            cell, compared={other.key: found for other in others if (found := _compared(row, other, name)) is not None}
        )
        for name, cell in row.measured.items()
    }
    return replace(row, measured=measured)


def _compared(row: Row, other: Row, benchmark: str) -> Comparison | None:
    """Return the comparison of two rows that were scored on a benchmark, None where a score is stale."""
    from deblur_lit.report.contrast import contrast  # numpy, only where there is something to compare

    cells = [side.measured.get(benchmark) for side in (row, other)]
    if any(cell is None or cell.stale for cell in cells):
        return None
    return contrast(row, other, benchmark)
