"""Reading run folders: metrics.json records, each checked whole, and why one cannot be used."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deblur_lit.report.fields import read_json, take, take_number
from deblur_lit.report.runs import (
    INPUT_ROW,
    RECORD,
    SCHEMA,
    Checkpoint,
    Network,
    Run,
    Training,
    Weights,
)
from deblur_lit.report.scores import read_score


def find_runs(base: Path, row: str) -> tuple[list[Run], list[str]]:
    """Return the finished runs of a row and what is wrong with the others.

    Args:
        base: runs/<study>/<data>. A row's records lie in <row>/ (the blurred input), <row>/seed<k>/ (trained
            here) and <row>/published/ (published weights).
        row: its key.

    Returns:
        Runs in the order input, seeds ascending, published; one sentence for each folder that has begun and
        has no record, or whose record is damaged, of another schema or of another run.
    """
    folder = base / row
    seeds = [entry for entry in folder.glob("seed*") if re.fullmatch(r"seed(0|[1-9]\d*)", entry.name)]
    places: list[tuple[Path, Weights]] = [(folder, "input")] if row == INPUT_ROW else []
    places += [(seed, "trained") for seed in sorted(seeds, key=lambda entry: int(entry.name[4:]))]
    places += [(folder / "published", "published")]
    runs, problems = [], []
    for place, weights in places:
        if not place.is_dir():
            continue
        if not (place / RECORD).exists():
            problems.append(f"{shown(base, place)} is unfinished: it has no {RECORD}")
            continue
        try:
            runs.append(read_run(base, place, row, weights))
        except ValueError as error:
            problems.append(str(error))
    return runs, problems


def shown(base: Path, path: Path) -> str:
    """Return a path below runs/<study>/<data> as messages and tables name it, from the runs folder on.

    Example:
        >>> shown(Path("/disk/runs/table1/mini"), Path("/disk/runs/table1/mini/blur"))
        'runs/table1/mini/blur'
    """
    runs = base.resolve().parents[1].name
    return Path(runs, base.parent.name, base.name, path.relative_to(base)).as_posix()


def read_run(base: Path, place: Path, row: str, weights: Weights) -> Run:
    """Return the run that a folder records.

    Args:
        base: runs/<study>/<data>.
        place: the folder that holds metrics.json.
        row: key that the record must carry.
        weights: what the place says of the weights, and the record must agree with.

    Raises:
        ValueError: naming file and key, if the record is damaged, of another schema or of another run.
    """
    where = shown(base, place / RECORD)
    data = read_json(place / RECORD, where)
    if (schema := take(data, "schema", int, where)) != SCHEMA:
        raise ValueError(f"{where}: has schema {schema}, this program reads {SCHEMA}; run the row again")
    seed = int(place.name[4:]) if weights == "trained" else None
    for key, expected in {"row": row, "seed": seed}.items():
        if key not in data or data[key] != expected:
            raise ValueError(f"{where}: `{key}` is {data.get(key)!r}, its folder says {expected!r}")
    scores = take(data, "scores", dict, where)
    dirty = "+dirty" if take(data, "dirty", bool, where) else ""
    run = Run(
        folder=shown(base, place),
        row=row,
        weights=weights,
        seed=seed,
        config_hash=take(data, "config_hash", str, where),
        commit=take(data, "commit", str, where) + dirty,
        network=_network(data, where),
        training=_training(data, where),
        checkpoint=_checkpoint(data, where),
        scores={name: read_score(scores, name, where) for name in scores},
    )
    _check_kind(run, where)
    return run


def _network(data: Mapping[str, Any], where: str) -> Network | None:
    if (part := _part(data, "network", where)) is None:
        return None
    at = f"{where}, network"
    macs = None if part.get("macs_256", 0) is None else take(part, "macs_256", int, at)
    return Network(
        take(part, "target", str, at),
        take(part, "parameters", int, at),
        macs,
        take(part, "reduced", bool, at),
    )


def _training(data: Mapping[str, Any], where: str) -> Training | None:
    if (part := _part(data, "training", where)) is None:
        return None
    at = f"{where}, training"
    return Training(
        data=take(part, "data", str, at),
        data_hash=take(part, "data_hash", str, at),
        steps=take(part, "steps", int, at),
        crops=take(part, "crops", int, at),
        crop_size=take(part, "crop_size", int, at),
        batch_size=take(part, "batch_size", int, at),
        seconds=take_number(part, "seconds", at),
    )


def _checkpoint(data: Mapping[str, Any], where: str) -> Checkpoint | None:
    if (part := _part(data, "checkpoint", where)) is None:
        return None
    at = f"{where}, checkpoint"
    return Checkpoint(**{key: take(part, key, str, at) for key in ("file", "sha256", "selection")})


def _part(data: Mapping[str, Any], key: str, where: str) -> dict[str, Any] | None:
    return None if data.get(key, 0) is None else take(data, key, dict, where)


def _check_kind(run: Run, where: str) -> None:
    """Refuse a record whose parts contradict the place where it lies."""
    needed = {
        "input": (),
        "trained": ("network", "training", "checkpoint"),
        "published": ("network", "checkpoint"),
    }
    for part in ("network", "training", "checkpoint"):
        if (getattr(run, part) is not None) != (part in needed[run.weights]):
            state = "null" if getattr(run, part) is None else "filled"
            raise ValueError(f"{where}: `{part}` is {state}, which a record of {run.weights} weights cannot have")
    if run.checkpoint and (run.checkpoint.selection == "published") != (run.weights == "published"):
        raise ValueError(f"{where}: `selection` is {run.checkpoint.selection!r} in a record of {run.weights} weights")
