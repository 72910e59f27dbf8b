"""NAFNet: its normalisation, its slow start, its padding, and its equality with the published code."""

from pathlib import Path

import pytest
import torch
from goldens import open_golden
from torch.nn import functional as F

from deblur_lit import load_network
from deblur_lit.networks.blocks import ChannelNorm, GlobalPool
from deblur_lit.networks.loading import count_macs, count_parameters, network_config
from deblur_lit.networks.msrm import MSRM
from deblur_lit.networks.nafnet import NAFBlock, NAFNet

NAMES = ["nafnet_width32", "nafnet_width64"]
SMALL = ["channels=2", "encoder_blocks=[1,1]", "decoder_blocks=[1,1]"]


@pytest.mark.shared
@pytest.mark.parametrize("variant", ["out", "tame_out"])
@pytest.mark.parametrize("name", NAMES)
def test_output_equals_the_published_code(name: str, variant: str, shared: Path, tmp_path: Path) -> None:
    golden = open_golden(shared, name)
    torch.save({"params": golden.weights(variant)}, tmp_path / "published.pth")
    network = load_network(name, checkpoint=tmp_path / "published.pth")
    with torch.inference_mode():
        assert golden.error(network(golden.image()).full, f"{variant}0") < 1e-4


@pytest.mark.shared
@pytest.mark.parametrize("name", NAMES)
def test_size_and_cost_are_those_of_the_published_network(name: str, shared: Path) -> None:
    facts = open_golden(shared, name).facts
    assert count_parameters(load_network(name)) == facts["params"]
    macs = count_macs(network_config(name).network)
    assert macs == pytest.approx(facts["macs_256"]["torch_flop_counter"], rel=0.01)


def test_the_norm_is_layer_norm_over_channels() -> None:
    norm = ChannelNorm(5).double()
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    features = torch.randn(2, 5, 4, 3, dtype=torch.float64)
    expected = F.layer_norm(features.movedim(1, -1), (5,), norm.weight, norm.bias, eps=1e-6).movedim(-1, 1)
    torch.testing.assert_close(norm(features), expected)


def test_every_block_pools_by_the_one_pool_of_the_package() -> None:
    network = load_network("nafnet_width32", overrides=SMALL)
    blocks = [module for module in network.modules() if isinstance(module, NAFBlock)]
    pools = [module for module in network.modules() if isinstance(module, GlobalPool)]
    assert len(blocks) == len(pools) == 5


def test_a_new_block_keeps_its_input_and_a_trained_one_does_not() -> None:
    block, features = NAFBlock(4), torch.rand(1, 4, 5, 6)
    assert torch.equal(block(features), features)
    torch.nn.init.ones_(block.gamma)
    assert not torch.allclose(block(features), features)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "constant"])
def test_sides_are_padded_to_two_per_stage(mode: str) -> None:
    torch.manual_seed(0)
    network = load_network("nafnet_width32", overrides=[*SMALL, f"padding_mode={mode}"])
    image = torch.rand(1, 3, 9, 8)
    with torch.inference_mode():
        by_hand = network.restore(F.pad(image, (0, 0, 0, 3), mode=mode)).full[..., :9, :]
        assert torch.equal(network(image).full, by_hand)


def test_the_published_depth_needs_multiples_of_16() -> None:
    with torch.device("meta"):
        network = NAFNet()
    assert [network.padded_side(side) for side in (1, 16, 17, 720)] == [16, 16, 32, 720]


def test_another_depth_is_refused_with_the_keys(tmp_path: Path) -> None:
    torch.save({"params": NAFNet(2, [1, 1], 1, [1, 1]).state_dict()}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"18 missing: encode\.1\.1\.beta"):
        load_network("nafnet_width32", checkpoint=tmp_path / "w.pth", overrides=[*SMALL, "encoder_blocks=[1,2]"])


@pytest.mark.parametrize(
    ("values", "named"), [((0, [1], 1, [1]), "channels >= 1, got 0"), ((2, [1, 1], 1, [1]), r"\[1, 1\] .* \[1\]")]
)
def test_a_wrong_value_is_named(values: tuple[int, list[int], int, list[int]], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        NAFNet(*values)


def test_slots_take_the_block_and_the_skip_fusion() -> None:
    torch.manual_seed(0)
    network = load_network("photo", overrides=["channels=4"])
    assert isinstance(network, NAFNet)
    blocks = [module for module in network.modules() if isinstance(module, (MSRM, NAFBlock))]
    assert {type(block) for block in blocks} == {MSRM}
    assert [len(stage) for stage in (*network.encode, network.middle, *network.decode)] == [0, 1, 2, 4, 2, 1, 0]  # type: ignore[arg-type]
    image = torch.rand(1, 3, 32, 32)
    before = network(image).full
    fusion = network.fusion
    network.fusion = None
    assert not torch.allclose(network(image).full, before)
    network.fusion = fusion
    assert torch.equal(network(image).full, before)
