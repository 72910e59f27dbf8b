"""Training a row: exact resume, interruption, refusals, and what a run leaves behind."""

import csv
import json
import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from omegaconf import DictConfig

from deblur_lit import runs
from deblur_lit.config import build, compose
from deblur_lit.data.images import write_png
from deblur_lit.networks.checkpoint import read_weights
from deblur_lit.report.sweep.strips import read_sheet
from deblur_lit.slurm import is_first_process, requeue
from deblur_lit.train import train

Compose = Callable[..., DictConfig]
ACT_AT: dict[str, int] = {}  # what `Meddler` does at which step; no part of the configuration


class Meddler(Callback):
    """Does at a given step what goes wrong in real life."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == ACT_AT.get("signal"):
            del ACT_AT["signal"]
            os.kill(os.getpid(), ACT_AT.get("number", signal.SIGINT))
        if trainer.global_step == ACT_AT.get("nan"):
            next(pl_module.network.parameters()).data.fill_(float("nan"))


@pytest.fixture(autouse=True)
def _reset() -> Iterator[None]:
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    ACT_AT.clear()
    yield
    signal.signal(signal.SIGINT, handlers[0])  # Lightning leaves it ignored after an interruption
    signal.signal(signal.SIGTERM, handlers[1])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tiny sequences to train on (one is held out) and one to test on."""
    folder = tmp_path_factory.mktemp("data") / "gopro"
    draw = np.random.default_rng(0)
    for split, sequences in (("train", ("a", "b", "c")), ("test", ("t",))):
        for sequence in sequences:
            for frame in (1, 2):
                coarse = draw.integers(0, 256, (8, 10, 3), dtype=np.uint8)
                sharp = cv2.resize(coarse, (40, 32), interpolation=cv2.INTER_NEAREST)
                for side, image in (("sharp", sharp), ("blur", cv2.blur(sharp, (5, 5)))):
                    path = folder / split / sequence / side / f"{frame:06d}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    write_png(path, image)
    return folder


@pytest.fixture
def tiny(root: Path, tmp_path: Path) -> Compose:
    """Compose a run of 2 steps an epoch over 4 pairs, in seconds."""

    def make(*overrides: str, name: str = "run") -> DictConfig:
        return compose(
            "train",
            [
                "data=gopro",
                f"data.root={root}",
                "data.val=[c]",
                "data.crop_size=16",
                "data.batch_size=2",
                "data.num_workers=0",
                "network.channels=4",
                "network.num_blocks=1",
                "trainer.max_epochs=3",
                "logger=csv",
                "variant=''",
                "+callbacks.meddler._target_=test_train.Meddler",
                f"run_dir={tmp_path / name}",
                *overrides,
            ],
        )

    return make


def checkpoint(folder: str | Path, name: str = "last.ckpt") -> dict[str, Any]:
    return torch.load(Path(folder) / name, map_location="cpu", weights_only=True)


