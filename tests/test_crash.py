"""A sweep that is killed without warning, again and again, ends as the uninterrupted one."""

import csv
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from test_reproduce import write_gopro
from toy import processes_of, wait_for

from deblur_lit.report.__main__ import main as report

STEPS = 60
CLOCK = ("training_seconds", "checkpoints", "commits")  # a checkpoint file holds the seconds too, so its hash does
ROW = Path("runs/table2/gopro/dffm/seed0")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with two tiny sequences to train on, one held out, one to test on."""
    for number, (split, sequence) in enumerate((("train", "a"), ("train", "b"), ("train", "c"), ("test", "t"))):
        write_gopro(tmp_path / "data/gopro", split, sequence, 2, seed=number)
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    return tmp_path


def start(folder: Path, words: list[str]) -> "subprocess.Popen[bytes]":
    """Start the sweep in a folder of its own, in a process group of its own."""
    common = f"""-m study=table2 data=gopro data.val=[c] data.crop_size=16 data.batch_size=2 data.num_workers=0
        network.channels=4 network.num_blocks=1 trainer.max_epochs={STEPS // 2} trainer.check_val_every_n_epoch=10
        logger=csv variant='' callbacks.last.every_n_steps=3 callbacks.images=null
        callbacks.progress.interval=0"""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "DATA_ROOT": str(folder.parent / "data")}
    command = [sys.executable, "-m", "deblur_lit.train", *common.split(), *words]
    with (folder / "sweep.log").open("ab") as log:
        return subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, env=environment
        )


def step_of(folder: Path) -> int:
    """The last step that a job printed, of all jobs the furthest."""
    logs = [path.read_text(errors="replace") for path in folder.rglob("job.out")]
    return max((int(step) for log in logs for step in re.findall(rf"step (\d+)/{STEPS}", log)), default=0)


def kill(folder: Path, words: list[str], at: int, draw: random.Random) -> bool:
    """Start the sweep and kill it at about a step; return whether it was still running."""
    sweep = start(folder, words)
    try:
        wait_for(lambda: step_of(folder) >= at or sweep.poll() is not None, f"step {at}", seconds=200)
        time.sleep(draw.uniform(0, 0.1))
    finally:
        running = sweep.poll() is None
        if running:
            os.killpg(sweep.pid, signal.SIGKILL)
    if running and draw.random() < 0.5:  # all at once, or the jobs by the guard that the sweep leaves behind
        for pid in processes_of(folder):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    sweep.wait()
    wait_for(lambda: not processes_of(folder), "the end of every process of the sweep")
    return running


def results(folder: Path) -> dict[str, Any]:
    """What must not depend on how often a sweep was killed: scores of every image, and the table."""
    found: dict[str, Any] = {}
    for path in folder.rglob("metrics.json"):
        record = json.loads(path.read_text())
        training = {key: value for key, value in record["training"].items() if key != "seconds"}
        scores = {key: record["scores"]["gopro"][key] for key in ("psnr", "ssim", "per_image", "data_hash")}
        found[path.parent.name, record["row"]] = (scores, training, record["config_hash"])
    assert report(["table2", "--data", "gopro", "--runs", str(folder / "runs")]) == 0
    with (folder / "runs/table2/gopro/table.csv").open() as file:
        rows = [{key: row[key] for key in row if key not in CLOCK} for row in csv.DictReader(file)]
    return {**found, "table": rows}


def states(folder: Path) -> dict[str, Any]:
    found = {}
    for path in folder.rglob("last.ckpt"):
        state = torch.load(path, map_location="cpu", weights_only=True)
        found[path.parent.parent.name] = (state["state_dict"], state["optimizer_states"], state["global_step"])
    return found


def same(left: Any, right: Any) -> bool:
    if isinstance(left, torch.Tensor):
        return torch.equal(left, right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


@pytest.mark.parametrize(
    ("kills", "words"),
    [
        pytest.param(2, ["ablation=dffm"], id="twice"),
        pytest.param(
            20, ["ablation=dffm,msrm", "hydra.launcher.n_jobs=2"], id="20 times, two rows", marks=pytest.mark.long
        ),
        pytest.param(20, ["ablation=dffm", "trainer=ddp_cpu"], id="20 times, two processes", marks=pytest.mark.long),
    ],
)
def test_a_killed_sweep_ends_with_the_weights_and_the_table_of_a_whole_one(
    place: Path, kills: int, words: list[str]
) -> None:
    assert start(place / "whole", words).wait() == 0
    draw = random.Random(kills)
    killed = 0
    for at in sorted(draw.sample(range(STEPS - 5), kills)):  # 0 is before the first step, while modules are imported
        killed += kill(place / "killed", words, at, draw)
    assert killed == kills
    assert start(place / "killed", words).wait() == 0
    assert not processes_of(place / "killed")
    log = (place / "killed" / ROW / "job.out").read_text()
    assert "continuing from" in log
    whole, resumed = states(place / "whole"), states(place / "killed")
    assert same(whole, resumed)
    assert {state[2] for state in whole.values()} == {STEPS}
    assert results(place / "killed") == results(place / "whole")
