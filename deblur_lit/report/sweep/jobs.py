"""The jobs of a sweep: their folders and what each is at."""

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import yaml

from deblur_lit.report.fields import read_json
from deblur_lit.report.runs import RECORD
from deblur_lit.report.sweep.alive import is_held
from deblur_lit.report.sweep.curves import Log, last_step, read_curves
from deblur_lit.report.sweep.log import Printed, find_log, read_log
from deblur_lit.report.sweep.planned import Planned, read_planned
from deblur_lit.report.sweep.rows import shared, title

CONFIG = "config.yaml"
SIGNS = (CONFIG, RECORD, "job.out", ".hydra")  # one of them makes a folder a run's
PICTURE = "validation.png"
ALIVE = ("job.out", "slurm/*_0_log.out", "logs/version_*/metrics.csv", "last.ckpt", PICTURE, CONFIG)
State = Literal["running", "waiting", "failed", "stopped", "finished"]


@dataclass(frozen=True)
class Job:
    """One run folder, or one that a sweep is going to make.

    Attributes:
        path: the folder; `folder` is the same below the folder of runs.
        data: name of the data set, from the folder <data>/<row>/seed<k>; likewise `row`. A run that lies otherwise is
            a row of its own, and `seed` is None.
        record: the completion record, None where there is none that can be read.
        config: as saved at the last start, interpolations unresolved, empty where nothing was saved.
        seen: last sign of life in seconds since 1970, None where the folder is not there yet.
        title: how the row is shown: as a record or configuration of it says, with what not all rows changed.
        note: what else there is to say, such as why it failed.
    """

    folder: str
    path: Path
    data: str
    row: str
    seed: int | None
    state: State
    record: dict[str, Any] | None
    config: dict[str, Any]
    log: Log
    printed: Printed
    seen: float | None
    note: str
    title: str

    @property
    def is_training(self) -> bool:
        """Whether it is a training at all, not the blurred input or published weights."""
        return self.record is None or self.record.get("training") is not None

    @property
    def step(self) -> int | None:
        """Steps done: as recorded, or as printed and logged last."""
        if self.record is not None:
            return self._training("steps")
        return max((step for step in (self.printed.step, last_step(self.log)) if step is not None), default=None)

    @property
    def steps(self) -> int | None:
        """Steps of the whole run, None where nothing tells."""
        if self.record is not None:
            return self._training("steps")
        trainer = self.config.get("trainer")
        told = trainer.get("max_steps") if isinstance(trainer, dict) else None
        return self.printed.steps or (told if isinstance(told, int) and told > 0 else None)

    @property
    def images_per_second(self) -> float | None:
        """Speed while it runs; afterwards the mean of the whole training."""
        if self.record is None:
            return self.printed.images_per_second if self.state == "running" else None
        crops, seconds = self._training("crops"), self._training("seconds")
        return crops / seconds if crops and seconds else None

    def _training(self, key: str) -> Any:
        training = self.record.get("training") if self.record else None
        value = training.get(key) if isinstance(training, dict) else None
        return value if isinstance(value, int | float) else None


def read_jobs(runs: Path) -> list[Job]:
    """Return the jobs below a folder: those of its sweeps in their order, then others by name.

    Raises:
        FileNotFoundError: if there is no run and no sweep.
    """
    planned = read_planned(runs)
    folders = dict.fromkeys([*planned, *(path.relative_to(runs).as_posix() for path in find_folders(runs))])
    if not folders:
        raise FileNotFoundError(
            f"{runs} holds no run: no folder below it has one of {', '.join(SIGNS)}. "
            "Name the folder of a sweep, such as runs/<study>"
        )
    jobs = [_read_job(runs, folder, planned.get(folder)) for folder in folders]
    said = {(job.data, job.row): job.title for job in reversed(jobs) if job.title}
    rows: dict[str, dict[str, None]] = defaultdict(dict)
    for job in jobs:
        rows[job.data][job.row] = None
    common = {data: shared(names) for data, names in rows.items()}
    return [replace(job, title=title(said.get((job.data, job.row), ""), job.row, common[job.data])) for job in jobs]


