"""What sweeps said they would run: .sweep/<id>/jobs.json in the folder of a sweep, written by the launchers."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from deblur_lit.report.fields import read_json, take
from deblur_lit.report.sweep.alive import is_held

FOLDER = ".sweep"  # holds a folder for each sweep, which the sweep locks while it runs
JOBS = "jobs.json"
ABOVE = 3  # a run lies at most so deep below its sweep: <data>/<row>/seed<k>


@dataclass(frozen=True)
class Planned:
    """A job of a sweep: whether the sweep lives, and what became of the job in it."""

    alive: bool
    failed: bool
    reason: str


def read_planned(runs: Path) -> dict[str, Planned]:
    """Return the jobs of all sweeps by folder below `runs`, in the sweeps' order.

    `runs` may be the folder of a sweep, lie within one, or hold some. Where two sweeps name one job the living or else
    the later one counts. A plan that is damaged says nothing.
    """
    runs = runs.resolve()
    sweeps = []
    for root in (*sorted(path.parent for path in runs.glob(f"*/{FOLDER}")), runs, *runs.parents[:ABOVE]):
        for path in (root / FOLDER).glob(f"*/{JOBS}"):
            with suppress(OSError, ValueError):
                written = path.stat().st_mtime
                sweeps.append((is_held(path.parent, written), written, str(path), root, _read(path)))
    found: dict[str, Planned] = {}
    for alive, _, _, root, jobs in sorted(sweeps, key=lambda sweep: sweep[:3]):
        for folder, failed, reason in jobs:
            if (root / folder).is_relative_to(runs):
                found[(root / folder).relative_to(runs).as_posix()] = Planned(alive, failed, reason)
    return found


def _read(path: Path) -> list[tuple[str, bool, str]]:
    jobs: list[Any] = take(read_json(path, str(path)), "jobs", list, str(path))
    return [
        (folder, take(job, "status", str, str(path)) == "failed", take(job, "reason", str, str(path)))
        for job in jobs
        if isinstance(job, dict) and _is_below(folder := take(job, "folder", str, str(path)))
    ]


def _is_below(folder: str) -> bool:
    """Whether a plan names a folder below its own: nothing else is looked into."""
    path = PurePosixPath(folder)
    return not path.is_absolute() and ".." not in path.parts
