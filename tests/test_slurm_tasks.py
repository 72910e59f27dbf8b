"""The tasks that srun starts are the processes of one run; the queue takes its machine away and gives another."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_reproduce import write_gopro
from toy import wait_for

from deblur_lit import runs

TASKS = 2
STEPS = 200


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Data, and a `scontrol` that writes down what it is asked."""
    for number, (split, sequence) in enumerate((("train", "a"), ("train", "b"), ("train", "c"), ("test", "t"))):
        write_gopro(tmp_path / "data/gopro", split, sequence, 2, seed=number)
    scontrol = tmp_path / "bin/scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f"#!/bin/sh\necho $@ >> {tmp_path}/asked\n")
    scontrol.chmod(0o700)
    return tmp_path


def start(place: Path, task: int) -> "subprocess.Popen[bytes]":
    """Start a task as srun does."""
    words = f"""trainer=ddp_cpu trainer.devices={TASKS} study=queue ablation=dffm data=gopro data.val=[c]
        data.crop_size=16 data.batch_size=2 data.num_workers=0 network.channels=4 network.num_blocks=1
        trainer.max_epochs={STEPS // 2} trainer.check_val_every_n_epoch=1000 logger=csv variant=''
        callbacks.progress.interval=0 callbacks.images=null callbacks.last.every_n_steps=1000""".split()
    slurm = {
        "SLURM_JOB_ID": str(10000 + os.getpid() % 10000),
        "SLURM_JOB_NAME": "sweep",
        "SLURM_NTASKS": str(TASKS),
        "SLURM_NTASKS_PER_NODE": str(TASKS),
        "SLURM_NNODES": "1",
        "SLURM_NODELIST": "127.0.0.1",
        "SLURM_NODEID": "0",
        "SLURM_PROCID": str(task),
        "SLURM_LOCALID": str(task),
    }
    paths = {"PATH": f"{place}/bin:{os.environ['PATH']}", "DATA_ROOT": "data", "OMP_NUM_THREADS": "1"}
    with (place / f"task{task}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "deblur_lit.train", *words],
            cwd=place,
            env=os.environ | slurm | paths,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


@pytest.mark.long
def test_a_signal_to_one_task_stops_all_at_the_same_step_and_the_job_continues(place: Path) -> None:
    folder = place / "runs/queue/gopro/dffm/seed0"
    first, second = (start(place, task) for task in range(TASKS))
    log = place / "task0.log"
    wait_for(lambda: re.search(r"step [1-9]", log.read_text()) or first.poll() is not None, "a step")
    second.send_signal(signal.SIGUSR1)
    assert [process.wait(timeout=100) for process in (first, second)] == [130, 130], log.read_text()
    state = torch.load(folder / "last.ckpt", map_location="cpu", weights_only=True)
    assert 0 < state["global_step"] < STEPS
    again = [start(place, task) for task in range(TASKS)]
    assert [process.wait(timeout=200) for process in again] == [0, 0], log.read_text()
    training = runs.read_record(folder)["training"]
    assert (training["devices"], training["steps"]) == (TASKS, STEPS)
    said = "".join((place / f"task{task}.log").read_text() for task in range(TASKS))
    assert len(re.findall(r"(?m)^dffm: .* dB", said)) == 1
    assert "continuing from" in said
