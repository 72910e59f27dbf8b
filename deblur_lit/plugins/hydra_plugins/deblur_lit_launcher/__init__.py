"""Hydra launcher `subprocess`: each job of a sweep is a fresh process in its own process group.

A job runs in Hydra's single-run mode with `hydra.run.dir` set to its folder, so that the ranks of
`strategy=ddp`, which Lightning starts with the job's own command line, belong to that one job.

Every Hydra program imports this file to find plugins; the rest of the package waits until a sweep starts.
No postponed annotations here: Hydra imports this module before Python lists it, and dataclasses look there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class SubprocessLauncherConf:
    """What `hydra.launcher` takes."""

    _target_: str = "hydra_plugins.deblur_lit_launcher.SubprocessLauncher"
    n_jobs: Any = "auto"  # jobs side by side; auto: one per GPU, or per trainer.devices GPUs, and one on a CPU
    gpus: Any = None  # GPUs of each place, as in ["0,1", "2,3"]; null: those that there are, divided
    grace_seconds: float = 10.0  # for a job to end by itself after an interrupt, before it is killed


ConfigStore.instance().store("subprocess", SubprocessLauncherConf, group="hydra/launcher", provider="deblur_lit")


class SubprocessLauncher(Launcher):
    """Run the jobs of a sweep, each in a process of its own, as many side by side as there are places for.

    Args:
        n_jobs: jobs side by side, or `auto`: one per GPU, or per `trainer.devices` GPUs, and one on a CPU.
        gpus: the GPUs of each place; None divides those that there are.
        grace_seconds: seconds between the interrupt that a job gets and its being killed.
    """

    def __init__(self, n_jobs: int | str, gpus: Sequence[Any] | None, grace_seconds: float) -> None:
        self.n_jobs = n_jobs
        self.gpus = gpus
        self.grace_seconds = grace_seconds

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra knows of the sweep."""
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run what is not finished yet; return one result per job, the completion record as its value.

        Raises:
            SystemExit: 1 if a job failed or was refused, or there are not devices enough; 128 + signal number if the
                sweep was interrupted.
        """
        import os

        from hydra_plugins.deblur_lit_launcher._jobs import Job, plan
        from hydra_plugins.deblur_lit_launcher._slots import make_slots
        from hydra_plugins.deblur_lit_launcher._sweep import run_sweep

        if "TORCHELASTIC_RUN_ID" in os.environ:
            raise SystemExit("error: torchrun starts the processes of one run; start a sweep (-m) with plain python")
        jobs: list[Job] = plan(self.hydra_context.config_loader, self.task_function, self.config, job_overrides)
        try:
            slots = make_slots([job.config for job in jobs], self.n_jobs, self.gpus, os.environ)
        except ValueError as error:
            raise SystemExit(f"error: {error}. Nothing was started") from error
        run_sweep(jobs, slots, self.grace_seconds)
        return [job.result() for job in jobs]
