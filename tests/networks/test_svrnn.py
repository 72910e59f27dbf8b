"""SVRNN: its sweeps against the plain recursion, its resize, and its equality with the published layers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from goldens import Golden, open_golden
from torch import Tensor
from torch.nn import functional as F

from deblur_lit import load_network
from deblur_lit.networks.blocks import DeblurNetwork
from deblur_lit.networks.loading import count_macs, count_parameters, network_config
from deblur_lit.networks.svrnn import SLOPE, SVRNN, double, sweep, sweep_all


def load_published(golden: Golden, variant: str, folder: Path) -> DeblurNetwork:
    np.savez(folder / "svrnn.npz", **{key: value.numpy() for key, value in golden.weights(variant).items()})
    return load_network("svrnn", checkpoint=folder / "svrnn.npz")


@pytest.mark.shared
@pytest.mark.parametrize("variant", ["out", "tame_out"])
def test_output_equals_the_published_layers(variant: str, shared: Path, tmp_path: Path) -> None:
    golden = open_golden(shared, "svrnn")
    with torch.inference_mode():
        restored = load_published(golden, variant, tmp_path)(golden.image())
    assert golden.error(restored.full, f"{variant}0_image") < 1e-4


@pytest.mark.shared
def test_gates_and_sweeps_equal_the_published_layers(shared: Path, tmp_path: Path) -> None:
    golden = open_golden(shared, "svrnn")
    network = load_published(golden, "out", tmp_path)
    assert isinstance(network, SVRNN)
    with torch.inference_mode():
        gates = network.guide(golden.image())
        half = network.down(F.leaky_relu(network.enter(golden.image()), SLOPE))
        sweeps = sweep_all(half, gates[:, :128]).chunk(4, dim=1)
    assert golden.error(gates[:, :64].mT, "gates_first64") < 1e-4  # recorded of the transposed image
    assert [name for name in range(4) if golden.error(sweeps[name][:, :4].mT, f"rnn1_{name + 1}") >= 1e-4] == []


@pytest.mark.shared
def test_size_and_cost_are_those_of_the_published_network(shared: Path) -> None:
    facts = open_golden(shared, "svrnn").facts
    assert count_parameters(load_network("svrnn")) == facts["params"]
    macs = count_macs(network_config("svrnn").network)
    assert macs == pytest.approx(facts["macs_256"]["torch_flop_counter"], rel=0.01)


def plain_sweep(features: Tensor, gate: Tensor) -> Tensor:
    """The recursion as it is written, from the left to the right, pixel by pixel."""
    swept = torch.zeros_like(features)
    for row in range(features.shape[-2]):
        before = torch.zeros_like(features[..., 0, 0])
        for column in range(features.shape[-1]):
            weight = gate[..., row, column]
            before = (1 - weight) * features[..., row, column] + weight * before
            swept[..., row, column] = before
    return swept


def draw(*shape: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Features, and gates in (-1, 1)."""
    generator = torch.Generator().manual_seed(sum(shape))
    features = torch.randn(shape, generator=generator, dtype=torch.float64)
    return features.to(dtype), (2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1).to(dtype)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 7, 8, 13, 16])
def test_a_sweep_equals_the_plain_loop(length: int) -> None:
    features, gate = draw(2, 3, 2, length)
    torch.testing.assert_close(sweep(features, gate, -1), plain_sweep(features, gate))
    torch.testing.assert_close(sweep(features.mT, gate.mT, -2), plain_sweep(features, gate).mT)


def test_the_four_directions_are_down_up_right_left() -> None:
    features, _ = draw(1, 2, 5, 7)
    _, gates = draw(1, 8, 5, 7)
    down, right, up, left = gates.chunk(4, dim=1)
    expected = [
        plain_sweep(features.mT, down.mT).mT,
        plain_sweep(features.mT.flip(-1), up.mT.flip(-1)).flip(-1).mT,
        plain_sweep(features, right),
        plain_sweep(features.flip(-1), left.flip(-1)).flip(-1),
    ]
    torch.testing.assert_close(sweep_all(features, gates), torch.cat(expected, dim=1))


def test_a_long_sweep_with_gates_at_their_limits_is_stable() -> None:
    features, gate = draw(1, 1, 1, 4096, dtype=torch.float32)
    gate = gate.sign() * (1 - gate.abs() * 1e-3)
    expected = plain_sweep(features.double(), gate.double())
    torch.testing.assert_close(sweep(features, gate, -1).double(), expected, rtol=1e-4, atol=1e-4)


def test_a_sweep_has_the_gradient_of_its_value() -> None:
    features, gate = draw(1, 1, 2, 5)
    inputs = features.requires_grad_(), gate.requires_grad_()
    assert torch.autograd.gradcheck(lambda x, g: sweep(x, g, -1), inputs)


def test_a_sweep_of_bf16_runs_in_float32() -> None:
    features, gate = draw(1, 1, 1, 512, dtype=torch.bfloat16)
    expected = sweep(features.float(), gate.float(), -1).bfloat16()
    assert torch.equal(sweep(features, gate, -1), expected)


def test_doubling_halves_what_borders_the_outside() -> None:
    image = torch.tensor([[[[4.0, 8.0], [16.0, 32.0]]]])
    expected = [[4.0, 6.0, 8.0, 4.0], [10.0, 15.0, 20.0, 10.0], [16.0, 24.0, 32.0, 16.0], [8.0, 12.0, 16.0, 8.0]]
    assert double(image)[0, 0].tolist() == expected


@pytest.mark.parametrize("mode", ["reflect", "replicate", "constant"])
def test_sides_are_padded_to_the_next_multiple_of_eight(mode: str) -> None:
    torch.manual_seed(0)
    network = load_network("svrnn", overrides=["channels=2", f"padding_mode={mode}"])
    image = torch.rand(1, 3, 13, 16)
    with torch.inference_mode():
        by_hand = network.restore(F.pad(image, (0, 0, 0, 3), mode=mode)).full[..., :13, :]
        assert torch.equal(network(image).full, by_hand)


def test_another_file_is_refused_with_its_keys(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", **{"conve1_1.bias": np.zeros(16, np.float32), "conv9.bias": np.zeros(3, np.float32)})
    with pytest.raises(ValueError, match=r"43 missing: enter\.weight.*; 1 unexpected: conv9\.bias"):
        load_network("svrnn", checkpoint=tmp_path / "w.npz")


def test_a_wrong_width_is_named() -> None:
    with pytest.raises(ValueError, match="channels >= 1, got 0"):
        SVRNN(channels=0)
