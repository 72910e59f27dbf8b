"""Hydra launcher `subprocess`: each job of a sweep is a fresh process in its own process group.

A job runs in Hydra's single-run mode with `hydra.run.dir` set to its folder, so that the ranks of
`strategy=ddp`, which Lightning starts with the job's own command line, belong to that one job.

Every Hydra program imports this file to find plugins; the rest of the package waits until a sweep starts.
No postponed annotations here: Hydra imports this module before Python lists it, and dataclasses look there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class SubprocessLauncherConf:
    """What `hydra.launcher` takes."""

    _target_: str = "hydra_plugins.deblur_lit_launcher.SubprocessLauncher"
    grace_seconds: float = 10.0  # for a job to end by itself after an interrupt, before it is killed


ConfigStore.instance().store("subprocess", SubprocessLauncherConf, group="hydra/launcher", provider="deblur_lit")


class SubprocessLauncher(Launcher):
    """Run the jobs of a sweep one after another, each in a process of its own.

    Args:
        grace_seconds: seconds between the interrupt that a job gets and its being killed.
    """

    def __init__(self, grace_seconds: float) -> None:
        self.grace_seconds = grace_seconds

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra knows of the sweep."""
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run what is not finished yet; return one result per job, the completion record as its value.

        Raises:
            SystemExit: 1 if a job failed or was refused, 128 + signal number if the sweep was interrupted.
        """
        from hydra_plugins.deblur_lit_launcher._jobs import Job, plan
        from hydra_plugins.deblur_lit_launcher._sweep import run_sweep

        jobs: list[Job] = plan(self.hydra_context.config_loader, self.task_function, self.config, job_overrides)
        run_sweep(jobs, self.grace_seconds)
        return [job.result() for job in jobs]