def same(left: Any, right: Any) -> bool:
    if isinstance(left, torch.Tensor):
        return torch.equal(left, right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right


def validations(folder: str | Path) -> list[str]:
    """PSNR of each validation, over all starts of a run."""
    found: list[str] = []
    for path in sorted(Path(folder).glob("logs/version_*/metrics.csv")):
        with path.open() as rows:
            found += [row["val/psnr"] for row in csv.DictReader(rows) if row.get("val/psnr")]
    return found


@pytest.mark.parametrize("step", [1, 2, 3], ids=["mid-epoch", "between epochs", "mid second epoch"])
@pytest.mark.parametrize(
    "overrides",
    [
        ["data.augment.transforms.0.p=0.5"],
        ["network=mimo_unet_plus", "network.num_blocks=1", "callbacks=ema", "callbacks.ema.multi_avg_fn.decay=0.5"],
        ["data.num_workers=1", "trainer.gradient_clip_val=0.1", "scheduler=multistep"],
    ],
    ids=["plain", "dropout and ema", "worker, clipping, multistep"],
)
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tiny: Compose, overrides: list[str], step: int) -> None:
    whole, resumed = tiny(*overrides, name="whole"), tiny(*overrides, name="resumed")
    record = train(whole)
    ACT_AT["signal"] = step
    with pytest.raises(SystemExit) as stop:
        train(resumed)
    assert stop.value.code == 130
    assert checkpoint(resumed.run_dir)["global_step"] == step + 1
    assert not (Path(resumed.run_dir) / "metrics.json").exists()
    again = train(resumed)

    for name in ("last.ckpt", "best.ckpt"):
        ours, reference = checkpoint(resumed.run_dir, name), checkpoint(whole.run_dir, name)
        for key in ("state_dict", "optimizer_states", "lr_schedulers", "epoch", "global_step"):
            assert same(ours[key], reference[key]), (name, key)
        assert same(ours["callbacks"]["LastCheckpoint"], reference["callbacks"]["LastCheckpoint"]), name
    for key in ("psnr", "ssim", "per_image"):
        assert again["scores"]["gopro"][key] == record["scores"]["gopro"][key]
    assert again["training"]["steps"] == record["training"]["steps"] == 6
    assert validations(resumed.run_dir) == validations(whole.run_dir)
    assert len(validations(whole.run_dir)) == 3


def test_a_run_that_stopped_behind_the_last_batch_of_an_epoch_and_later_again_leaves_no_step_out(tiny: Compose) -> None:
    whole, stopped = tiny(name="whole"), tiny(name="stopped")
    train(whole)
    ACT_AT["signal"] = 1  # an epoch has two steps
    with pytest.raises(SystemExit):
        train(stopped)
    ACT_AT["nan"] = 4  # ends the run at once, with the checkpoint of the epoch before
    with pytest.raises(SystemExit):
        train(stopped)
    ACT_AT.clear()
    assert checkpoint(stopped.run_dir)["global_step"] == 4
    assert train(stopped)["training"]["steps"] == 6
    ours, reference = checkpoint(stopped.run_dir), checkpoint(whole.run_dir)
    for key in ("state_dict", "optimizer_states", "lr_schedulers", "epoch", "global_step"):
        assert same(ours[key], reference[key]), key


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_a_preempted_run_writes_its_checkpoint_and_goes_back_into_the_queue(
    tiny: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(f"#!/bin/sh\necho $@ >> {tmp_path}/said\n")
    scontrol.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    cfg = tiny()
    ACT_AT.update(signal=3, number=number)
    with pytest.raises(SystemExit) as stop:
        train(cfg)
    assert stop.value.code == 130
    assert checkpoint(cfg.run_dir)["global_step"] == 4
    assert (tmp_path / "said").read_text() == "requeue 12\n"
    assert "job 12 is in the queue again" in capsys.readouterr().out
    assert train(cfg)["training"]["steps"] == 6


def test_a_run_that_submitit_started_leaves_the_queue_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert requeue() is None
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setenv("PATH", "")
    assert str(requeue()).startswith("job 12 could not be put back into the queue: ")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "3")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "7")
    assert str(requeue()).startswith("job 3_7 ")
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
    assert requeue() is None


@pytest.mark.parametrize("name", ["RANK", "NODE_RANK", "LOCAL_RANK", "SLURM_PROCID", "GROUP_RANK"])
def test_one_process_of_a_run_is_the_first(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "0")
    assert is_first_process()
    monkeypatch.setenv(name, "1")
    assert not is_first_process()


