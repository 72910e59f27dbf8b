"""Whether what a run's scores were made of is still what lies there: checkpoint, configuration, data."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deblur_lit.report.fields import read_json, take
from deblur_lit.report.read import shown
from deblur_lit.report.runs import RECORD, Run
from deblur_lit.report.text import short_hash

CURRENT = "current.json"  # beside the rows: what data and configurations are now, by whoever can read them
CONFIG = "config.yaml"  # in a run folder


@dataclass(frozen=True)
class Facts:
    """What was found of one run, hashes as sha256 in hex; None or empty where it could not be looked at.

    `record` is the hash of the metrics.json that the facts are about, `config_file` that of config.yaml then;
    `config_hash` is what that file's values hash to, `train` the hash of the images that it trains on, and `recipe`
    names the keys to which the table's recipe gives other values.
    """

    record: str
    config_file: str | None
    config_hash: str | None
    train: str | None
    recipe: tuple[str, ...]


@dataclass(frozen=True)
class Current:
    """What was found last: the hash of each benchmark's test images, and facts by run folder below the data set's."""

    test: dict[str, str]
    runs: dict[str, Facts]


def read_current(base: Path) -> Current:
    """Return what current.json of runs/<table>/<data> says, nothing where there is none.

    Raises:
        ValueError: if it is damaged; names the file.
    """
    if not (base / CURRENT).exists():
        return Current({}, {})
    where = shown(base, base / CURRENT)
    data = read_json(base / CURRENT, where)
    test, entries = take(data, "test", dict, where), take(data, "runs", dict, where)
    return Current(
        {name: take(test, name, str, where) for name in test},
        {name: _facts(take(entries, name, dict, where), f"{where}, {name}") for name in entries},
    )


def file_hash(file: Path) -> str | None:
    """Return the sha256 of a file in hex, None where there is none."""
    if not file.is_file():
        return None
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def changes(base: Path, run: Run, current: Current) -> dict[str, list[str]]:
    """Return what changed since a run was scored, one text each, by the benchmarks that it was scored on.

    Args:
        base: runs/<table>/<data>.
        run: what its record says.
        current: of the same folder.
    """
    place = Path(*Path(run.folder).parts[3:])
    found = []
    if run.checkpoint:  # published weights lie elsewhere, and weights that were thrown away cannot have changed
        found += _changed(
            f"{run.checkpoint.file} is", run.checkpoint.sha256, file_hash(base / place / run.checkpoint.file)
        )
    facts = current.runs.get(place.as_posix())
    if facts and facts.record == file_hash(base / place / RECORD):
        found += _changed(f"{CONFIG} is", run.config_hash, facts.config_hash)
        if not found and facts.config_file != file_hash(base / place / CONFIG):
            found.append(f"{CONFIG} was edited")
        if facts.recipe:
            found.append(f"the table's recipe has other values of {', '.join(facts.recipe)} now")
        if run.training:
            found += _changed(f"training images of {run.training.data} are", run.training.data_hash, facts.train)
    return {
        name: [*found, *_changed(f"test images of {name} are", score.data_hash, current.test.get(name))]
        for name, score in run.scores.items()
    }


def _changed(subject: str, before: str, now: str | None) -> list[str]:
    return [] if now in (None, before) else [f"{subject} {short_hash(str(now))} now, not {short_hash(before)}"]


def _facts(entry: Mapping[str, Any], where: str) -> Facts:
    optional = ("config_file", "config_hash", "train")
    found = {key: None if entry.get(key, 0) is None else take(entry, key, str, where) for key in optional}
    recipe = tuple(map(str, take(entry, "recipe", list, where)))
    return Facts(record=take(entry, "record", str, where), recipe=recipe, **found)
