"""Networks from folders: their weights in float32, and nothing foreign is called."""

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import save_file

from deblur_lit import load_network, pretrained
from deblur_lit.nodes import network_config
from deblur_lit.pretrained import load_folder, shipped

SMALL = ["channels=4", "num_blocks=1"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    OmegaConf.save(network_config("dffm_msrm", SMALL).network, tmp_path / "config.yaml")
    torch.manual_seed(0)
    weights = load_network("dffm_msrm", overrides=SMALL).state_dict()
    save_file({key: value.half() for key, value in weights.items()}, tmp_path / "model.safetensors")
    return tmp_path


def test_a_folder_gives_its_network_in_float32(folder: Path) -> None:
    torch.manual_seed(0)
    expected, loaded = load_network("dffm_msrm", overrides=SMALL), load_folder(folder)
    assert not loaded.training
    assert {value.dtype for value in loaded.state_dict().values()} == {torch.float32}
    for key, value in expected.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value.half().float())


@pytest.mark.parametrize(
    ("key", "target"),
    [("_target_", "os.system"), ("block._target_", "torch.load"), ("fusion._target_", "deblur_lit.cli.main")],
)
def test_a_foreign_target_is_refused_by_its_key(folder: Path, key: str, target: str) -> None:
    config = OmegaConf.load(folder / "config.yaml")
    OmegaConf.update(config, key, target)
    OmegaConf.save(config, folder / "config.yaml")
    with pytest.raises(ValueError, match=rf"config\.yaml: network\.{key}={target} is refused"):
        load_folder(folder)


@pytest.mark.parametrize("name", ["config.yaml", "model.safetensors"])
def test_a_file_that_is_not_there_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"no {name} there"):
        load_folder(folder)


@pytest.mark.parametrize(
    ("text", "said"),
    [("[1, 2", "no configuration"), ("a: 1", "has no _target_"), ("x: ${y}", "no configuration"), ("- 1", "_target_")],
)
def test_a_file_that_is_no_configuration_is_named(folder: Path, text: str, said: str) -> None:
    (folder / "config.yaml").write_text(text)
    with pytest.raises(ValueError, match=rf"config\.yaml: .*{said}"):
        load_folder(folder)


def test_a_part_that_is_no_network_is_refused(folder: Path) -> None:
    (folder / "config.yaml").write_text("_target_: deblur_lit.networks.blocks.GlobalPool\n")
    with pytest.raises(ValueError, match="GlobalPool is no network"):
        load_folder(folder)


def test_weights_of_another_network_are_refused(folder: Path) -> None:
    OmegaConf.save(network_config("dffm_msrm", ["channels=8", "num_blocks=1"]).network, folder / "config.yaml")
    with pytest.raises(ValueError, match="of another shape"):
        load_folder(folder)


def test_a_package_without_weights_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "SHIPPED", folder / "nothing")
    with pytest.raises(FileNotFoundError, match="came without weights"):
        shipped()
    monkeypatch.setattr(pretrained, "SHIPPED", folder)
    assert shipped()(torch.zeros(1, 3, 5, 6)).full.shape == (1, 3, 5, 6)
