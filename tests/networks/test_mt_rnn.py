"""MT-RNN: equality with the published code at every iteration, its mean shifts, its recurrence."""

from pathlib import Path

import pytest
import torch
from goldens import open_golden
from torch import Tensor

from deblur_lit import load_network
from deblur_lit.networks.loading import count_macs, count_parameters, network_config
from deblur_lit.networks.mt_rnn import MTRNN

SHIFTS = ("sub_mean.", "add_mean.")
SMALL = ["channels=4", "num_blocks=1"]


@pytest.mark.shared
@pytest.mark.parametrize("variant", ["out", "keepms_out", "tame_out"])
def test_every_iteration_equals_the_published_code(variant: str, shared: Path, tmp_path: Path) -> None:
    golden = open_golden(shared, "mtrnn")
    weights = golden.weights(variant, keep=() if variant == "out" else SHIFTS)
    official = {key: torch.tensor(value) for key, value in golden.facts["official_meanshift"].items()}
    shapes = {key: value.view(3, 3, 1, 1) if key.endswith("weight") else value for key, value in official.items()}
    torch.save({**shapes, **weights}, tmp_path / "model_best.pt")
    network = load_network("mt_rnn", checkpoint=tmp_path / "model_best.pt")
    images: list[Tensor] = []
    network.unshift.register_forward_hook(lambda *given: images.append(given[2]))
    with torch.inference_mode():
        restored = network(golden.image()).full
    assert len(images) == 6
    assert torch.equal(restored, images[-1] / 255)
    for index, image in enumerate(images):
        assert golden.error(image, f"{variant}{index}") < 1e-4


@pytest.mark.shared
def test_its_own_mean_shift_is_the_published_one(shared: Path) -> None:
    official = open_golden(shared, "mtrnn").facts["official_meanshift"]
    network = load_network("mt_rnn", overrides=SMALL)
    for ours, published in (("shift", "sub_mean"), ("unshift", "add_mean")):
        for leaf in ("weight", "bias"):
            found = network.state_dict()[f"{ours}.{leaf}"].flatten()
            torch.testing.assert_close(found, torch.tensor(official[f"{published}.{leaf}"]), rtol=1e-7, atol=0.0)


def test_parameters_and_macs_are_the_published_ones() -> None:
    network = load_network("mt_rnn")
    frozen = sum(buffer.numel() for buffer in network.buffers())
    assert (count_parameters(network), frozen) == (2635547 - 24, 24)
    for iterations in (1, 6):
        macs = count_macs(network_config("mt_rnn", [f"iterations={iterations}"]).network)
        assert macs / 1e9 == pytest.approx(24.13 * iterations, rel=0.01)


def test_iterations_change_the_image_and_not_the_weights() -> None:
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    outputs, sizes = [], set()
    for iterations in (1, 2, 3):
        torch.manual_seed(0)
        network = load_network("mt_rnn", overrides=[*SMALL, f"iterations={iterations}"])
        sizes.add(count_parameters(network))
        with torch.inference_mode():
            outputs.append(network(image).full)
    assert len(sizes) == 1
    assert not torch.allclose(outputs[0], outputs[1])
    assert not torch.allclose(outputs[1], outputs[2])


def test_a_network_without_a_last_layer_returns_the_blurred_image() -> None:
    network = MTRNN(channels=4, num_blocks=1)
    torch.nn.init.zeros_(network.leave.weight)
    torch.nn.init.zeros_(network.leave.bias)
    image = torch.rand(2, 3, 9, 6)
    with torch.inference_mode():
        torch.testing.assert_close(network(image).full, image)


def test_another_networks_file_is_refused_with_the_keys(tmp_path: Path) -> None:
    torch.save({"conv7_1.0.weight": torch.zeros(1)}, tmp_path / "w.pt")
    with pytest.raises(
        ValueError, match=r"w\.pt does not fit MTRNN\. \d+ missing: .*; 1 unexpected: conv7_1\.0\.weight"
    ):
        load_network("mt_rnn", checkpoint=tmp_path / "w.pt", overrides=SMALL)


@pytest.mark.parametrize("name", ["channels", "num_blocks", "iterations"])
def test_a_wrong_value_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        MTRNN(**{name: 0})
