"""Where each row of a table comes from, and what it will take."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from deblur_lit import plan as plan_module
from deblur_lit import runs
from deblur_lit.config import compose
from deblur_lit.networks.loading import count_parameters, load_network
from deblur_lit.plan import TRAINED, Options, Plan, choice_of, has_network, make_plan, print_plan, probe
from deblur_lit.report.spec import RowSpec, load_spec

FOUR = ["baseline", "dffm", "msrm", "dffm_msrm"]


@pytest.fixture
def base(tmp_path: Path) -> dict[str, Any]:
    """A command line that says nothing but the table."""
    return {
        "table": "table1",
        "data_root": None,
        "checkpoints": None,
        "train": False,
        "train_all": False,
        "optional": False,
        "rows": [],
        "seeds": "0",
        "runs": tmp_path / "runs",
        "overrides": [],
    }


def rows(*keys: str, optional: bool = False) -> list[RowSpec]:
    return [RowSpec(key, key, "", optional, {}, ()) for key in keys]


def rows_of(table: str) -> list[RowSpec]:
    """The rows that a table always has, without the blurred input."""
    return [row for row in load_spec(table).rows if row.key != "blur" and not row.optional]


def finish(folder: Path) -> None:
    folder.mkdir(parents=True)
    runs.write_record(folder, {"schema": 1})


@pytest.mark.parametrize("table", ["table1", "table2"])
def test_mini_trains_the_tables_rows_and_gives_a_reason_for_every_other(table: str, base: dict[str, Any]) -> None:
    options = Options(**base | {"table": table})
    plan = make_plan(options, rows_of(table), trainable=True)
    assert options.data == "mini"
    assert plan.trained == TRAINED["mini"][table]
    assert (plan.scored, plan.finished) == ({}, [])
    assert {row.key for row in rows_of(table)} == {*plan.trained, *plan.missing}
    assert all(plan.missing.values())


def test_gopro_without_training_images_trains_nothing(base: dict[str, Any], tmp_path: Path) -> None:
    options = Options(**base | {"data_root": tmp_path, "train": True})
    plan = make_plan(options, rows("dffm_msrm", "mimo_unet"), trainable=False)
    assert options.data == "gopro"
    assert plan.trained == []
    place = tmp_path / "runs/table1/gopro/dffm_msrm/seed0"
    assert plan.missing["dffm_msrm"].endswith(f", and for {place}; there is no train/ to train it on")
    assert plan.missing["mimo_unet"].startswith("looked for CHECKPOINTS/mimo_unet.{safetensors,ckpt,pkl,")
    assert plan.missing["mimo_unet"].endswith("} and CHECKPOINTS/mimo_unet/")


@pytest.mark.parametrize(("table", "trained"), [("table1", ["dffm_msrm"]), ("table2", FOUR)])
def test_gopro_is_trained_on_only_if_asked_to(
    table: str, trained: list[str], base: dict[str, Any], tmp_path: Path
) -> None:
    given = base | {"table": table, "data_root": tmp_path, "train_all": True}
    silent = make_plan(Options(**given), rows_of(table), trainable=True)
    assert silent.trained == []
    assert all(silent.missing[row].endswith("; TRAIN=1 trains it on a GPU") for row in trained)
    asked = make_plan(Options(**given | {"train": True}), rows_of(table), trainable=True)
    assert asked.trained == trained  # rivals come from published weights, even with TRAIN_ALL


def test_a_row_without_a_network_is_never_trained(base: dict[str, Any]) -> None:
    plan = make_plan(Options(**base | {"train_all": True}), rows("ghost", "mimo_unet_plus"), trainable=True)
    assert plan.trained == ["mimo_unet_plus"]
    assert plan.missing == {"ghost": "no network yet: there is no conf/network/ghost.yaml"}


def test_mini_trains_all_networks_only_if_asked_to(base: dict[str, Any]) -> None:
    plan = make_plan(Options(**base), rows("mimo_unet_plus"), trainable=True)
    assert (plan.trained, list(plan.missing)) == ([], ["mimo_unet_plus"])
    assert make_plan(Options(**base | {"rows": ["mimo_unet_plus"]}), rows("mimo_unet_plus"), True).trained


@pytest.mark.parametrize("data_root", [None, Path("data")])
def test_controls_are_trained_like_the_rows_of_table_2(data_root: Path | None, base: dict[str, Any]) -> None:
    options = Options(**base | {"table": "table2", "data_root": data_root, "train": True})
    spec = load_spec("table2").rows
    plan = make_plan(options, spec, trainable=True)
    if data_root:
        assert plan.trained == [*FOUR, "aff", "dffm_equal_cost"]
    else:  # with all depths reduced to one, what differs in depth alone is one network
        assert plan.trained == [*FOUR, "aff"]
        assert plan.missing == {"dffm_equal_cost": "experiment=mini reduces it to the same network as dffm"}


def test_a_published_checkpoint_is_a_file_or_a_folder(base: dict[str, Any], tmp_path: Path) -> None:
    for name in ("mimo_unet.pkl", "ghost.pkl", "dffm_msrm"):
        (tmp_path / name).touch() if name.endswith(".pkl") else (tmp_path / name).mkdir()
    options = Options(**base | {"data_root": tmp_path, "checkpoints": tmp_path})
    plan = make_plan(options, rows("mimo_unet", "dffm_msrm", "ghost", "mimo_unet_plus"), trainable=False)
    assert plan.scored == {"mimo_unet": tmp_path / "mimo_unet.pkl", "dffm_msrm": tmp_path / "dffm_msrm"}
    assert plan.missing["mimo_unet_plus"].startswith(f"looked for {tmp_path}/mimo_unet_plus.{{safetensors,")
    assert plan.missing["ghost"].startswith("no network yet")


def test_a_row_is_finished_when_all_its_seeds_are(base: dict[str, Any]) -> None:
    options = Options(**base | {"table": "table2", "seeds": "0,2"})
    assert options.seed_folders("dffm") == [options.base / "dffm/seed0", options.base / "dffm/seed2"]
    finish(options.base / "dffm/seed0")
    assert make_plan(options, rows("dffm"), trainable=True).trained == ["dffm"]
    finish(options.base / "dffm/seed2")
    assert make_plan(options, rows("dffm"), trainable=True) == Plan({}, [], ["dffm"], {})


def test_a_finished_run_comes_before_published_weights(base: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "dffm.pkl").touch()
    options = Options(**base | {"table": "table2", "checkpoints": tmp_path})
    assert make_plan(options, rows("dffm"), trainable=True).scored
    finish(options.base / "dffm/seed0")
    assert make_plan(options, rows("dffm"), trainable=True) == Plan({}, [], ["dffm"], {})


def test_a_run_on_mini_is_none_on_gopro(base: dict[str, Any], tmp_path: Path) -> None:
    finish(Options(**base).base / "dffm_msrm/seed0")
    assert make_plan(Options(**base), rows("dffm_msrm"), trainable=True).finished == ["dffm_msrm"]
    options = Options(**base | {"data_root": tmp_path})
    assert make_plan(options, rows("dffm_msrm"), trainable=True).finished == []


def test_a_row_is_chosen_by_the_group_that_has_it() -> None:
    assert [choice_of(row) for row in ("dffm_msrm", "mimo_unet")] == ["ablation=dffm_msrm", "network=mimo_unet"]
    assert [has_network(row) for row in ("dffm_msrm", "mimo_unet", "blur")] == [True, True, False]


def test_the_plan_says_where_every_row_comes_from(
    base: dict[str, Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    options = Options(**base | {"seeds": "0,1"})
    begun = options.base / "mimo_unet/seed1"
    begun.mkdir(parents=True)
    (begun / "last.ckpt").touch()
    plan = Plan({"unet": tmp_path / "unet.pkl"}, ["dffm_msrm", "mimo_unet"], ["aff"], {"srn": "no network yet"})
    datamodule: Any = SimpleNamespace(test_label="mini test, 16 images")
    print_plan(options, plan, datamodule, trainable=True)
    assert capsys.readouterr().out.splitlines() == [
        "table1 on mini test, 16 images",
        f"  unet: published weights {tmp_path / 'unet.pkl'}",
        f"  aff: finished, {options.base / 'aff/seed0'}, {options.base / 'aff/seed1'}",
        "  dffm_msrm: to train (experiment=mini, seeds 0,1)",
        "  mimo_unet: continues (experiment=mini, seeds 0,1)",
        "  srn: - (no network yet)",
        "",
    ]


@pytest.mark.parametrize(
    ("device", "hours"), [("A GPU", "GPU-hours"), ("cpu", "hours on this CPU, where it is refused")]
)
def test_the_cost_is_that_of_all_steps_of_all_seeds(
    device: str,
    hours: str,
    base: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(plan_module, "probe", lambda cfg: (0.5, 2**30 // 12, device))
    options = Options(**base | {"table": "table2", "data_root": tmp_path, "seeds": "0,1"})
    options.base.mkdir(parents=True)
    plan = Plan({}, [], ["baseline", "dffm"], {"msrm": "x", "dffm_msrm": "x"})
    datamodule: Any = SimpleNamespace(test_label="GoPro test, 1111 images")
    print_plan(options, plan, datamodule, trainable=True)
    said = capsys.readouterr().out
    # 2 rows x 2 seeds x 3000 epochs of 526 steps x 0.5 s; a checkpoint of weights and two moments is 1 GiB
    assert (
        f"to train msrm, dffm_msrm: 1578000 steps and 6309000 images seen each, about 877 {hours} (2 seed(s), " in said
    )
    steps = 2 if device == "cpu" else 5
    assert f" probed {steps} steps on {device}), checkpoints 8.0 GiB of " in said


def test_without_training_images_no_cost_is_probed(
    base: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delattr(plan_module, "probe")
    datamodule: Any = SimpleNamespace(test_label="GoPro, 4 frames (not the test set of 1111)")
    plan = Plan({}, [], [], {"dffm_msrm": "no train/"})
    print_plan(Options(**base | {"data_root": tmp_path}), plan, datamodule, trainable=False)
    assert "hours" not in capsys.readouterr().out


def test_the_probe_trains_the_configured_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    small = ["network.channels=4", "network.num_blocks=1"]
    cfg = compose("train", ["ablation=dffm", *small, "data.crop_size=16", "data.batch_size=2"])
    seconds, parameters, device = probe(cfg)
    assert isinstance(seconds, float)
    assert parameters == count_parameters(load_network("dffm", overrides=["channels=4", "num_blocks=1"]))
    assert device == "cpu"
