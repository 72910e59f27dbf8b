"""Run the jobs of a sweep one after another, tell how it goes, and end as a command should."""

import os
import signal
import sys
import time
from collections import Counter, deque
from collections.abc import Sequence

from hydra_plugins.deblur_lit_launcher._jobs import Job, job_environment
from hydra_plugins.deblur_lit_launcher._process import StopSignals, run_child

from deblur_lit import runs

LAST_LINES = 12  # of a failed job, in the summary


def run_sweep(jobs: Sequence[Job], grace_seconds: float) -> None:
    """Run every job that is not finished; a failure costs that job alone.

    Raises:
        SystemExit: 1 if a job failed, was refused or is in use; 128 + signal number after a signal.
    """
    try:
        for job in jobs:
            runs.check_unlocked(job.folder)
    except runs.FolderInUseError as error:
        raise SystemExit(f"{error}. Nothing was started") from error
    _overview(jobs)
    with StopSignals() as stop:
        for job in jobs:
            if job.status in ("new", "begun") and not stop.received:
                _run_job(job, stop, grace_seconds)
    _summary(jobs)
    if stop.received:
        number = stop.received[0]
        _say(f"interrupted by {number.name}: run the same command again to continue")
        raise SystemExit(128 + number)
    if any(job.status == "failed" for job in jobs):
        raise SystemExit(1)


def _run_job(job: Job, stop: StopSignals, grace_seconds: float) -> None:
    last_lines: deque[str] = deque(maxlen=LAST_LINES)

    def show(line: str) -> None:
        last_lines.append(line)
        if not stop.received:  # the traces of interrupted processes are for the log
            _say(f"{job.tag} {line}")

    log = job.folder / runs.LOG
    begin = time.monotonic()
    try:
        with runs.lock(job.folder):
            job.inspect()  # again: another sweep may have been here since the start
            if job.status not in ("new", "begun"):
                _say(f"{job.tag} {job.reason or 'finished meanwhile'}")
                return
            _say(f"{job.tag} {'continues' if job.status == 'begun' else 'starts'}, log: {log}")
            status = run_child(job.command, job_environment(os.environ, job.folder), log, show, stop, grace_seconds)
            finished = runs.is_finished(job.folder)
    except (OSError, ValueError) as error:
        job.fail(str(error))
        _say(f"{job.tag} failed: {error}")
        return
    job.last_lines = list(last_lines)
    if finished:
        job.status = "done"
        late = f", although it ended with {_ending(status)} after its record" if status else ""
        _say(f"{job.tag} done in {time.monotonic() - begin:.0f} s{late}")
    elif not stop.received:
        job.fail(f"{_ending(status)} without {runs.RECORD}, log: {log}")
        _say(f"{job.tag} failed: {job.reason}")


def _overview(jobs: Sequence[Job]) -> None:
    count = Counter(job.status for job in jobs)
    _say(
        f"{len(jobs)} jobs: {count['finished']} finished, {count['begun']} to continue, "
        f"{count['new']} to start, {count['failed']} refused"
    )
    for job in jobs:
        if job.status == "finished":
            _say(f"{job.tag} finished, skipped")
        if job.status == "failed":
            _say(f"{job.tag} refused: {job.reason}")


def _summary(jobs: Sequence[Job]) -> None:
    count = Counter(job.status for job in jobs)
    _say(
        f"{len(jobs)} jobs: {count['done']} done, {count['finished']} finished before, "
        f"{count['failed']} failed, {count['new'] + count['begun']} left"
    )
    for job in jobs:
        if job.status == "failed":
            _say(f"{job.tag} failed: {job.reason}")
            for line in job.last_lines:
                _say(f"    {line}")


def _ending(status: int) -> str:
    return f"exit status {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"


def _say(text: str) -> None:
    encoding = sys.stdout.encoding or "utf-8"  # a bar's characters may be foreign to the terminal
    print(text.encode(encoding, "replace").decode(encoding), flush=True)