def test_a_port_in_use_is_named(tiny: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for name, value in {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_RANK": "0"}.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(ValueError, match=rf"2 processes .* MASTER_PORT={port}.*: .*{port}"):
            train(tiny("trainer=ddp_cpu"))


def test_a_finished_run_is_not_trained_again(tiny: Compose, capsys: pytest.CaptureFixture[str]) -> None:
    record = train(tiny("trainer.max_epochs=1"))
    before = (Path(tiny().run_dir) / "last.ckpt").stat().st_mtime_ns
    assert train(tiny("trainer.max_epochs=1")) == record
    assert "finished already" in capsys.readouterr().out
    assert (Path(tiny().run_dir) / "last.ckpt").stat().st_mtime_ns == before


def test_a_folder_of_another_configuration_is_refused_with_the_key(tiny: Compose) -> None:
    train(tiny("trainer.max_epochs=1"))
    with pytest.raises(ValueError, match=r"optimizer\.lr.*study="):
        train(tiny("trainer.max_epochs=1", "optimizer.lr=0.5"))


def test_a_begun_folder_of_another_configuration_is_refused_too(tiny: Compose) -> None:
    ACT_AT["signal"] = 1
    with pytest.raises(SystemExit):
        train(tiny())
    with pytest.raises(ValueError, match=r"loss|seed"):
        train(tiny("seed=1"))


def test_the_record_says_what_the_numbers_depend_on(tiny: Compose) -> None:
    cfg = tiny("ablation=dffm_msrm")
    record = train(cfg)
    assert record == json.loads((Path(cfg.run_dir) / "metrics.json").read_text())
    assert (record["schema"], record["row"], record["seed"], record["study"]) == (1, "dffm_msrm", 0, "train")
    assert record["network"]["parameters"] == sum(
        v.numel() for v in read_weights(Path(cfg.run_dir) / "last.ckpt").values()
    )
    assert record["training"]["crops"] == 12
    assert record["checkpoint"]["selection"] == "best by val/psnr"
    score = record["scores"]["gopro"]
    assert score["label"] == "GoPro, 2 frames (not the test set of 1111)"
    assert score["psnr"] == pytest.approx(np.mean([row["psnr"] for row in score["per_image"]]))
    assert {"torch", "lightning", "python"} <= record["versions"].keys()
    for name in ("test.png", "validation.png", "config.yaml"):
        assert (Path(cfg.run_dir) / name).is_file()


def test_a_report_cuts_the_validation_pictures_of_a_run(tiny: Compose) -> None:
    cfg = tiny()
    train(cfg)
    sheet = read_sheet(Path(cfg.run_dir) / "validation.png", 0, 0)
    assert sheet.step == runs.read_record(cfg.run_dir)["training"]["steps"]
    assert list(sheet.images) == ["c/000001", "c/000002"]
    assert all(
        set(parts) == {"blur", "restored", "sharp"} for kinds in sheet.images.values() for parts in kinds.values()
    )


def test_the_plan_of_a_run_says_steps_crops_and_hours(tiny: Compose, capsys: pytest.CaptureFixture[str]) -> None:
    halves = ["trainer.recipe_devices=2", "trainer.keep_global_batch=true"]
    train(tiny("trainer.max_epochs=6", *halves))
    said = capsys.readouterr().out
    assert "plan: 12 steps of 2 crops (1 on each of 1 device, 2 batches added up), 24 crops seen in all\n" in said
    # the clock starts behind the first of 24 batches and stops 10 later, in the sixth step
    assert re.search(r"plan: about \S+ h for the 7 steps to come, without validation\n", said)


def test_terms_and_scores_are_logged_one_by_one(tiny: Compose) -> None:
    cfg = tiny("trainer.log_every_n_steps=1")
    train(cfg)
    header = next(Path(cfg.run_dir).glob("logs/*/metrics.csv")).read_text().splitlines()[0].split(",")
    assert {"train/content", "train/frequency", "train/loss", "val/psnr", "val/ssim"} <= set(header)


def test_without_validation_the_last_checkpoint_is_scored(tiny: Compose) -> None:
    cfg = tiny("data.val=none", "trainer.max_epochs=1")
    record = train(cfg)
    assert record["checkpoint"]["selection"] == "last"
    assert not (Path(cfg.run_dir) / "best.ckpt").exists()
    assert record["training"]["steps"] == 3


def test_the_best_checkpoint_is_scored_and_not_the_last(tiny: Compose) -> None:
    cfg = tiny("optimizer.lr=0.3", "trainer.max_epochs=4")  # wild steps: the best is rarely the last
    record = train(cfg)
    best = checkpoint(cfg.run_dir, "best.ckpt")
    assert record["training"]["scored_step"] == best["global_step"]
    assert record["checkpoint"]["file"] == "best.ckpt"


def test_a_loss_that_is_not_finite_stops_with_step_and_images(
    tiny: Compose, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = tiny("callbacks.last.every_n_steps=1")
    ACT_AT["nan"] = 3
    with pytest.raises(SystemExit, match=r"step 3: the loss is not finite .* for [ab]/00000\d, [ab]/00000\d"):
        train(cfg)
    state = checkpoint(cfg.run_dir)
    assert state["global_step"] == 3
    assert all(torch.isfinite(value).all() for value in state["state_dict"].values())


def test_a_full_disk_keeps_the_checkpoint_of_before(tiny: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = tiny("callbacks.last.every_n_steps=1", "callbacks.best=null")
    save, calls = torch.save, [0]

    def full(content: Any, file: Any) -> None:
        calls[0] += 1
        save(content, file)
        if calls[0] == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match=r"last\.ckpt: .*No space left.*is still there.*run the same command again"):
        train(cfg)
    assert checkpoint(cfg.run_dir)["global_step"] == 2
    assert not list(Path(cfg.run_dir).glob(".*.part"))
    monkeypatch.undo()
    assert train(cfg)["training"]["steps"] == 6


def test_a_damaged_checkpoint_in_the_folder_is_named(tiny: Compose) -> None:
    cfg = tiny()
    ACT_AT["signal"] = 1
    with pytest.raises(SystemExit):
        train(cfg)
    (Path(cfg.run_dir) / "last.ckpt").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"last\.ckpt: (refused|damaged)"):
        train(cfg)


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("callbacks.best.monitor=test/psnr", "callbacks.best.monitor=test/psnr"),
        ("data.val=test", "data.val=test"),
        ("data.val=[nowhere]", "nowhere"),
        ("data.root=/nonexistent/GoPr0", "/nonexistent/GoPr0"),
        ("data.crop_size=64", "64"),
        ("data.batch_size=0", "batch_size"),
    ],
)
def test_a_wrong_value_is_refused_by_name(tiny: Compose, override: str, named: str) -> None:
    with pytest.raises((ValueError, OSError), match=re.escape(named)):
        train(tiny(override))


@pytest.mark.parametrize("precision", ["bf16-mixed"])
def test_mixed_precision_trains_to_finite_weights(tiny: Compose, precision: str) -> None:
    cfg = tiny(f"trainer.precision={precision}", "trainer.max_epochs=1", "ablation=dffm_msrm")
    train(cfg)
    assert all(torch.isfinite(value).all() for value in read_weights(Path(cfg.run_dir) / "last.ckpt").values())


def test_training_begins_with_the_weights_of_a_checkpoint(tmp_path: Path) -> None:
    small = ["network.channels=4", "network.num_blocks=1"]
    torch.manual_seed(1)
    first = build(compose("train", small).module)
    torch.save({"state_dict": first.state_dict()}, tmp_path / "first.ckpt")
    second = build(compose("train", [*small, f"+module.start={tmp_path / 'first.ckpt'}"]).module)
    for name, value in first.network.state_dict().items():
        assert torch.equal(second.network.state_dict()[name], value)
    with pytest.raises(ValueError, match="does not fit"):
        build(compose("train", ["network.channels=8", f"+module.start={tmp_path / 'first.ckpt'}"]).module)
