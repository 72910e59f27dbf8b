"""Composing a run: mistakes are named with the nearest valid word, and what it is called."""

from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from deblur_lit import nodes
from deblur_lit.config import build, check, check_overrides, compose, conf_dir, groups, row_name, row_title, stems

REPO = Path(__file__).resolve().parents[1]


class Refusing:
    """A target that refuses its argument with the given kind of error."""

    def __init__(self, kind: str) -> None:
        kinds: dict[str, type[Exception]] = {"value": ValueError, "file": FileNotFoundError, "type": TypeError}
        raise kinds[kind](f"kind {kind} is refused")


@pytest.mark.parametrize(
    ("override", "nearest"),
    [
        ("optimzer.lr=1", "optimizer.lr"),
        ("optimizer.lrr=1", "optimizer.lr"),
        ("lr=1", "optimizer.lr"),
        ("network.lr=1", "optimizer.lr"),
        ("trainer.crop_size=64", "data.crop_size"),
        ("data.crop_sise=64", "data.crop_size"),
        ("sed=1", "seed"),
        ("trainer.precison=bf16-mixed", "trainer.precision"),
        ("callbacks.best.moniter=val/psnr", "callbacks.best.monitor"),
        ("networc=unet", "network"),
        ("network=mimo_unt", "mimo_unet"),
        ("ablation=dfm", "dffm"),
        ("ablation=baseline,mrsm", "msrm"),
        ("experiment=papr", "paper"),
        ("data=gopr", "gopro"),
        ("data/augment=dihedrall", "dihedral"),
        ("~callbacks.imagse", "callbacks.images"),
    ],
)
def test_a_typo_is_answered_with_the_nearest_valid_word(override: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=rf"did you mean '{nearest}'\?") as error:
        compose("train", [override])
    assert override.split("=")[0].lstrip("~") in str(error.value)
    assert "\n" not in str(error.value)


def test_a_typo_in_a_key_that_a_choice_brings_is_answered_too() -> None:
    with pytest.raises(ValueError, match=r"did you mean 'network\.fusion\.reduction'"):
        compose("train", ["ablation=dffm", "network.fusion.reductoin=2"])
    with pytest.raises(ValueError, match=r"there is no key 'network\.fusion\.scales'"):
        compose("train", ["network.fusion.scales=[1]"])  # the slot is empty


def test_a_word_like_no_other_is_answered_with_the_valid_ones() -> None:
    with pytest.raises(ValueError, match=r"there is no conf/trainer/xyzzy\.yaml; valid are cpu, ddp, "):
        compose("train", ["trainer=xyzzy"])
    with pytest.raises(
        ValueError,
        match=r"there is no conf/experiment/null\.yaml; valid are mini, paper, paper_8gpu, pretrained, smoke",
    ):
        compose("train", ["experiment=null"])


def test_what_is_no_override_is_named() -> None:
    with pytest.raises(ValueError, match=r"'optimizer\.lr==\[' is no override"):
        check_overrides("train", ["optimizer.lr==["])
    with pytest.raises(ValueError, match=r"ablation=glob\(x\*\): matches none of aff, baseline"):
        check_overrides("train", ["ablation=glob(x*)"])


@pytest.mark.parametrize(
    "overrides",
    [
        ["seed=0,1,2", "ablation=baseline,dffm,msrm,dffm_msrm"],
        ["ablation=glob(dffm*)", "network.fusion.reduction=2"],
        ["ablation=dffm,dffm_msrm", "network.fusion.reduction=2"],
        ["~logger", "optimizer.lr=1"],
        ["+callbacks.mine._target_=x.Y"],
        ["++optimizer.amsgrad=true"],
        ["data/augment=dihedral", "data.augment.transforms.0.p=1.0"],
        ["hydra.job.chdir=true", "hydra/launcher=basic"],
    ],
    ids=" ".join,
)
def test_what_hydra_understands_passes(overrides: list[str]) -> None:
    check_overrides("train", overrides)


def test_a_nested_group_is_chosen_like_any_other() -> None:
    assert len(compose("train", ["data/augment=none"]).data.augment.transforms) == 0
    targets = [t._target_ for t in compose("train", ["data/augment=dihedral"]).data.augment.transforms]
    assert targets == ["albumentations.HorizontalFlip", "albumentations.RandomRotate90"]


def test_groups_and_their_choices_are_the_files_of_conf() -> None:
    assert {"network", "ablation", "loss", "data", "optimizer", "scheduler", "trainer", "experiment"} <= set(groups())
    assert stems("trainer") == ["cpu", "ddp", "ddp_cpu", "default", "fsdp", "gpu"]


@pytest.mark.parametrize(
    "overrides",
    [
        ["ablation=dffm", "network=mimo_unet"],
        ["network=mimo_unet", "ablation=dffm"],
        ["network=mimo_unet,unet", "ablation=dffm"],
    ],
    ids=" ".join,
)
def test_an_ablation_of_another_network_is_refused(overrides: list[str]) -> None:
    with pytest.raises(ValueError, match=r"ablation= fills the slots of network=unet alone.*mimo_unet.*leave one"):
        compose("train", overrides)


def test_an_ablation_that_meets_another_network_by_other_ways_is_refused_at_the_start() -> None:
    cfg = compose("train", ["network=mimo_unet"])
    check(cfg)
    cfg.ablation.name = "dffm"
    with pytest.raises(ValueError, match="ablation=dffm fills the slots of network=unet alone, not of network=mimo"):
        check(cfg)


