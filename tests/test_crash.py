"""A run that is killed without warning, again and again, ends as the uninterrupted one."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from deblur_lit.data.images import write_png


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two tiny sequences to train on, one held out, one to test on."""
    draw = np.random.default_rng(0)
    for split, sequence in (("train", "a"), ("train", "b"), ("train", "c"), ("test", "t")):
        for frame in (1, 2):
            sharp = cv2.resize(draw.integers(0, 256, (8, 10, 3), dtype=np.uint8), (40, 32))
            for side, image in (("sharp", sharp), ("blur", cv2.blur(sharp, (5, 5)))):
                path = tmp_path / "gopro" / split / sequence / side / f"{frame:06d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_png(path, image)
    return tmp_path / "gopro"


def start(root: Path, study: str, folder: Path) -> subprocess.Popen[bytes]:
    words = f"""-m study={study} ablation=dffm data=gopro data.root={root} data.val=[c] data.crop_size=16
        data.batch_size=2 data.num_workers=1 network.channels=4 network.num_blocks=1 trainer.max_epochs=150
        logger=csv variant='' callbacks.last.every_n_steps=3 callbacks.images=null trainer.check_val_every_n_epoch=10"""
    command = [sys.executable, "-m", "deblur_lit.train", *words.split()]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (folder / f"{study}.log").open("ab") as log:
        return subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, env=environment
        )


def weights(folder: Path, study: str) -> dict[str, torch.Tensor]:
    path = folder / "runs" / study / "gopro" / "dffm" / "seed0" / "last.ckpt"
    return torch.load(path, map_location="cpu", weights_only=True)["state_dict"]


@pytest.mark.long
def test_killed_runs_end_with_the_same_weights(root: Path, tmp_path: Path) -> None:
    assert start(root, "whole", tmp_path).wait(timeout=300) == 0
    draw = random.Random(0)
    run = tmp_path / "runs" / "killed" / "gopro" / "dffm" / "seed0"
    killed = 0
    while killed < 6 and not (run / "metrics.json").exists():
        process = start(root, "killed", tmp_path)
        time.sleep(draw.uniform(9, 16))
        if process.poll() is None:
            killed += 1
            os.killpg(process.pid, signal.SIGKILL)
            subprocess.run(["pkill", "-KILL", "-f", f"data.root={root}"], check=False)  # the job's own group
            process.wait()
    assert killed >= 2
    assert start(root, "killed", tmp_path).wait(timeout=300) == 0
    whole, resumed = weights(tmp_path, "whole"), weights(tmp_path, "killed")
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
