"""The U-Net, its slots, and its equality with the published code."""

from pathlib import Path

import pytest
import torch
from goldens import open_golden

from deblur_lit import load_network
from deblur_lit.networks.dffm import DFFM
from deblur_lit.networks.loading import count_macs, count_parameters, network_config
from deblur_lit.networks.mimo_unet import MIMOUNet
from deblur_lit.networks.msrm import MSRM

# Millions of parameters and GMACs at 256x256 of the method's description, counted on another implementation.
SANITY = {
    "baseline": (6.739, 61.8),
    "dffm": (6.78, 62.9),
    "dffm_msrm": (5.29, 47.4),
    "dffm_equal_cost": (5.23, 48.4),
    "mimo_unet": (6.807, 63.7),
    "mimo_unet_plus": (16.108, 150.7),
}
SANITY_EXPANSION = {1: (2.27, 19.2), 2: (5.29, 47.4), 4: (15.97, 147.0)}


@pytest.mark.shared
@pytest.mark.parametrize("variant", ["out", "tame_out"])
@pytest.mark.parametrize("name", ["mimo_unet", "mimo_unet_plus"])
def test_output_equals_the_published_code(name: str, variant: str, shared: Path, tmp_path: Path) -> None:
    golden = open_golden(shared, name)
    published = tmp_path / f"{name}.pkl"
    torch.save({"model": golden.weights(variant)}, published)
    network = load_network(name, checkpoint=published)
    with torch.inference_mode():
        restored = network(golden.image())
    for index, image in enumerate((restored.quarter, restored.half, restored.full)):
        assert image is not None
        assert golden.error(image, f"{variant}{index}") < 1e-4


@pytest.mark.parametrize("name", SANITY)
def test_parameters_and_macs_are_those_of_the_method(name: str) -> None:
    parameters, macs = SANITY[name]
    network = load_network(name)
    assert count_parameters(network) / 1e6 == pytest.approx(parameters, rel=0.01)
    assert count_macs(network_config(name).network) / 1e9 == pytest.approx(macs, rel=0.01)


@pytest.mark.parametrize("expansion", SANITY_EXPANSION)
def test_each_expansion_of_msrm_has_its_size(expansion: int) -> None:
    parameters, macs = SANITY_EXPANSION[expansion]
    overrides = [f"block.expansion={expansion}"]
    assert count_parameters(load_network("dffm_msrm", overrides=overrides)) / 1e6 == pytest.approx(parameters, rel=0.01)
    assert count_macs(network_config("dffm_msrm", overrides).network) / 1e9 == pytest.approx(macs, rel=0.01)


@pytest.mark.parametrize(
    "override",
    [
        "block.expansion=1",
        "block.expansion=4",
        "block.activation=none",
        "block.reduction=2",
        "fusion.resize_mode=nearest",
        "fusion.align_kernel=3",
        "fusion.scales=[1]",
        "fusion.reduction=1",
        "pyramid_mode=bilinear",
    ],
)
def test_every_open_point_is_a_switch_that_changes_the_output(override: str) -> None:
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    outputs = []
    for overrides in ([], [override]):
        torch.manual_seed(0)
        network = load_network("dffm_msrm", overrides=["channels=16", "num_blocks=1", *overrides])
        with torch.inference_mode():
            outputs.append(network(image).full)
    assert not torch.allclose(*outputs)


@pytest.mark.parametrize("channels", [2, 3, 5, 7])
@pytest.mark.parametrize("row", ["baseline", "dffm", "msrm", "dffm_msrm", "aff"])
def test_any_width_works(row: str, channels: int) -> None:
    network = load_network(row, overrides=[f"channels={channels}", "num_blocks=1"])
    assert network(torch.zeros(1, 3, 8, 8)).full.shape == (1, 3, 8, 8)


def test_gate_weights_sum_to_one_over_branches() -> None:
    fusion = DFFM([4, 8, 16], scales=(1,))
    gate = fusion.gates["1"]
    torch.nn.init.eye_(gate.close.weight.data.view(4, 12))
    gate.close.weight.data.copy_(torch.eye(4).repeat(1, 3)[..., None, None])  # sums the branches
    gate.close.bias.data.zero_()
    for align in gate.align:  # every branch becomes the constant 1
        align.weight.data.zero_()
        align.bias.data.fill_(1.0)
    features = [torch.rand(2, 4, 8, 8), torch.rand(2, 8, 4, 4), torch.rand(2, 16, 2, 2)]
    fused = fusion(features)
    torch.testing.assert_close(fused[0], torch.ones(2, 4, 8, 8))
    assert fused[1] is features[1]


def test_msrm_without_its_branches_is_the_identity() -> None:
    block = MSRM(8)
    block.reduce.weight.data.zero_()
    block.reduce.bias.data.zero_()
    features = torch.rand(2, 8, 5, 7)
    assert torch.equal(block(features), features)


def test_msrm_that_normalises_begins_with_its_input_and_sees_no_contrast() -> None:
    block = MSRM(8, norm=True).double()
    features = torch.rand(2, 8, 5, 7, dtype=torch.float64) + 0.1
    assert torch.equal(block(features), features)
    block.reduce.reset_parameters()
    change = block(features) - features
    assert change.abs().max() > 1e-3
    torch.testing.assert_close(block(3 * features + 1) - (3 * features + 1), change, rtol=1e-3, atol=1e-5)


def test_later_branches_of_msrm_see_earlier_ones() -> None:
    block = MSRM(8, expansion=2).double()
    features = torch.rand(1, 8, 9, 9, dtype=torch.float64)
    before = block(features)
    block.branches[0][0].bias.data.add_(1.0)  # the first branch feeds the second, and so on
    block.reduce.weight.data[:, :4] = 0.0  # its own way to the output is cut
    cut = block(features)
    block.branches[0][0].bias.data.add_(1.0)
    assert not torch.allclose(block(features), cut)
    assert before.shape == cut.shape


@pytest.mark.parametrize(
    ("build", "named"),
    [
        (lambda: MIMOUNet(channels=1), "channels"),
        (lambda: MIMOUNet(num_blocks=0), "num_blocks"),
        (lambda: MIMOUNet(pyramid_mode="cubic"), "cubic"),
        (lambda: MIMOUNet(padding_mode="zeros"), "zeros"),
        (lambda: MSRM(8, expansion=0), "expansion"),
        (lambda: MSRM(8, activation="tanh"), "tanh"),
        (lambda: DFFM([4, 8, 16], scales=(3,)), "scales"),
        (lambda: DFFM([4, 8, 16], align_kernel=5), "align_kernel"),
        (lambda: DFFM([4, 8, 16], resize_mode="area"), "area"),
        (lambda: MIMOUNet(channels=4, num_blocks=1)(torch.zeros(1, 1, 8, 8)), "1, 1, 8, 8"),
    ],
)
def test_a_wrong_value_is_named(build: object, named: str) -> None:
    assert callable(build)
    with pytest.raises(ValueError, match=named):
        build()
