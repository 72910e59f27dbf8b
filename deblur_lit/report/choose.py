"""Which runs may stand in one table: same data, same protocol, same training within a row."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from deblur_lit.report.runs import Run
from deblur_lit.report.spec import TableSpec
from deblur_lit.report.table import Column


@dataclass(frozen=True)
class Choice:
    """Runs by row, what all cells of a column share, and by row why other runs are left out."""

    runs: dict[str, list[Run]]
    columns: tuple[Column, ...]
    left_out: dict[str, list[str]]


def choose(spec: TableSpec, data: str, found: Mapping[str, Sequence[Run]]) -> Choice:
    """Return the runs that can be compared with each other.

    The first usable run in row order (the blurred input, or the baseline) fixes a column's data and protocol,
    a row's first seed its network, training and choice of checkpoint. A run that differs is left out.

    Args:
        spec: the table.
        data: data set that the runs must have been trained on; weights trained on another never fill a cell.
        found: finished runs by row, rows and seeds in order.
    """
    benchmarks = spec.measured.get(data, (data,))
    columns: dict[str, Column] = {}
    chosen: dict[str, list[Run]] = {}
    left_out: dict[str, list[str]] = {}
    for row, runs in found.items():
        chosen[row], left_out[row] = [], []
        for run in runs:
            objection = (
                _trained_elsewhere(run, data)
                or _wrong_score(run, spec, benchmarks)
                or _other_column(run, columns)
                or _other_training(run, chosen[row])
            )
            if objection:
                left_out[row].append(f"{run.folder} is left out: {objection}")
                continue
            chosen[row].append(run)
            for name in benchmarks:
                if name in run.scores:
                    columns.setdefault(name, _column(run, name))
    main = benchmarks[0]
    title = spec.benchmarks[main].title if main in spec.benchmarks else main
    columns.setdefault(main, Column(main, f"{title}, nothing measured yet", 0, False, "", {}))
    return Choice(chosen, tuple(columns[name] for name in benchmarks if name in columns), left_out)


def plan(run: Run) -> dict[str, object]:
    """Return what two runs of one training must agree on: everything but the seed and the time it took."""
    training = asdict(run.training) if run.training else {}
    return {key: value for key, value in training.items() if key != "seconds"}


def differing(run: Run, other: Run) -> str:
    """Return where the trainings of two runs differ, "" where they agree."""
    mine, others = plan(run), plan(other)
    parts = [
        f"{key} {_short(mine[key])}, not {_short(others.get(key))}" for key in mine if mine[key] != others.get(key)
    ]
    return "; ".join(parts)


def _column(run: Run, name: str) -> Column:
    score = run.scores[name]
    return Column(name, score.label, score.images, score.complete, score.data_hash, score.protocol)


def _trained_elsewhere(run: Run, data: str) -> str:
    if run.training and run.training.data != data:
        return f"trained on {run.training.data}, and this table is for {data}"
    return ""


def _wrong_score(run: Run, spec: TableSpec, benchmarks: Sequence[str]) -> str:
    held = [name for name in benchmarks if name in run.scores]
    if not held:
        return f"holds no score on {' or '.join(benchmarks)}, only on {', '.join(run.scores) or 'nothing'}"
    for name in held:
        score = run.scores[name]
        if score.split != "test":
            return f"scored on the {score.split} split of {name}, not on test"
        full = spec.benchmarks[name].images if name in spec.benchmarks else score.images
        if score.complete and score.images != full:
            return f"claims the complete test set of {name} with {score.images} images, not {full}"
    return ""


def _other_column(run: Run, columns: Mapping[str, Column]) -> str:
    for name, column in columns.items():
        if name not in run.scores or (mine := _column(run, name)) == column:
            continue
        for key in ("data_hash", "protocol", "label", "images", "complete"):
            ours, theirs = getattr(mine, key), getattr(column, key)
            if ours != theirs:
                said = f"{_short(ours)}, rows above have {_short(theirs)}"
                return f"its score on {name} has another {key.replace('_', ' ')} ({said}); run the row again"
    return ""


def _other_training(run: Run, accepted: Sequence[Run]) -> str:
    for first in accepted:
        if first.weights != run.weights:
            continue
        if first.network != run.network:
            return f"its network is not that of {first.folder}"
        if difference := differing(run, first):
            return f"trained otherwise than {first.folder} ({difference})"
        if first.checkpoint and run.checkpoint and first.checkpoint.selection != run.checkpoint.selection:
            return f"scored {run.checkpoint.selection}, not {first.checkpoint.selection} as {first.folder}"
    return ""


def _short(value: object) -> str:
    """Return a value as messages say it: hashes abbreviated, names of protocols listed."""
    if isinstance(value, dict):
        return " and ".join(map(str, value.values()))
    return value[:12] if isinstance(value, str) and len(value) >= 40 else str(value)
