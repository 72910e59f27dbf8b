"""Hydra launchers `subprocess` and `slurm`: each job of a sweep is a fresh process in its own process group.

A job runs in Hydra's single-run mode with `hydra.run.dir` set to its folder, so that the ranks of
`strategy=ddp`, which Lightning starts with the job's own command line, belong to that one job.

Every Hydra program imports this file to find plugins; the rest of the package waits until a sweep starts.
No postponed annotations here: Hydra imports this module before Python lists it, and dataclasses look there.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
    report_seconds: Any = 10.0  # between two writings of <sweep>/report.html; null: no page


@dataclass
class SlurmLauncherConf:
    """What `hydra.launcher` takes with `hydra/launcher=slurm`; nodes and GPUs are those of `trainer`."""

    _target_: str = "hydra_plugins.deblur_lit_launcher.SlurmLauncher"
    executor: str = "slurm"  # slurm | local: submitit's own, on this machine
    partition: Any = None
    account: Any = None
    qos: Any = None
    timeout_min: int = 1440  # time limit of a job; it continues in another one
    continues: int = 100  # how often
    signal_seconds: int = 120  # between the signal to write a checkpoint and the time limit
    cpus_per_task: int = 8  # per device
    mem_gb: Any = None  # per node
    setup: list[str] = field(default_factory=list)  # shell lines before the job, as in ["module load cuda"]
    options: dict[str, Any] = field(default_factory=dict)  # of sbatch, as in {constraint: a100}
    poll_seconds: float = 5.0  # between two looks at the jobs
    report_seconds: Any = 10.0  # between two writings of <sweep>/report.html; null: no page


for name, conf in (("subprocess", SubprocessLauncherConf), ("slurm", SlurmLauncherConf)):
    ConfigStore.instance().store(name, conf, group="hydra/launcher", provider="deblur_lit")


class _JobLauncher(Launcher):
    """What both launchers share: from overrides to jobs, and from jobs to results."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra knows of the sweep."""
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run what is not finished yet; return one result per job, the completion record as its value.

        Raises:
            SystemExit: 1 if a job failed or was refused, or devices are missing; 128 + signal number if the sweep was
                interrupted.
        """
        import os

        from hydra_plugins.deblur_lit_launcher._jobs import plan

        if "TORCHELASTIC_RUN_ID" in os.environ:
            raise SystemExit("error: torchrun starts the processes of one run; start a sweep (-m) with plain python")
        jobs = plan(self.hydra_context.config_loader, self.task_function, self.config, job_overrides)
        self.run(jobs)
        return [job.result() for job in jobs]

    @abstractmethod
    def run(self, jobs: list[Any]) -> None:
        """Run the jobs that are not finished."""


class SubprocessLauncher(_JobLauncher):
    """Run the jobs of a sweep on this machine, as many side by side as there are places for.

    Args:
        n_jobs: jobs side by side, or `auto`: one per GPU, or per `trainer.devices` GPUs, and one on a CPU.
        gpus: the GPUs of each place; None divides those that there are.
        grace_seconds: seconds between the interrupt that a job gets and its being killed.
        report_seconds: seconds between two writings of the sweep's page; None writes none.
    """

    def __init__(
        self, n_jobs: int | str, gpus: Sequence[Any] | None, grace_seconds: float, report_seconds: float | None
    ) -> None:
        self.n_jobs = n_jobs
        self.gpus = gpus
        self.grace_seconds = grace_seconds
        self.report_seconds = report_seconds

    def run(self, jobs: list[Any]) -> None:
        """Run the jobs in processes of this machine."""
        import os

        from hydra_plugins.deblur_lit_launcher._slots import make_slots
        from hydra_plugins.deblur_lit_launcher._sweep import run_sweep

        try:
            slots = make_slots([job.config for job in jobs], self.n_jobs, self.gpus, os.environ)
        except ValueError as error:
            raise SystemExit(f"error: {error}. Nothing was started") from error
        run_sweep(jobs, slots, self.grace_seconds, self.report_seconds)


class SlurmLauncher(_JobLauncher):
    """Run the jobs of a sweep on a cluster, each as a SLURM job with one task per device.

    Args:
        executor: `slurm`, or `local` for submitit's own on this machine.
        partition: of the cluster; None is its default, as for `account` and `qos`.
        account: to charge.
        qos: quality of service.
        timeout_min: time limit of a job in minutes.
        continues: how often a job goes on in another one after that.
        signal_seconds: from the signal to write a checkpoint to the time limit.
        cpus_per_task: cores per device.
        mem_gb: memory of a node; None is the cluster's default.
        setup: shell lines before the job.
        options: further options of sbatch.
        poll_seconds: between two looks at the jobs.
        report_seconds: seconds between two writings of the sweep's page; None writes none.
    """

    def __init__(
        self,
        executor: str,
        partition: str | None,
        account: str | None,
        qos: str | None,
        timeout_min: int,
        continues: int,
        signal_seconds: int,
        cpus_per_task: int,
        mem_gb: float | None,
        setup: Sequence[str],
        options: Mapping[str, Any],
        poll_seconds: float,
        report_seconds: float | None,
    ) -> None:
        self.request = {
            "executor": executor,
            "partition": partition,
            "account": account,
            "qos": qos,
            "timeout_min": timeout_min,
            "continues": continues,
            "signal_seconds": signal_seconds,
            "cpus_per_task": cpus_per_task,
            "mem_gb": mem_gb,
            "setup": list(setup),
            "options": dict(options),
        }
        self.poll_seconds = poll_seconds
        self.report_seconds = report_seconds

    def run(self, jobs: list[Any]) -> None:
        """Submit the jobs and wait for them."""
        from hydra_plugins.deblur_lit_launcher._slurm import Request, run_on_slurm

        run_on_slurm(jobs, Request(**self.request), self.poll_seconds, self.report_seconds)
