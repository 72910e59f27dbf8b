"""A sweep as SLURM jobs: each is submitted by submitit with one task per device, watched, and continued."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra_plugins.deblur_lit_launcher._jobs import FOREIGN, Job
from hydra_plugins.deblur_lit_launcher._page import SweepPage
from hydra_plugins.deblur_lit_launcher._process import PR_SET_PDEATHSIG, StopSignals
from hydra_plugins.deblur_lit_launcher._progress import SweepProgress, say
from hydra_plugins.deblur_lit_launcher._sweep import LAST_LINES, overview, summary
from omegaconf import OmegaConf

from deblur_lit import runs

FOLDER = "slurm"  # in a run folder: what submitit writes
QUEUED = "queued.json"  # in there: the job that was submitted last
SAID_SECONDS = 60.0  # between two lines on how far the sweep is


@dataclass(frozen=True)
class Request:
    """What is asked of SLURM for every job; the devices are the job's own `trainer`."""

    executor: str
    partition: str | None
    account: str | None
    qos: str | None
    timeout_min: int
    cpus_per_task: int
    mem_gb: float | None
    signal_seconds: int
    continues: int
    setup: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)


class Task:
    """What each task of a job runs: one process of the run, as a program of its own."""

    def __init__(self, command: list[str]) -> None:
        self.command = command

    def __call__(self) -> None:
        """Run to the end.

        Raises:
            SystemExit: with the exit status of the process where that is not 0.
        """
        environment = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        self.process = subprocess.Popen(
            self.command, env=environment | {"PYTHONUNBUFFERED": "1"}, stdin=subprocess.DEVNULL, preexec_fn=_die_with_us
        )
        if status := self._wait():
            sys.exit(status)

    def checkpoint(self) -> Any:
        """Let the process write its checkpoint; submitit calls this on a signal, then requeues the job."""
        from submitit.helpers import DelayedSubmission

        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGUSR1)
        self._wait()
        return DelayedSubmission(Task(self.command))

    def _wait(self) -> int:
        # Without Popen.wait, whose lock the signal handler that calls `checkpoint` would wait for in vain.
        while (ended := os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)) is None:
            time.sleep(0.1)
        return ended.si_status


def _die_with_us() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def run_on_slurm(jobs: Sequence[Job], request: Request, poll_seconds: float, report_seconds: float | None) -> None:
    """Submit every job that is not finished or queued, and wait for all of them.

    Interrupted, it leaves the jobs in the queue; the same sweep watches them again.

    Raises:
        SystemExit: 1 if a job failed or was refused, or SLURM or submitit is not there; 128 + signal number after a
            signal.
    """
    overview(jobs)
    with StopSignals() as stop, SweepPage(jobs, report_seconds) as page, SweepProgress(jobs, len(jobs)) as progress:
        try:
            queued = [_Queued(job, _submit(job, request)) for job in jobs if job.status in ("new", "begun")]
        except (ImportError, RuntimeError, OSError, ValueError) as error:
            raise SystemExit(f"error: hydra/launcher=slurm: {error}") from error
        for each in queued:
            progress.started(each.job)
        said = time.monotonic()
        while queued and not stop.received:
            for each in [each for each in queued if each.has_ended()]:
                queued.remove(each)
                each.judge()
                progress.ended(each.job)
                page.changed()
            if time.monotonic() - said > SAID_SECONDS:
                said = time.monotonic()
                say(progress.state())
            time.sleep(poll_seconds)
        if request.executor == "local":
            for each in queued:
                each.handle.cancel()
    summary(jobs)
    if stop.received:
        numbers = " ".join(each.handle.job_id for each in queued)
        say(
            f"interrupted: jobs {numbers} stay in the queue; the same command watches them, scancel {numbers} ends them"
        )
        raise SystemExit(128 + stop.received[0])
    if any(job.status == "failed" for job in jobs):
        raise SystemExit(1)


class _Queued:
    """A job of the sweep and submitit's handle on it."""

    def __init__(self, job: Job, handle: Any) -> None:
        self.job, self.handle = job, handle

    def has_ended(self) -> bool:
        return runs.is_finished(self.job.folder) or self.handle.done()

    def judge(self) -> None:
        """Set the job's status, and say it."""
        self.handle.get_info(mode="force")
        log = Path(self.handle.paths.stdout)
        if runs.is_finished(self.job.folder):
            self.job.status = "done"
            say(f"{self.job.tag} done")
            return
        with suppress(OSError):
            self.job.last_lines = log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        self.job.fail(f"SLURM job {self.handle.job_id} ended as {self.handle.state} without {runs.RECORD}, log: {log}")
        say(f"{self.job.tag} failed: {self.job.reason}")


def _submit(job: Job, request: Request) -> Any:
    """Submit a job, or return the one that is in the queue for its folder already."""
    from submitit import AutoExecutor

    folder = job.folder.absolute() / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    executor = AutoExecutor(folder, cluster=request.executor, slurm_max_num_timeout=request.continues)
    executor.update_parameters(**parameters(job, request))
    note = folder / QUEUED
    if note.exists():
        before = json.loads(note.read_text())
        handle = executor._executor.job_class(folder=folder, job_id=before["job"], tasks=list(range(before["tasks"])))
        if not handle.done(force_check=True):
            say(f"{job.tag} is in the queue already, job {handle.job_id}")
            return handle
    handle = executor.submit(Task(job.command))
    note.write_text(json.dumps({"job": handle.job_id, "tasks": handle.num_tasks}))
    how = "continues" if job.status == "begun" else "submitted"
    say(f"{job.tag} {how}, job {handle.job_id}, log: {handle.paths.stdout}")
    return handle


def parameters(job: Job, request: Request) -> dict[str, Any]:
    """Return what submitit is told: a task per device, and a signal in time for a checkpoint.

    Raises:
        ValueError: if `trainer.devices` is no number: there is no machine yet that could be asked.
    """
    trainer = OmegaConf.select(job.config, "trainer") or {}
    devices = trainer.get("devices", 1)
    if not isinstance(devices, int) or devices < 1:
        raise ValueError(f"trainer.devices={devices}: say how many GPUs of a node a job gets, as in trainer.devices=4")
    told = {
        "name": job.folder.parent.name + "-" + job.folder.name,
        "timeout_min": request.timeout_min,
        "nodes": trainer.get("num_nodes", 1),
        "tasks_per_node": devices,
        "gpus_per_node": devices if trainer.get("accelerator") in ("gpu", "cuda") else 0,
        "cpus_per_task": request.cpus_per_task,
        "mem_gb": request.mem_gb,
        "stderr_to_stdout": True,
        "slurm_partition": request.partition,
        "slurm_account": request.account,
        "slurm_qos": request.qos,
        "slurm_signal_delay_s": request.signal_seconds,
        "slurm_setup": list(request.setup),
        "slurm_srun_args": ["--kill-on-bad-exit=1"],
        "slurm_additional_parameters": {"requeue": True, **request.options},
    }
    return {name: value for name, value in told.items() if value is not None}
