"""What a sweep tells while it runs: the jobs' lines, and how far all of it is."""

import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from types import TracebackType

from hydra_plugins.deblur_lit_launcher._jobs import Job
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

LEFT = re.compile(r"(?:(\d+) days?, )?(\d+):(\d\d):(\d\d) left")  # in a job's own progress


class SweepProgress:
    """A bar under the jobs' lines in a terminal, else a line at each start and end of a job.

    Args:
        jobs: of the sweep.
        places: how many go side by side.
    """

    def __init__(self, jobs: Sequence[Job], places: int) -> None:
        self._jobs, self._places = jobs, places
        self._started: dict[str, float] = {}  # running jobs by tag
        self._left: dict[str, tuple[float, float]] = {}  # when a job said it, and the seconds that it said
        self._seconds: list[float] = []  # of jobs that are done
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            console=Console(stderr=True),
            redirect_stdout=sys.stdout.isatty(),
            redirect_stderr=False,
            disable=not sys.stderr.isatty(),
            transient=True,
        )

    def __enter__(self) -> "SweepProgress":
        self._bar.start()
        self._task = self._bar.add_task("", total=len(self._jobs))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def started(self, job: Job) -> None:
        """A job runs."""
        self._started[job.tag] = time.monotonic()
        self._tell()

    def printed(self, job: Job, line: str) -> None:
        """A job printed a line; it may say how long it still takes."""
        if found := LEFT.search(line):
            days, hours, minutes, seconds = (int(text or 0) for text in found.groups())
            self._left[job.tag] = (time.monotonic(), 86400 * days + 3600 * hours + 60 * minutes + seconds)
            self._update()

    def ended(self, job: Job) -> float:
        """A job ended; return its seconds."""
        self._left.pop(job.tag, None)
        seconds = time.monotonic() - self._started.pop(job.tag)
        if job.status == "done":
            self._seconds.append(seconds)
        self._tell()
        return seconds

    def state(self) -> str:
        """How far the sweep is: rows done, running, failed, waiting, and the time left where it can be told."""
        count = Counter(job.status for job in self._jobs)
        waiting = count["new"] + count["begun"] - len(self._started)
        left = self._time_left(waiting)
        parts = [
            f"{count['done'] + count['finished']}/{len(self._jobs)} done",
            f"{len(self._started)} running",
            f"{count['failed']} failed",
            f"{waiting} waiting",
            "time left unknown" if left is None else f"about {timedelta(seconds=round(left))} left",
        ]
        return "sweep: " + ", ".join(parts)

    def _time_left(self, waiting: int) -> float | None:
        now = time.monotonic()
        said = {tag: max(0.0, at + left - now) for tag, (at, left) in self._left.items()}
        whole = self._seconds or [now - self._started[tag] + said[tag] for tag in said]
        if not whole:
            return None if waiting or self._started else 0.0
        mean = sum(whole) / len(whole)
        running = [said.get(tag, max(0.0, mean - (now - begin))) for tag, begin in self._started.items()]
        return max([(sum(running) + waiting * mean) / self._places, *running])

    def _tell(self) -> None:
        self._update()
        if self._bar.disable:
            say(self.state())

    def _update(self) -> None:
        count = Counter(job.status for job in self._jobs)
        ended = count["done"] + count["finished"] + count["failed"]
        self._bar.update(self._task, description=self.state(), completed=ended)


def say(text: str) -> None:
    """Print a line with the characters that the terminal has."""
    encoding = sys.stdout.encoding or "utf-8"  # a bar's characters may be foreign to the terminal
    print(text.encode(encoding, "replace").decode(encoding), flush=True)
