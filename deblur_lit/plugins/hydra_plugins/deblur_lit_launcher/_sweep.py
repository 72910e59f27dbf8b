"""Run the jobs of a sweep, some side by side, tell how it goes, and end as a command should."""

import os
import signal
import time
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from hydra_plugins.deblur_lit_launcher._guard import Guard
from hydra_plugins.deblur_lit_launcher._jobs import Job, job_environment, mark
from hydra_plugins.deblur_lit_launcher._page import SweepPage
from hydra_plugins.deblur_lit_launcher._process import Child, StopSignals, wait_for_output
from hydra_plugins.deblur_lit_launcher._progress import SweepProgress, say
from hydra_plugins.deblur_lit_launcher._slots import Slot

from deblur_lit import runs

LAST_LINES = 12  # of a failed job, in the summary


def run_sweep(jobs: Sequence[Job], slots: Sequence[Slot], grace_seconds: float, report_seconds: float | None) -> None:
    """Run every job that is not finished; a failure costs that job alone.

    Raises:
        SystemExit: 1 if a job failed, was refused or is in use; 128 + signal number after a signal.
    """
    check_folders(jobs)
    overview(jobs)
    with (
        StopSignals() as stop,
        SweepPage(jobs, report_seconds) as page,
        Guard() as guard,
        SweepProgress(jobs, len(slots)) as progress,
    ):
        _Sweep(jobs, slots, stop, guard, progress, page, grace_seconds).run()
    summary(jobs)
    if stop.received:
        number = stop.received[0]
        say(f"interrupted by {number.name}: run the same command again to continue")
        raise SystemExit(128 + number)
    if any(job.status == "failed" for job in jobs):
        raise SystemExit(1)


@dataclass(eq=False)
class _Running:
    """A job that runs in a slot, and the lock on its folder."""

    job: Job
    slot: Slot
    child: Child
    last_lines: deque[str]
    lock: ExitStack


class _Sweep:
    """Jobs that wait, free slots, and what runs."""

    def __init__(
        self,
        jobs: Sequence[Job],
        slots: Sequence[Slot],
        stop: StopSignals,
        guard: Guard,
        progress: SweepProgress,
        page: SweepPage,
        grace_seconds: float,
    ) -> None:
        self.waiting = deque(job for job in jobs if job.status in ("new", "begun"))
        self.free = deque(slots)
        self.stop, self.guard, self.progress, self.page = stop, guard, progress, page
        self.grace_seconds = grace_seconds
        self.running: list[_Running] = []

    def run(self) -> None:
        """Start what fits, until nothing waits and nothing runs."""
        deadline: float | None = None
        try:
            while self.running or (self.waiting and not self.stop.received):
                while self.waiting and self.free and not self.stop.received:
                    self._start(self.waiting.popleft(), self.free.popleft())
                    self.page.changed()
                wait_for_output([running.child for running in self.running])
                if self.stop.received and deadline is None:
                    deadline = time.monotonic() + self.grace_seconds
                    for running in self.running:
                        running.child.interrupt()
                impatient = deadline is not None and (len(self.stop.received) > 1 or time.monotonic() > deadline)
                for running in list(self.running):
                    if impatient or running.child.process.poll() is not None:
                        self._end(running)
        finally:
            for running in list(self.running):
                self._end(running)

    def _start(self, job: Job, slot: Slot) -> None:
        last_lines: deque[str] = deque(maxlen=LAST_LINES)

        def show(line: str) -> None:
            last_lines.append(line)
            if not self.stop.received:  # the traces of interrupted processes are for the log
                say(f"{job.tag} {line}")
                self.progress.printed(job, line)

        log = job.folder / runs.LOG
        with ExitStack() as lock:
            try:
                lock.enter_context(runs.lock(job.folder))
                job.inspect()  # again: another sweep may have been here since the start
                if job.status in ("new", "begun"):
                    place = f" on {slot}" if str(slot) else ""
                    say(f"{job.tag} {'continues' if job.status == 'begun' else 'starts'}{place}, log: {log}")
                    environment = job_environment(os.environ, job.folder) | slot.environment()
                    child = Child(job.command, environment, mark(job.folder), log, show, self.guard)
                    self.running.append(_Running(job, slot, child, last_lines, lock.pop_all()))
                    self.progress.started(job)
                    return
                say(f"{job.tag} {job.reason or 'finished meanwhile'}")
            except (OSError, ValueError) as error:
                job.fail(str(error))
                say(f"{job.tag} failed: {error}")
        self.free.appendleft(slot)

    def _end(self, running: _Running) -> None:
        job = running.job
        with running.lock:
            status = running.child.end()
            try:
                finished = runs.is_finished(job.folder)
            except ValueError as error:
                finished = False
                job.fail(str(error))
        self.running.remove(running)
        self.free.append(running.slot)
        job.last_lines = list(running.last_lines)
        if finished:
            job.status = "done"
        elif job.status != "failed" and not self.stop.received:
            job.fail(f"{_ending(status)} without {runs.RECORD}, log: {job.folder / runs.LOG}")
        late = f", although it ended with {_ending(status)} after its record" if status else ""
        seconds = self.progress.ended(job)
        if finished:
            say(f"{job.tag} done in {seconds:.0f} s{late}")
        elif job.status == "failed":
            say(f"{job.tag} failed: {job.reason}")
        self.page.changed()


def check_folders(jobs: Sequence[Job]) -> None:
    """Refuse to start where another sweep or run is at work.

    Raises:
        SystemExit: naming the folder and the process.
    """
    try:
        for job in jobs:
            runs.check_unlocked(job.folder)
    except runs.FolderInUseError as error:
        raise SystemExit(f"{error}. Nothing was started") from error


def overview(jobs: Sequence[Job]) -> None:
    """Say what is there and what is to do."""
    count = Counter(job.status for job in jobs)
    say(
        f"{len(jobs)} jobs: {count['finished']} finished, {count['begun']} to continue, "
        f"{count['new']} to start, {count['failed']} refused"
    )
    for job in jobs:
        if job.status == "finished":
            say(f"{job.tag} finished, skipped")
        if job.status == "failed":
            say(f"{job.tag} refused: {job.reason}")


def summary(jobs: Sequence[Job]) -> None:
    """Say how it ended, with the last lines of what failed."""
    count = Counter(job.status for job in jobs)
    say(
        f"{len(jobs)} jobs: {count['done']} done, {count['finished']} finished before, "
        f"{count['failed']} failed, {count['new'] + count['begun']} left"
    )
    for job in jobs:
        if job.status == "failed":
            say(f"{job.tag} failed: {job.reason}")
            for line in job.last_lines:
                say(f"    {line}")


def _ending(status: int) -> str:
    return f"exit status {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"
