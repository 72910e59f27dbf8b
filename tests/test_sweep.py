"""A real sweep: training processes, their folders, and two processes that train as one."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from test_reproduce import write_gopro

from deblur_lit import runs

SMALL = [
    "data=gopro",
    "data.val=[c]",
    "data.crop_size=16",
    "data.batch_size=2",
    "data.num_workers=0",
    "network.channels=4",
    "network.num_blocks=1",
    "trainer.max_epochs=2",
    "logger=csv",
    "variant=''",
]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder to work in, with two sequences to train on, three frames to validate on and three to test on."""
    for number, (split, sequence, frames) in enumerate(
        [("train", "a", 2), ("train", "b", 2), ("train", "c", 3), ("test", "t", 3)]
    ):
        write_gopro(tmp_path / "data/gopro", split, sequence, frames, seed=number)
    return tmp_path


def sweep(place: Path, *overrides: str) -> str:
    """Run a sweep to its end and return what it printed."""
    command = [sys.executable, "-m", "deblur_lit.train", "-m", *SMALL, *overrides]
    environment = os.environ | {"DATA_ROOT": "data", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def folders_with(place: Path, name: str) -> list[str]:
    return sorted(path.parent.relative_to(place).as_posix() for path in place.rglob(name))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, Any] = torch.load(folder / "last.ckpt", map_location="cpu", weights_only=True)
    tensors: dict[str, torch.Tensor] = state["state_dict"]
    return tensors


def test_a_sweep_leaves_one_finished_folder_per_row_and_is_not_run_twice(place: Path) -> None:
    rows = "ablation=baseline,dffm"
    said = sweep(place, rows, "study=mine")
    assert "2 jobs: 2 done, 0 finished before, 0 failed, 0 left" in said
    folders = ["runs/mine/gopro/baseline/seed0", "runs/mine/gopro/dffm/seed0"]
    for name in ("metrics.json", ".hydra", "last.ckpt", "best.ckpt", "job.out", "test.png"):
        assert folders_with(place, name) == folders
    assert folders_with(place, "multirun.yaml") in ([], ["runs/mine"])
    assert [path.name for path in place.iterdir() if path.name not in ("data", "runs")] == []
    records = [runs.read_record(place / folder) for folder in folders]
    assert [record["row"] for record in records] == ["baseline", "dffm"]
    assert [record["training"]["steps"] for record in records] == [4, 4]
    assert records[0]["config_hash"] != records[1]["config_hash"]
    assert weights(place / folders[0]).keys() < weights(place / folders[1]).keys()

    before = [(place / folder / "metrics.json").stat().st_mtime_ns for folder in folders]
    said = sweep(place, rows, "study=mine")
    assert "2 jobs: 2 finished, 0 to continue, 0 to start, 0 refused" in said
    assert [(place / folder / "metrics.json").stat().st_mtime_ns for folder in folders] == before


@pytest.mark.long
def test_two_processes_train_the_weights_of_one_and_count_no_image_twice(place: Path) -> None:
    records, states = [], []
    for trainer in ("cpu", "ddp_cpu"):
        sweep(place, "ablation=dffm_msrm", f"trainer={trainer}", f"study={trainer}")
        folder = place / f"runs/{trainer}/gopro/dffm_msrm/seed0"
        assert folders_with(place / "runs" / trainer, ".hydra") == ["gopro/dffm_msrm/seed0"]
        records.append(runs.read_record(folder))
        states.append(weights(folder))
        log = (folder / "job.out").read_text()
        assert len(re.findall(r"(?m)^dffm_msrm: .* dB", log)) == 1  # the first process alone scores and speaks
    one, two = records
    assert (one["training"]["devices"], two["training"]["devices"]) == (1, 2)
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=0, atol=1e-5)  # the steps moved it by about 4e-4
    for key in ("steps", "crops", "epochs"):
        assert one["training"][key] == two["training"][key]
    # Of three frames the second process has one: counted twice, it would shift the mean by tenths of a dB.
    assert two["training"]["val_psnr"] == pytest.approx(one["training"]["val_psnr"], abs=2e-3)
    images = [[image["name"] for image in record["scores"]["gopro"]["per_image"]] for record in records]
    assert images[0] == images[1] == ["t/000001", "t/000002", "t/000003"]
    assert two["scores"]["gopro"]["psnr"] == pytest.approx(one["scores"]["gopro"]["psnr"], abs=2e-3)


@pytest.mark.long
def test_an_interrupt_from_the_terminal_reaches_a_tables_training_and_leaves_its_checkpoint(tmp_path: Path) -> None:
    # Not the smallest network: a second signal, which kills the job, must find it inside its step.
    command = [sys.executable, "-m", "deblur_lit.reproduce", "table2", "callbacks.progress.interval=0"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    ) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if re.match(r"\[row 1/\d baseline\] step [1-9]", line):
                os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all in the foreground
                break
        said += process.stdout.readlines()
    assert process.returncode == 130, "".join(said)
    assert said[-1] == "interrupted; finished rows are kept, the same command continues\n"
    assert "Traceback" not in "".join(said)
    folder = tmp_path / "runs/table2/mini/baseline/seed0"
    state = torch.load(folder / "last.ckpt", map_location="cpu", weights_only=True)
    assert 0 < state["global_step"] < 50  # written for the signal, as no epoch is that short
    assert not list(tmp_path.rglob("metrics.json"))