def find_folders(runs: Path) -> Iterator[Path]:
    """Yield the run folders below a folder, which may be one itself, by name; nothing below a run is looked at."""
    for place, folders, names in os.walk(runs):
        if any(sign in names or sign in folders for sign in SIGNS):
            folders.clear()
            yield Path(place)
        folders[:] = sorted((name for name in folders if not name.startswith(".")), key=_naturally)


def _naturally(name: str) -> list[tuple[str, int]]:
    return [(text, int(digits or -1)) for text, digits in re.findall(r"(\D*)(\d{0,18})", name)]


def _read_job(runs: Path, folder: str, planned: Planned | None) -> Job:
    path = runs / folder
    place = (runs.resolve() / folder).parts
    lies_well = re.fullmatch(r"seed(0|[1-9]\d{0,17})", place[-1]) or place[-1] == "published"
    data, row = place[-3:-1] if lies_well and len(place) > 2 else place[-2:]
    record, damage = _record(path, folder)
    log = read_curves(path)
    seen = _seen(path)
    where = find_log(path)
    printed = Printed()
    if where is not None:
        with suppress(OSError):  # vanished meanwhile
            printed = read_log(where)
    state, note = _state(path, record, damage, planned, seen)
    seed = int(place[-1][4:]) if lies_well and place[-1] != "published" else None
    config = _config(path)
    said = _title(record, config)
    return Job(folder, path, data, row, seed, state, record, config, log, printed, seen, note, said)


def _state(
    path: Path, record: dict[str, Any] | None, damage: str, planned: Planned | None, seen: float | None
) -> tuple[State, str]:
    refused = planned.reason if planned else ""
    if record is not None:
        return "finished", refused
    if seen is not None and is_held(path, seen):
        return "running", ""
    if planned and planned.failed:
        return "failed", refused
    if damage:
        return "failed", damage
    if planned and planned.alive:
        return "waiting", "continues from its last checkpoint" if (path / "last.ckpt").exists() else ""
    return "stopped", "" if path.is_dir() else "never started"


def _record(path: Path, folder: str) -> tuple[dict[str, Any] | None, str]:
    if not (path / RECORD).exists():
        return None, ""
    try:
        return read_json(path / RECORD, f"{folder}/{RECORD}"), ""
    except ValueError as error:
        return None, str(error)


def _config(path: Path) -> dict[str, Any]:
    for name in (CONFIG, ".hydra/config.yaml"):
        with suppress(OSError, yaml.YAMLError, ValueError):
            config = yaml.load((path / name).read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
            if isinstance(config, dict):
                return config
    return {}


def _title(record: dict[str, Any] | None, config: dict[str, Any]) -> str:
    """Return a row's title as records have it: of its ablation, or of its network where that has no slots to fill."""
    card, ablation = (part if isinstance(part := config.get(key), dict) else {} for key in ("card", "ablation"))
    said = (record or (ablation if card.get("name") == "unet" else card)).get("title")
    return str(said or "")


def _seen(path: Path) -> float | None:
    times = []
    for pattern in ALIVE:
        for file in path.glob(pattern):
            with suppress(OSError):
                times.append(file.stat().st_mtime)
    return max(times, default=None)


def counts(jobs: Sequence[Job]) -> dict[State, int]:
    """Return how many jobs are in each state that there is, those that are done first."""
    states: list[State] = ["finished", "running", "waiting", "stopped", "failed"]
    found = {state: sum(job.state == state for job in jobs) for state in states}
    return {state: number for state, number in found.items() if number}


def is_live(jobs: Sequence[Job]) -> bool:
    """Whether anything will change by itself."""
    return any(job.state in ("running", "waiting") for job in jobs)
