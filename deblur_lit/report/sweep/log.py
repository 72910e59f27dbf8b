"""What a job printed: its command, how far it is and how fast, its last lines."""

import re
from dataclasses import dataclass
from pathlib import Path

LOGS = ("job.out", "slurm/*_0_log.out")  # of the local launcher and of SLURM's first task
TAIL_BYTES = 1 << 16
LAST_LINES = 6  # of a job that failed or was stopped
_PROGRESS = re.compile(
    r"step (\d+)/(\d+) \|.*?([\d.]+) images/s \| (?:(\d+) days?, )?(\d+):(\d\d):(\d\d) left"
)  # as deblur_lit.callbacks.progress prints it
_PLAN = re.compile(r"plan: (\d+) steps of")  # as deblur_lit.callbacks.run_plan does
_COMMAND = "$ "


@dataclass(frozen=True)
class Printed:
    """What is known from a job's log; None or empty where it did not say so since its last start."""

    step: int | None = None
    steps: int | None = None
    images_per_second: float | None = None
    seconds_left: int | None = None
    command: str = ""
    last_lines: tuple[str, ...] = ()


def find_log(folder: Path) -> Path | None:
    """Return the newest log of a run folder, None where it was not started by a sweep."""
    found = [path for pattern in LOGS for path in folder.glob(pattern)]
    return max(found, key=lambda path: (path.stat().st_mtime_ns, path.name), default=None)


def read_log(path: Path) -> Printed:
    """Return what a log says; of a long one only the beginning and the end are read.

    Raises:
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(TAIL_BYTES)
        start = max(len(head), file.seek(0, 2) - TAIL_BYTES)
        file.seek(start)
        tail = file.read()
    lines = _lines(head + tail)
    commands = [line for line in lines if line.startswith(_COMMAND)]
    since = lines[max((index for index, line in enumerate(lines) if line.startswith(_COMMAND)), default=0) :]
    told = [found for line in since if (found := _PROGRESS.search(line))]
    plans = [int(found[1]) for line in since if (found := _PLAN.search(line))]
    step, steps, speed, left = None, plans[-1] if plans else None, None, None
    if told:
        days, hours, minutes, seconds = (int(text or 0) for text in told[-1].groups()[3:])
        step, steps, speed = int(told[-1][1]), int(told[-1][2]), float(told[-1][3])
        left = ((24 * days + hours) * 60 + minutes) * 60 + seconds
    spoken = [line for line in since if line and not line.startswith(_COMMAND)]
    command = commands[0].removeprefix(_COMMAND) if commands else ""
    return Printed(step, steps, speed, left, command, tuple(spoken[-LAST_LINES:]))


def _lines(content: bytes) -> list[str]:
    # A progress bar redraws itself after a carriage return: its last state is the line.
    return [line.rstrip("\r").rsplit("\r", 1)[-1].rstrip() for line in content.decode(errors="replace").split("\n")]
