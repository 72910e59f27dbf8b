"""A toy program in place of training, for tests of sweeps, and what it leaves in its folders."""

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from deblur_lit import runs

PROGRAM = """
import json, os, signal, sys, time
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from deblur_lit import runs


@hydra.main(version_base="1.3", config_path=str(Path(__file__).parent / "conf"), config_name="train")
def main(cfg):
    folder = Path(HydraConfig.get().runtime.output_dir)
    mode = cfg.ablation.mode
    (folder / "environment.json").write_text(json.dumps(dict(os.environ)))
    with (folder / "pids").open("a") as file:
        print(os.getpid(), os.getpgid(0), file=file)
    print("works in", os.getcwd())
    print("step 1\\rstep 2", "\\N{FULL BLOCK}")
    if mode == "crash":
        sys.exit("the network exploded")
    if mode == "meet":
        while not all((folder.parent / f"seed{seed}/pids").exists() for seed in (0, 1)):
            time.sleep(0.05)
    if mode == "sleep" and not (folder / "last.ckpt").exists():
        if os.fork() == 0:  # a rank of its own
            with (folder / "pids").open("a") as file:
                print(os.getpid(), os.getpgid(0), file=file)
            time.sleep(60)
        (folder / "last.ckpt").touch()
        time.sleep(60)
    if mode == "preempt" and not (folder / "last.ckpt").exists():
        signal.signal(signal.SIGUSR1, lambda *_: (folder / "last.ckpt").touch() or sys.exit(130))
        (folder / "ready").touch()
        time.sleep(60)
    with runs.lock(folder):
        if keys := runs.mismatch(folder, cfg):
            sys.exit(f"refused: {keys}")
        runs.save_config(folder, cfg)
        if mode != "forget":
            resumed = (folder / "last.ckpt").exists()
            config = OmegaConf.to_container(cfg, resolve=True)
            record = {"schema": 1, "seed": cfg.seed, "resumed": resumed, "config": config}
            runs.write_record(folder, record | {"config_hash": runs.config_hash(cfg)})


if __name__ == "__main__":
    main()
"""

CALLBACK = """
import os

from hydra.core.plugins import Plugins
from hydra.experimental.callback import Callback


class Results(Callback):
    def on_multirun_start(self, config, **kwargs):
        launcher = Plugins.instance().class_name_to_class[config.hydra.launcher._target_]
        launch = launcher.launch

        def launch_and_print(self, job_overrides, initial_job_idx):
            jobs = launch(self, job_overrides, initial_job_idx)
            for job in jobs:
                print("returned", job.status.name, job.overrides, job.working_dir, job.return_value["seed"])
            print("environment", sorted(name for name in os.environ if "RANK" in name or "DEBLUR" in name))
            return jobs

        launcher.launch = launch_and_print
"""

CONFIG = """
defaults:
  - ablation: baseline
  - override /hydra/launcher: subprocess
  - _self_
study: table2
data: {name: mini, root: /data, crop_size: 64}
seed: 0
note: plain
hydra:
  run: {dir: "runs/${study}/${data.name}/${hydra:runtime.choices.ablation}/seed${seed}"}
  sweep: {dir: "runs/${study}", subdir: "${data.name}/${hydra:runtime.choices.ablation}/seed${seed}"}
"""

RUNS = Path("runs/table2/mini")
Start = Callable[..., "subprocess.Popen[str]"]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def record(place: Path, row: str, seed: int = 0) -> dict[str, Any]:
    return runs.read_record(place / RUNS / row / f"seed{seed}")


def pids(folder: Path) -> list[tuple[int, int]]:
    """Process and process group of each process that worked in a folder."""
    pairs = [line.split() for line in (folder / "pids").read_text().splitlines()]
    return [(int(pid), int(group)) for pid, group in pairs]


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"  # a container without an init process leaves ended orphans in the table


def processes_of(place: Path) -> list[int]:
    """Every process that works in a folder: the sweep, its guard, its jobs and whatever they started."""
    if sys.platform != "linux":
        pytest.skip("only Linux tells where other processes work")
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cwd").readlink() == place and is_running(int(process.name)):
                found.append(int(process.name))
    return found


def wait_for(condition: Callable[[], object], what: str, seconds: int = 30) -> None:
    for _ in range(20 * seconds):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail(f"waited in vain for {what}")


def wait_until_asleep(folder: Path) -> None:
    wait_for(lambda: (folder / "last.ckpt").exists() and len(pids(folder)) == 2, f"a sleeping job in {folder}")