@pytest.mark.parametrize("monitor", ["test/psnr", "train/loss"])
def test_choosing_a_checkpoint_on_anything_but_validation_is_refused(monitor: str) -> None:
    with pytest.raises(ValueError, match=rf"callbacks\.best\.monitor={monitor}: a checkpoint is chosen on validation"):
        check(compose("train", [f"callbacks.best.monitor={monitor}"]))
    check(compose("train", ["callbacks.best.monitor=val/ssim"]))


@pytest.mark.parametrize("override", ["seed=3", "sed=3"])
def test_composing_inside_a_hydra_job_gives_its_configuration_back(override: str) -> None:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        outer = GlobalHydra.instance().hydra
        assert outer is not None
        if override == "seed=3":
            assert compose("train", [override]).seed == 3
        else:
            with pytest.raises(ValueError, match="seed"):
                compose("train", [override])
        assert GlobalHydra.instance().hydra is outer
    assert not GlobalHydra.instance().is_initialized()


def test_conf_lies_in_the_checkout_or_in_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert conf_dir() == REPO / "conf"
    monkeypatch.setattr(nodes, "__file__", str(tmp_path / "deblur_lit" / "nodes.py"))
    with pytest.raises(FileNotFoundError, match=r"no conf/train\.yaml in .*deblur_lit.*: reinstall"):
        conf_dir()
    for folder in (tmp_path / "conf", tmp_path / "deblur_lit" / "conf"):  # the package's own comes first
        folder.mkdir(parents=True)
        (folder / "train.yaml").touch()
        assert conf_dir() == folder


@pytest.mark.parametrize(
    ("overrides", "row", "title"),
    [
        ([], "baseline", "baseline"),
        (["ablation=dffm_msrm"], "dffm_msrm", "+ DFFM + MSRM"),
        (["network=mimo_unet"], "mimo_unet", "MIMO-UNet"),
    ],
)
def test_a_row_is_named_by_its_ablation_or_else_its_network(overrides: list[str], row: str, title: str) -> None:
    cfg = compose("train", overrides)
    assert (row_name(cfg), row_title(cfg)) == (row, title)


@pytest.mark.parametrize("folder", ["gopro", "GOPRO_Large", "GoPro", "GOPRO"])
def test_gopro_is_found_under_each_of_its_names(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_ROOT", str(tmp_path))
    assert compose("train", ["data=gopro"]).data.root == str(tmp_path / "gopro")  # its absence is then reported
    (tmp_path / folder).mkdir()
    assert compose("train", ["data=gopro"]).data.root == str(tmp_path / folder)
    assert compose("train", ["data=realblur_j"]).data.root == str(tmp_path / "realblur_j")


def test_data_lie_in_data_unless_data_root_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATA_ROOT", raising=False)
    assert compose("train", ["data=gopro"]).data.root == str(Path("data", "gopro"))


@pytest.mark.parametrize(
    ("environment", "netrc", "offline"),
    [
        ({}, "", True),
        ({"WANDB_API_KEY": "0" * 40}, "", False),
        ({}, "machine api.wandb.ai login user password 0\n", False),
        ({}, "machine example.org login user password 0\n", True),
        ({"WANDB_MODE": "offline", "WANDB_API_KEY": "0" * 40}, "", True),
        ({"WANDB_MODE": "disabled", "WANDB_API_KEY": "0" * 40}, "", True),
        ({"WANDB_MODE": "online"}, "", False),
    ],
)
def test_wandb_is_offline_without_an_account(
    environment: dict[str, str], netrc: str, offline: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    if netrc:
        (tmp_path / "netrc").write_text(netrc)
    assert compose("train", ["logger=wandb"]).logger.wandb.offline is offline


def test_a_resumed_run_keeps_the_name_of_its_curve(tmp_path: Path) -> None:
    ids = [compose("train", ["logger=wandb", f"run_dir={tmp_path / name}"]).logger.wandb.id for name in "aab"]
    assert ids[0] == ids[1] != ids[2]
    assert len(ids[0]) == 8


def test_other_overrides_tell_a_folder_from_its_row() -> None:
    cfg = OmegaConf.create({"a": "${variant:''}", "b": "${variant:'data.crop_size=64,loss/x=1'}"})
    assert cfg.a == ""
    assert cfg.b == "+data.crop_size=64,loss_x=1"


def test_building_takes_nested_nodes_and_further_arguments() -> None:
    node: Any = {"_target_": "builtins.dict", "part": {"_target_": "pathlib.Path", "_args_": ["x"]}}
    assert build(node, {"more": 1}) == {"part": Path("x"), "more": 1}


@pytest.mark.parametrize("nested", [False, True])
def test_what_a_target_refuses_is_said_in_its_own_words(nested: bool) -> None:
    def node(kind: str) -> dict[str, Any]:
        inner = {"_target_": "test_config.Refusing", "kind": kind}
        return {"_target_": "builtins.dict", "part": inner} if nested else inner

    for kind, error in (("value", ValueError), ("file", FileNotFoundError)):
        with pytest.raises(error, match=rf"^kind {kind} is refused$"):
            build(node(kind))
    with pytest.raises(ValueError, match=r"test_config\.Refusing(.|\n)*kind type is refused"):
        build(node("type"))


def test_a_target_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"deblur_lit\.networks\.mimo_unet\.MIMOUnet"):
        build({"_target_": "deblur_lit.networks.mimo_unet.MIMOUnet"})
