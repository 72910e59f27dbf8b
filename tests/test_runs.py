"""Run folders: records that are whole or absent, configurations that are told apart, one owner at a time."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from deblur_lit import runs

HOLDER = """
import sys
from deblur_lit import runs
with runs.lock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_record_reads_back_and_finishes_the_folder(tmp_path: Path) -> None:
    assert not runs.is_finished(tmp_path)
    record = {"schema": 1, "title": "+ DFFM", "scores": {"mini": {"psnr": 26.125, "psnr_blur": "inf"}}}
    assert runs.write_record(tmp_path, record) == tmp_path / "metrics.json"
    assert runs.is_finished(tmp_path)
    assert runs.read_record(tmp_path) == record
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.json"]


def test_a_failed_write_keeps_the_old_record_and_leaves_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.write_record(tmp_path, {"schema": 1, "seed": 0})

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        runs.write_record(tmp_path, {"schema": 1, "seed": 1})
    assert runs.read_record(tmp_path)["seed"] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.json"]


@pytest.mark.parametrize("number", [float("inf"), float("nan")])
def test_a_record_holds_only_numbers_that_json_has(tmp_path: Path, number: float) -> None:
    with pytest.raises(ValueError, match=r"metrics\.json.*'inf'"):
        runs.write_record(tmp_path, {"schema": 1, "psnr": number})
    assert not runs.is_finished(tmp_path)


def test_a_record_of_another_schema_is_neither_written_nor_taken_for_unfinished(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="schema is None, must be 1"):
        runs.write_record(tmp_path, {"psnr": 1.0})
    (tmp_path / "metrics.json").write_text('{"schema": 2}')
    with pytest.raises(ValueError, match="has schema 2"):
        runs.is_finished(tmp_path)


def test_a_broken_or_missing_record_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"metrics\.json is missing"):
        runs.read_record(tmp_path)
    (tmp_path / "metrics.json").write_text('{"schema": 1, "sco')
    with pytest.raises(ValueError, match=r"metrics\.json is not a completion record"):
        runs.is_finished(tmp_path)


def test_only_an_unfinished_folder_with_a_checkpoint_is_begun(tmp_path: Path) -> None:
    assert not runs.is_begun(tmp_path)
    (tmp_path / "last.ckpt").touch()
    assert runs.is_begun(tmp_path)
    runs.write_record(tmp_path, {"schema": 1})
    assert not runs.is_begun(tmp_path)


def test_keys_that_change_no_number_are_neither_compared_nor_hashed() -> None:
    config = {
        "study": "a",
        "data": {"root": "/x", "num_workers": 0, "crop_size": 64},
        "logger": {"name": "csv"},
        "callbacks": {
            "progress_bar": {"leave": True},
            "checkpoint": {"dirpath": "/x/y", "monitor": "val/psnr"},
        },
    }
    elsewhere = {
        "study": "b",
        "data": {"root": "/y", "num_workers": 4, "crop_size": 64},
        "logger": None,
        "callbacks": {"checkpoint": {"dirpath": "/z", "monitor": "val/psnr"}},
    }
    assert runs.differing_keys(config, elsewhere) == []
    assert runs.config_hash(config) == runs.config_hash(elsewhere)


@pytest.mark.parametrize(
    ("other", "key"),
    [
        ({"seed": 1, "network": {"fusion": None}, "terms": [1, 2]}, "seed"),
        ({"seed": 0, "network": {"fusion": {"reduction": 4}}, "terms": [1, 2]}, "network.fusion.reduction"),
        ({"seed": 0, "network": {"fusion": None}, "terms": [2, 1]}, "terms"),
        (
            {"seed": 0, "network": {"fusion": None}, "terms": [1, 2], "data": {"root": {"m": 7}}},
            "data.root.m",
        ),
    ],
)
def test_a_changed_key_is_named_and_changes_the_hash(other: dict[str, object], key: str) -> None:
    config = {"seed": 0, "network": {"fusion": None}, "terms": [1, 2]}
    assert key in runs.differing_keys(config, other)
    assert key in runs.differing_keys(other, config)
    assert runs.config_hash(config) != runs.config_hash(other)


def test_a_new_option_that_is_null_leaves_old_runs_valid() -> None:
    assert runs.differing_keys({"seed": 0}, {"seed": 0, "ema": None}) == []
    assert runs.config_hash({"seed": 0}) == runs.config_hash({"seed": 0, "ema": None})


