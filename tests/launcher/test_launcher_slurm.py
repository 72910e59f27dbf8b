"""Sweeps on a cluster: submitit's local executor, the text that sbatch gets, and a SLURM that is pretended."""

import os
import signal
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from toy import RUNS, Run, Start, processes_of, record, wait_for

LOCAL = ("-m", "hydra/launcher=slurm", "hydra.launcher.executor=local", "hydra.launcher.poll_seconds=0.1")
SLURM = ("-m", "hydra/launcher=slurm", "hydra.launcher.poll_seconds=0.1")
Pretend = Callable[[str], dict[str, str]]


@pytest.fixture
def pretend(tmp_path: Path) -> Pretend:
    """Make commands of SLURM that keep the script in `script.sh` and say that jobs are in a state."""

    def pretend(state: str) -> dict[str, str]:
        commands = tmp_path / "bin"
        commands.mkdir(exist_ok=True)
        for name, line in {
            "sbatch": f"cp $1 {tmp_path}/script.sh; echo Submitted batch job 4711",
            "sacct": f"echo 'JobID|State|NodeList'; echo '4711|{state}|n1'",
            "srun": "exit 1",
        }.items():
            (commands / name).write_text(f"#!/bin/sh\n{line}\n")
            (commands / name).chmod(stat.S_IRWXU)
        return {"PATH": f"{commands}:{os.environ['PATH']}"}

    return pretend


def task_of(place: Path) -> int | None:
    """The process that submitit runs as the task of a job."""
    for pid in processes_of(place):
        with suppress(OSError):
            if b"submitit.core._submit" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
    return None


def test_jobs_run_by_submitit_and_a_failing_one_costs_itself(place: Path, run: Run) -> None:
    done = run(*LOCAL, "ablation=baseline,crash,dffm")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "3 jobs: 2 done, 0 finished before, 1 failed, 0 left" in done.stdout
    assert "    the network exploded" in done.stdout
    assert (record(place, "baseline")["seed"], record(place, "dffm")["seed"]) == (0, 0)
    wait_for(lambda: not processes_of(place), "the end of submitit's processes")
    again = run(*LOCAL, "ablation=baseline,dffm")
    assert (again.returncode, again.stdout.splitlines()[0]) == (
        0,
        "2 jobs: 2 finished, 0 to continue, 0 to start, 0 refused",
    )


def test_a_preempted_job_goes_back_into_the_queue_and_continues(place: Path, start: Start) -> None:
    folder = place / RUNS / "preempt/seed0"
    with start(*LOCAL, "ablation=preempt") as sweep:
        wait_for((folder / "ready").exists, "the job")
        task = task_of(place)
        assert task is not None
        os.kill(task, signal.SIGUSR2)  # what submitit asks SLURM to send
        out, err = sweep.communicate(timeout=100)
    assert sweep.returncode == 0, out + err
    assert record(place, "preempt")["resumed"]
    assert len((folder / "pids").read_text().splitlines()) == 2
    wait_for(lambda: not processes_of(place), "the end of submitit's processes")


def test_sbatch_gets_a_task_per_gpu_and_a_signal_in_time(place: Path, run: Run, pretend: Pretend) -> None:
    done = run(
        *SLURM,
        "ablation=dffm",
        "+trainer={accelerator:gpu,devices:4,num_nodes:2}",
        "hydra.launcher.partition=deep",
        "hydra.launcher.timeout_min=90",
        "hydra.launcher.mem_gb=64",
        "hydra.launcher.setup=['module load cuda']",
        "+hydra.launcher.options.constraint=a100",
        extra=pretend("FAILED"),
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "SLURM job 4711 ended as FAILED without metrics.json" in done.stdout
    script = (place / "script.sh").read_text().splitlines()
    for line in (
        "#SBATCH --nodes=2",
        "#SBATCH --ntasks-per-node=4",
        "#SBATCH --gpus-per-node=4",
        "#SBATCH --cpus-per-task=8",
        "#SBATCH --mem=64GB",
        "#SBATCH --partition=deep",
        "#SBATCH --time=90",
        "#SBATCH --constraint=a100",
        "#SBATCH --requeue",
        "#SBATCH --signal=USR2@120",
        "#SBATCH --job-name=dffm-seed0",
        "module load cuda",
    ):
        assert line in script
    [command] = [line for line in script if line.startswith("srun ")]
    assert " --kill-on-bad-exit=1 " in command


def test_a_job_in_the_queue_is_watched_and_not_submitted_again(
    place: Path, run: Run, start: Start, pretend: Pretend
) -> None:
    for said in ("submitted, job 4711, log:", "is in the queue already, job 4711"):
        (place / "script.sh").unlink(missing_ok=True)
        with start(*SLURM, "ablation=dffm", extra=pretend("PENDING")) as sweep:
            wait_for((place / RUNS / "dffm/seed0/slurm/queued.json").exists, "the submission")
            assert sweep.stdout is not None
            lines = []
            while not (lines and lines[-1].startswith("sweep: ")):
                lines.append(sweep.stdout.readline())
            sweep.send_signal(signal.SIGINT)
            out, err = sweep.communicate(timeout=60)
        assert said in "".join(lines)
        assert sweep.returncode == 130, err
        assert "jobs 4711 stay in the queue; the same command watches them, scancel 4711 ends them" in out
    assert not (place / "script.sh").exists()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("+trainer={accelerator:gpu,devices:auto}",), "trainer.devices=auto: say how many GPUs of a node"),
        (("hydra.launcher.executor=nowhere",), "nowhere"),
    ],
)
def test_what_a_cluster_cannot_be_asked_is_refused(run: Run, pretend: Pretend, words: tuple[str], named: str) -> None:
    done = run(*SLURM, "ablation=dffm", *words, extra=pretend("PENDING"))
    assert done.returncode == 1
    assert done.stderr.startswith("error: hydra/launcher=slurm: ")
    assert named in done.stderr
    assert "Traceback" not in done.stderr


def test_without_slurm_the_launcher_says_so(run: Run) -> None:
    done = run(*SLURM, "ablation=dffm")
    assert done.returncode == 1
    assert done.stderr.startswith("error: hydra/launcher=slurm: ")
    assert "Traceback" not in done.stderr
