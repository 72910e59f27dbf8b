"""Comparing rows of a table by what their records hold of each sequence."""

import numpy as np

from deblur_lit.report.compare import compare
from deblur_lit.report.runs import Run, SequenceMean
from deblur_lit.report.table import Comparison, Row


def contrast(row: Row, other: Row, benchmark: str, variant: str | None = None) -> Comparison | None:
    """Return what the difference between two rows is worth: the first minus the second.

    Args:
        row: the row whose difference is asked for.
        other: the row it is compared with.
        benchmark: where both were scored.
        variant: how both were restored, None for the paper's way. A row that a variant does not change is
            compared by its plain score.

    Returns:
        The comparison, None where a run of either row was not scored so.
    """
    first, second = ([_sequences(run, benchmark, variant) for run in side.runs] for side in (row, other))
    known = [run for run in (*first, *second) if run is not None]
    if not first or not second or len(known) < len(first) + len(second):
        return None
    shapes = {tuple((part.name, part.images) for part in run) for run in known}
    if len(shapes) > 1:
        return Comparison(
            None, None, None, None, len(known[0]), (len(first), len(second)), "undecidable, scored on other images"
        )
    psnr = np.array([[part.psnr for part in run] for run in known])
    return compare(psnr[: len(first)], psnr[len(first) :], np.array([part.images for part in known[0]]))


def _sequences(run: Run, benchmark: str, variant: str | None) -> tuple[SequenceMean, ...] | None:
    """Return the means of a run by sequence, None where it was not scored so."""
    score = run.scores.get(benchmark)
    if score is None or variant is None:
        return score.sequences if score else None
    if variant not in score.variants:
        return None
    changed = score.variants[variant]
    return changed.sequences if changed else score.sequences