def test_the_hash_is_of_values_not_of_how_they_are_written() -> None:
    written = OmegaConf.create({"lr": 1e-4, "optimizer": {"lr": "${lr}"}})
    assert runs.config_hash(written) == runs.config_hash({"optimizer": {"lr": 0.0001}, "lr": 0.0001})


def test_a_hash_does_not_need_the_value_of_an_ignored_key() -> None:
    config = OmegaConf.create({"data": {"root": "${oc.env:NOT_SET_ANYWHERE}/gopro"}, "seed": 0})
    assert len(runs.config_hash(config)) == 64


def test_a_saved_configuration_equals_the_one_that_was_composed(tmp_path: Path) -> None:
    config = {"lr": 1e-4, "name": "1e-4", "steps": 10, "betas": [0.9, 0.999], "fusion": None, "copy": "${lr}"}
    runs.save_config(tmp_path, config)
    assert runs.differing_keys(OmegaConf.create(config), runs.saved_config(tmp_path)) == []


def test_a_folder_without_result_or_checkpoint_takes_any_configuration(tmp_path: Path) -> None:
    runs.save_config(tmp_path, {"lr": 1.0})
    assert runs.mismatch(tmp_path, {"lr": 2.0}) == []


@pytest.mark.parametrize("begun", [True, False])
def test_a_begun_or_finished_folder_takes_only_its_own_configuration(tmp_path: Path, begun: bool) -> None:
    runs.save_config(tmp_path, {"lr": 1.0})
    if begun:
        (tmp_path / "last.ckpt").touch()
    else:
        runs.write_record(tmp_path, {"schema": 1})
    assert runs.mismatch(tmp_path, {"lr": 1.0}) == []
    assert runs.mismatch(tmp_path, {"lr": 2.0}) == ["lr"]


def save_as_hydra(folder: Path, config: dict[str, float]) -> None:
    (folder / ".hydra").mkdir()
    OmegaConf.save(OmegaConf.create(config), folder / runs.HYDRA_CONFIG)


@pytest.mark.parametrize("begun", [True, False])
def test_a_refused_start_does_not_take_the_folder(tmp_path: Path, begun: bool) -> None:
    runs.save_config(tmp_path, {"lr": 1.0})
    if begun:
        (tmp_path / "last.ckpt").touch()
    else:
        runs.write_record(tmp_path, {"schema": 1, "config_hash": runs.config_hash({"lr": 1.0})})
    save_as_hydra(tmp_path, {"lr": 2.0})
    assert runs.mismatch(tmp_path, {"lr": 1.0}) == []
    assert runs.mismatch(tmp_path, {"lr": 2.0}) == ["lr"]


def test_a_start_after_one_without_checkpoint_takes_the_folder(tmp_path: Path) -> None:
    runs.save_config(tmp_path, {"lr": "wrong"})
    assert runs.mismatch(tmp_path, {"lr": 1.0}) == []
    runs.save_config(tmp_path, {"lr": 1.0})
    (tmp_path / "last.ckpt").touch()
    assert runs.mismatch(tmp_path, {"lr": 1.0}) == []


def test_a_record_without_saved_configuration_is_known_by_its_hash(tmp_path: Path) -> None:
    runs.write_record(tmp_path, {"schema": 1, "config_hash": runs.config_hash({"lr": 1.0})})
    save_as_hydra(tmp_path, {"lr": 2.0})
    assert runs.mismatch(tmp_path, {"lr": 1.0}) == []
    assert runs.mismatch(tmp_path, {"lr": 2.0}) == ["config_hash in metrics.json"]


def test_one_process_at_a_time_holds_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "seed0"
    command = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        for attempt in (runs.check_unlocked, lambda path: runs.lock(path).__enter__()):
            with pytest.raises(runs.FolderInUseError, match=rf"seed0 is in use by process {holder.pid} on"):
                attempt(folder)
        with monkeypatch.context() as job:  # what a job sees whose launcher holds its folder
            job.setenv(runs.LOCK_HELD, str(folder.resolve()))
            with runs.lock(folder):
                pass
        holder.kill()
    runs.check_unlocked(folder)
    with runs.lock(folder):
        assert "process" in (folder / runs.LOCK).read_text()
    runs.check_unlocked(folder)


def test_the_module_imports_nothing_heavy() -> None:
    code = "import json, sys, deblur_lit.runs; print(json.dumps(sorted(sys.modules)))"
    names = json.loads(subprocess.check_output([sys.executable, "-c", code], text=True))
    assert not {"torch", "lightning", "numpy", "hydra", "cv2"} & {name.split(".")[0] for name in names}
