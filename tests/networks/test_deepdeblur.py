"""DeepDeblur: equality with the published code, its Gaussian pyramid, its scales."""

from pathlib import Path

import numpy as np
import pytest
import torch
from goldens import open_golden
from skimage.transform import pyramid_gaussian

from deblur_lit import load_network
from deblur_lit.networks.deepdeblur import DeepDeblur, GaussianHalving
from deblur_lit.networks.loading import count_macs, count_parameters, network_config

SMALL = ["channels=4", "num_blocks=1"]


@pytest.mark.shared
@pytest.mark.parametrize("variant", ["out", "tame_out"])
def test_output_equals_the_published_code(variant: str, shared: Path, tmp_path: Path) -> None:
    golden = open_golden(shared, "deepdeblur")
    adversary = {"features.0.weight": torch.zeros(1)}
    torch.save({"G": golden.weights(variant), "D": adversary}, tmp_path / "model-1000.pt")
    network = load_network("deepdeblur", checkpoint=tmp_path / "model-1000.pt")
    with torch.inference_mode():
        restored = network(golden.image())
    for index, image in enumerate(restored):
        assert image is not None
        assert golden.error(255 * image, f"{variant}{index}") < 1e-4


@pytest.mark.shared
def test_the_pyramid_equals_the_published_one(shared: Path) -> None:
    golden = open_golden(shared, "deepdeblur")
    image = 255 * golden.image()
    for level in (1, 2):
        image = GaussianHalving()(image)
        assert golden.error(image, f"net_input{level}") < 1e-5


@pytest.mark.parametrize("size", [(2, 2), (2, 8), (6, 4), (32, 20)])
def test_a_halving_is_that_of_the_reference_library(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).random((*size, 3))
    reference = list(pyramid_gaussian(image, 1, channel_axis=-1))[1]
    halved = GaussianHalving()(torch.from_numpy(image).float().permute(2, 0, 1)[None])
    torch.testing.assert_close(halved[0].permute(1, 2, 0), torch.from_numpy(reference).float())


def test_parameters_and_macs_are_the_published_ones() -> None:
    assert count_parameters(load_network("deepdeblur")) == 11721321
    assert count_macs(network_config("deepdeblur").network) / 1e9 == pytest.approx(335.94, rel=0.01)


def test_the_pyramid_is_no_weight() -> None:
    assert not [key for key in load_network("deepdeblur", overrides=SMALL).state_dict() if "halve" in key]


def test_each_scale_hands_its_result_to_the_finer_one() -> None:
    torch.manual_seed(0)
    network = load_network("deepdeblur", overrides=SMALL)
    image = torch.rand(1, 3, 16, 16)
    with torch.inference_mode():
        before = network(image)
        network.scales[1].leave.bias.add_(10.0)
        after = network(image)
    assert before.half is not None
    assert after.half is not None
    assert after.quarter is not None
    assert torch.equal(before.quarter, after.quarter)
    torch.testing.assert_close(after.half, before.half + 10.0 / 255)
    assert not torch.allclose(before.full, after.full)


def test_another_networks_file_is_refused_with_the_keys(tmp_path: Path) -> None:
    torch.save({"G": {"feat_extract.0.main.0.weight": torch.zeros(32, 3, 3, 3)}}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"w\.pt does not fit .* 1 unexpected: feat_extract\.0\.main\.0\.weight"):
        load_network("deepdeblur", checkpoint=tmp_path / "w.pt", overrides=SMALL)


@pytest.mark.parametrize("name", ["channels", "num_blocks"])
def test_a_wrong_value_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        DeepDeblur(**{name: 0})
