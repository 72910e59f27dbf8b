"""SDWNet: its wavelets, its borders, and its equality with the published code."""

from pathlib import Path

import pytest
import torch
from goldens import open_golden
from torch import nn
from torch.nn import functional as F

from deblur_lit import load_network
from deblur_lit.networks.loading import count_macs, count_parameters, network_config
from deblur_lit.networks.sdwnet import DILATIONS, LAST_DILATIONS, RANGE, DilatedBlock, SDWNet, haar, inverse_haar

NAMES = ["sdwnet", "sdwnet_b10"]


@pytest.mark.shared
@pytest.mark.parametrize("variant", ["out", "tame_out"])
@pytest.mark.parametrize("name", NAMES)
def test_output_equals_the_published_code(name: str, variant: str, shared: Path, tmp_path: Path) -> None:
    golden = open_golden(shared, name)
    torch.save({"state_dict": golden.weights(variant)}, tmp_path / "published.pth")
    network = load_network(name, checkpoint=tmp_path / "published.pth")
    assert isinstance(network, SDWNet)
    with torch.inference_mode():
        assert golden.error(network(golden.image()).full * RANGE, f"{variant}0") < 1e-4
        wavelet = network.wavelet(network.encode(golden.image() * RANGE))
    assert golden.error(wavelet, variant.replace("out", "wavelet")) < 1e-4


@pytest.mark.shared
@pytest.mark.parametrize("name", NAMES)
def test_size_and_cost_are_those_of_the_published_network(name: str, shared: Path) -> None:
    facts = open_golden(shared, name).facts
    assert count_parameters(load_network(name)) == facts["params"]
    macs = count_macs(network_config(name).network)
    assert macs == pytest.approx(facts["macs_256"]["torch_flop_counter"], rel=0.01)


def test_sub_bands_are_those_of_the_definition() -> None:
    image = torch.rand(2, 3, 8, 6, dtype=torch.float64)
    a, b, c, e = (image[..., row::2, column::2] / 2 for row, column in ((0, 0), (1, 0), (0, 1), (1, 1)))
    expected = (a + b + c + e, -a - b + c + e, -a + b - c + e, a - b - c + e)
    for band, wanted in zip(haar(image), expected, strict=True):
        torch.testing.assert_close(band, wanted)


def test_sub_bands_hold_the_image_and_its_energy() -> None:
    image = torch.rand(2, 3, 8, 6, dtype=torch.float64)
    bands = haar(image)
    torch.testing.assert_close(inverse_haar(*bands), image)
    torch.testing.assert_close(torch.stack(bands).square().sum(), image.square().sum())


def test_only_the_last_block_has_other_dilations() -> None:
    blocks = [block for block in SDWNet(channels=1, num_blocks=3).blocks if isinstance(block, DilatedBlock)]
    rates = [tuple(conv.dilation[0] for conv in block.dilated if isinstance(conv, nn.Conv2d)) for block in blocks]
    assert rates == [DILATIONS, DILATIONS, LAST_DILATIONS]


@pytest.mark.parametrize(("height", "width", "bottom", "right"), [(25, 32, 7, 0), (24, 24, 0, 0), (14, 40, 10, 0)])
def test_sides_are_padded_to_a_multiple_of_eight_and_to_24(height: int, width: int, bottom: int, right: int) -> None:
    torch.manual_seed(0)
    network = load_network("sdwnet", overrides=["channels=1", "num_blocks=1"])
    image = torch.rand(1, 3, height, width)
    with torch.inference_mode():
        by_hand = network.restore(F.pad(image, (0, right, 0, bottom), mode="reflect")).full[..., :height, :width]
        assert torch.equal(network(image).full, by_hand)


def test_another_depth_is_refused_with_the_keys(tmp_path: Path) -> None:
    torch.save({"state_dict": load_network("sdwnet_b10", overrides=["channels=1"]).state_dict()}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"30 missing: blocks\.10\.dilated\.0\.weight"):
        load_network("sdwnet", checkpoint=tmp_path / "w.pth", overrides=["channels=1"])


@pytest.mark.parametrize(("values", "named"), [((0, 1), "got 0 and 1"), ((1, 0), "got 1 and 0")])
def test_a_wrong_value_is_named(values: tuple[int, int], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        SDWNet(*values)
