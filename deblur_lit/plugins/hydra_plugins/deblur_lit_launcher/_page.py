"""The page of a sweep, RUNS/report.html, kept current by a process of its own: it cannot break or delay a job."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from hydra_plugins.deblur_lit_launcher._jobs import Job
from hydra_plugins.deblur_lit_launcher._progress import say

from deblur_lit import runs

FOLDER, JOBS = ".sweep", "jobs.json"  # below the folder of runs: what a sweep plans, which the page reads
WRITER = "deblur_lit.report.sweep.watch"
LAST_SECONDS = 10.0  # for the page to be written once more behind the last job


class SweepPage:
    """Notes what becomes of the jobs and has the page written; after a first problem, said in a line, it does nothing.

    Args:
        jobs: of the sweep.
        seconds: between two pages while no job starts or ends; None: no page.
    """

    def __init__(self, jobs: Sequence[Job], seconds: float | None) -> None:
        self._jobs, self._seconds = jobs, seconds
        self._works = seconds is not None and any(job.status in ("new", "begun") for job in jobs)
        self._writer: subprocess.Popen[bytes] | None = None
        self._held = ExitStack()

    def __enter__(self) -> "SweepPage":
        self._attempt(self._start)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._attempt(self._note)
        self._attempt(self._held.close, anyway=True)  # the sweep is over: what still waits is left
        self._attempt(self._finish, anyway=True)

    def changed(self) -> None:
        """A job started or ended."""
        self._attempt(self._note)
        self._attempt(self._nudge)

    def _attempt(self, do: Callable[[], None], anyway: bool = False) -> None:
        if not (self._works or anyway):
            return
        try:
            do()
        except Exception as error:  # of any kind: the page is worth no job
            if self._works:
                say(f"report: {type(error).__name__}: {error}; the sweep goes on without its page")
            self._works = False

    def _start(self) -> None:
        root = Path(os.path.commonpath([job.root.absolute() for job in self._jobs]))
        self._folders = [os.path.relpath(job.folder.absolute(), root) for job in self._jobs]
        name = hashlib.sha256("\n".join(self._folders).encode()).hexdigest()[:12]  # the same sweep, the same place
        self._place = root / FOLDER / name
        self._held.enter_context(runs.lock(self._place))
        self._note()
        self._writer = subprocess.Popen(
            [sys.executable, "-m", WRITER, str(root), str(self._seconds)],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # an interrupt from the terminal is for us
        )
        assert self._writer.stdin is not None
        os.set_blocking(self._writer.stdin.fileno(), False)

    def _note(self) -> None:
        jobs = [
            {"folder": folder, "status": job.status, "reason": job.reason}
            for folder, job in zip(self._folders, self._jobs, strict=True)
        ]
        beside = self._place / f".{JOBS}.part"
        beside.write_text(json.dumps({"jobs": jobs}, indent=1))
        beside.replace(self._place / JOBS)

    def _nudge(self) -> None:
        assert self._writer is not None
        assert self._writer.stdin is not None
        try:
            os.write(self._writer.stdin.fileno(), b"\n")
        except BlockingIOError:  # it has not even read the last ones
            pass
        except BrokenPipeError:
            raise RuntimeError(f"{WRITER} ended with exit status {self._writer.wait()}") from None

    def _finish(self) -> None:
        """Let the page be written for the last time, and its writer end."""
        if self._writer is None:
            return
        assert self._writer.stdin is not None
        self._writer.stdin.close()
        try:
            self._writer.wait(LAST_SECONDS)
        except subprocess.TimeoutExpired:
            self._writer.kill()
            self._writer.wait()
            say(f"report: not written for the last time within {LAST_SECONDS:.0f} s")
