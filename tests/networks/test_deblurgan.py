"""DeblurGAN: its equality with the published code, its dropout and its normalisation."""

from pathlib import Path

import pytest
import torch
from goldens import Golden, open_golden
from torch import Tensor

from deblur_lit import load_network
from deblur_lit.networks.blocks import DeblurNetwork
from deblur_lit.networks.deblurgan import DeblurGAN
from deblur_lit.networks.loading import describe, network_config

GOLDENS = {"deblurgan": "deblurgan_2conv", "deblurgan_1conv": "deblurgan"}
COST = {"deblurgan": (11_378_179, 49.5515), "deblurgan_1conv": (6_067_459, 27.8082)}  # parameters, GMACs
SMALL = ["channels=4", "num_blocks=1"]


def small(*overrides: str) -> DeblurNetwork:
    torch.manual_seed(0)
    return load_network("deblurgan", overrides=[*SMALL, *overrides])


def image(height: int, width: int) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(height))


def load_golden(name: str, variant: str, overrides: list[str], shared: Path, tmp_path: Path) -> tuple[Tensor, Golden]:
    """Restore the golden's image with its weights; return it in the published range, and the golden."""
    golden = open_golden(shared, GOLDENS[name])
    torch.save(golden.weights(variant), tmp_path / "latest_net_G.pth")
    network = load_network(name, checkpoint=tmp_path / "latest_net_G.pth", overrides=overrides)
    with torch.inference_mode():
        return 2 * network(golden.image()).full - 1, golden


@pytest.mark.shared
@pytest.mark.parametrize(("variant", "statistics"), [("train_nodrop", "image"), ("eval", "running")])
@pytest.mark.parametrize("name", GOLDENS)
def test_output_equals_the_published_code(
    name: str, variant: str, statistics: str, shared: Path, tmp_path: Path
) -> None:
    restored, golden = load_golden(name, variant, [f"statistics={statistics}"], shared, tmp_path)
    assert golden.error(restored, f"{variant}_preclamp") < 1e-4
    assert golden.error(restored - (2 * golden.image() - 1), f"{variant}_tanh") < 1e-4
    assert golden.error(restored.clamp(-1, 1), f"{variant}_out") < 1e-4


@pytest.mark.shared
@pytest.mark.parametrize("name", GOLDENS)
def test_output_without_the_residual_equals_the_published_code(name: str, shared: Path, tmp_path: Path) -> None:
    overrides = ["statistics=running", "residual=false"]
    restored, golden = load_golden(name, "direct", overrides, shared, tmp_path)
    assert golden.error(restored, "direct_out") < 1e-4


@pytest.mark.shared
def test_weights_of_the_other_form_are_refused_with_the_keys(shared: Path, tmp_path: Path) -> None:
    torch.save(open_golden(shared, "deblurgan").weights("eval"), tmp_path / "G.pth")
    with pytest.raises(ValueError, match=r"36 missing: blocks\.0\.layers\.4\.weight"):
        load_network("deblurgan", checkpoint=tmp_path / "G.pth")


def test_a_counter_of_batches_in_the_file_is_no_weight() -> None:
    published = {"model.26.bias": torch.zeros(3), "model.2.num_batches_tracked": torch.tensor(7)}
    assert set(small().from_published(published)) == {"leave.bias"}


@pytest.mark.parametrize("name", COST)
def test_parameters_and_macs_are_those_of_the_published_code(name: str) -> None:
    parameters, macs = COST[name]
    cost = describe(network_config(name).network)
    assert cost["parameters"] == parameters
    assert cost["macs_256"] / 1e9 == pytest.approx(macs, rel=1e-4)


def test_dropout_acts_in_training_alone() -> None:
    network = small()
    blur = image(16, 16)
    with torch.inference_mode():
        assert torch.equal(network(blur).full, network(blur).full)
        network.train()
        assert not torch.allclose(network(blur).full, network(blur).full)
        without = small("dropout=0").train()
        assert torch.equal(without(blur).full, network.eval()(blur).full)


@pytest.mark.parametrize("statistics", ["image", "running"])
def test_recorded_statistics_stay_as_they_are(statistics: str) -> None:
    network = small(f"statistics={statistics}").train()
    before = {key: buffer.clone() for key, buffer in network.named_buffers()}
    network(image(16, 16))
    assert before
    assert all(torch.equal(before[key], buffer) for key, buffer in network.named_buffers())


@pytest.mark.parametrize(
    "override", ["convolutions=1", "residual=false", "statistics=running", "padding_mode=constant"]
)
def test_every_switch_changes_the_output(override: str) -> None:
    blur = image(15, 16)
    with torch.inference_mode():
        assert not torch.allclose(small()(blur).full, small(override)(blur).full)


@pytest.mark.parametrize(
    ("build", "named"),
    [
        (lambda: DeblurGAN(channels=0), "got 0 and 9"),
        (lambda: DeblurGAN(num_blocks=0), "got 64 and 0"),
        (lambda: DeblurGAN(convolutions=3), "got 3"),
        (lambda: DeblurGAN(channels=1, statistics="batch"), "batch"),
    ],
)
def test_a_wrong_value_is_named(build: object, named: str) -> None:
    assert callable(build)
    with pytest.raises(ValueError, match=named):
        build()
