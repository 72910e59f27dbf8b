"""DBGAN: its equality with the published code."""

from pathlib import Path

import pytest
import torch
from goldens import open_golden

from deblur_lit import load_network
from deblur_lit.networks.dbgan import DBGAN, RRDB
from deblur_lit.networks.loading import describe, network_config


@pytest.mark.shared
@pytest.mark.parametrize("variant", ["out", "tame_out"])
def test_output_equals_the_published_code(variant: str, shared: Path, tmp_path: Path) -> None:
    golden = open_golden(shared, "dbgan")
    torch.save(golden.weights(variant), tmp_path / "G.pth")
    network = load_network("dbgan", checkpoint=tmp_path / "G.pth")
    with torch.inference_mode():
        restored = network(golden.image()).full
    assert golden.error(restored - golden.image(), variant.replace("out", "body")) < 1e-4
    assert golden.error(restored.clamp(0, 1), f"{variant}0") < 1e-4


def test_parameters_and_macs_are_those_of_the_published_code() -> None:
    cost = describe(network_config("dbgan").network)
    assert cost["parameters"] == 11_588_163
    assert cost["macs_256"] / 1e9 == pytest.approx(758.8251, rel=1e-4)


def test_no_side_is_padded() -> None:
    network = DBGAN(channels=4, num_blocks=1, growth=2)
    blur = torch.rand(1, 3, 7, 5)
    assert torch.equal(network(blur).full, network.restore(blur).full)


def test_a_block_whose_dense_blocks_add_nothing_still_adds_a_fifth_of_its_input() -> None:
    block = RRDB(channels=4, growth=2)
    for dense in block.blocks:
        dense.fuse.weight.data.zero_()
        dense.fuse.bias.data.zero_()
    features = torch.rand(2, 4, 5, 7)
    torch.testing.assert_close(block(features), 1.2 * features)


def test_a_foreign_file_is_refused_with_the_keys(tmp_path: Path) -> None:
    torch.save({"model.0.bias": torch.zeros(64), "model.9.bias": torch.zeros(3)}, tmp_path / "G.pth")
    with pytest.raises(ValueError, match=r"missing: enter\.weight.*unexpected: model\.9\.bias"):
        load_network("dbgan", checkpoint=tmp_path / "G.pth")


@pytest.mark.parametrize("wrong", ["channels", "num_blocks", "growth"])
def test_a_wrong_value_is_named(wrong: str) -> None:
    with pytest.raises(ValueError, match="at least 1, got"):
        load_network("dbgan", overrides=[f"{wrong}=0"])
