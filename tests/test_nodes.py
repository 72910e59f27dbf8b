"""Networks from YAML without Hydra: the same as with it."""

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from deblur_lit import nodes
from deblur_lit.config import compose
from deblur_lit.networks.loading import network_names
from deblur_lit.nodes import build, network_config, stems

OURS = "deblur_lit."


def choice(name: str) -> str:
    return f"ablation={name}" if name in stems("ablation") else f"network={name}"


@pytest.mark.parametrize("name", network_names())
def test_a_network_is_composed_as_hydra_does(name: str) -> None:
    with_hydra, alone = compose("train", [choice(name)]), network_config(name)
    for part in ("network", "card", "ablation"):
        assert OmegaConf.to_container(alone[part]) == OmegaConf.to_container(with_hydra[part])
        assert list(alone[part]) == list(with_hydra[part])


def test_overrides_do_what_hydras_do() -> None:
    words = ["channels=4", "num_blocks=1", "fusion.scales=[1]", "block.activation=gelu", "pyramid_mode=bilinear"]
    hydras = compose("train", ["ablation=dffm_msrm", *(f"network.{word}" for word in words)])
    assert network_config("dffm_msrm", words).network == hydras.network


@pytest.mark.parametrize(
    ("name", "override", "said"),
    [
        ("dfm", "", "there is no conf/network/dfm.yaml; did you mean 'dffm'"),
        ("unet", "chanels=1", "chanels=1: there is no key 'chanels'; did you mean 'channels'"),
        ("dffm", "fusion.reductoin=1", "did you mean 'fusion.reduction'"),
        ("unet", "channels", "'channels' is no override"),
    ],
)
def test_a_mistake_is_named_with_the_nearest(name: str, override: str, said: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        network_config(name, [override])
    assert said in str(refused.value)


def test_a_defaults_list_that_needs_hydra_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "network").mkdir()
    (tmp_path / "network" / "mine.yaml").write_text("defaults: [{/data: mini}]\nnetwork: {}\n")
    monkeypatch.setattr(nodes, "conf_dir", lambda: tmp_path)
    with pytest.raises(ValueError, match=r"mine\.yaml: \{'/data': 'mini'\} in its defaults list"):
        network_config("mine")


def test_targets_are_called_from_the_inside_out() -> None:
    node = network_config("dffm_msrm", ["channels=4", "num_blocks=1"]).network
    network = build(node, inside=OURS)
    assert network(torch.zeros(1, 3, 4, 4)).full.shape == (1, 3, 4, 4)
    assert build(node, {"channels": 2}).enter[0].out_channels == 2


@pytest.mark.parametrize(
    "target",
    ["os.system", "torch.load", "deblur_litter.x", "deblur_lit", "deblur_lit.cli.main", "deblur_lit.cli.Sequence"],
)
def test_a_foreign_target_is_refused_by_its_key_before_anything_is_called(target: str) -> None:
    node = {"_target_": "deblur_lit.networks.mimo_unet.MIMOUNet", "block": {"_target_": target, "_partial_": True}}
    with pytest.raises(ValueError, match=rf"network\.block\._target_={target} is refused"):
        build(node, inside=OURS)


def test_what_a_target_does_not_take_is_named() -> None:
    with pytest.raises(ValueError, match=r"MIMOUNet cannot be made of \['width'\]"):
        build({"_target_": "deblur_lit.networks.mimo_unet.MIMOUNet", "width": 1})
    with pytest.raises(ValueError, match=r"network\._target_=deblur_lit\.networks\.nothing\.Here: there is no such"):
        build({"_target_": "deblur_lit.networks.nothing.Here"})
