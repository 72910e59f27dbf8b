"""SRN: equality with the published code, TensorFlow's layout and resizing, its memory."""

from pathlib import Path

import numpy as np
import pytest
import torch
from goldens import Golden, open_golden
from torch import Tensor

from deblur_lit import load_network
from deblur_lit.networks.loading import count_macs, count_parameters, network_config
from deblur_lit.networks.srn import SRN, ConvLSTM, double

GOLDENS = {"srn": "srn_color", "srn_gray": "srn_gray", "srn_lstm": "srn_lstm"}
COSTS = {"srn": (6881251, 83.50), "srn_gray": (6876449, 249.27), "srn_lstm": (8056609, 268.30)}
SMALL = ["channels=4", "num_blocks=1"]
STEP = np.int64(523000)


def save_variables(golden: Golden, variant: str, path: Path, **beside: np.ndarray) -> Path:
    """Save weights under TensorFlow's names and in its layout, (height, width, in, out)."""
    weights = {key: np.asarray(value) for key, value in golden.weights(variant).items()}
    np.savez(path, **{key: w.transpose(2, 3, 1, 0) if w.ndim == 4 else w for key, w in weights.items()}, **beside)
    return path


@pytest.mark.shared
@pytest.mark.parametrize("variant", ["out", "tame_out"])
@pytest.mark.parametrize("name", GOLDENS)
def test_output_equals_the_published_code(name: str, variant: str, shared: Path, tmp_path: Path) -> None:
    golden = open_golden(shared, GOLDENS[name])
    network = load_network(name, checkpoint=save_variables(golden, variant, tmp_path / "srn.npz"))
    with torch.inference_mode():
        restored = network(golden.image())
    for index, image in enumerate((restored.quarter, restored.half, restored.full)):
        assert image is not None
        published = image if name == "srn" else image.permute(1, 0, 2, 3)  # colours as a batch
        assert golden.error(published, f"{variant}{index}") < 1e-4


@pytest.mark.shared
def test_what_the_optimiser_keeps_is_left_away(shared: Path, tmp_path: Path) -> None:
    golden = open_golden(shared, "srn_gray")
    moments = {f"g_net/dec1_0/biases/{moment}": np.zeros(1, np.float32) for moment in ("Adam", "Adam_1")}
    beside = {**moments, "beta1_power": np.float32(0), "beta2_power": np.float32(0), "global_step": STEP}
    load_network("srn_gray", checkpoint=save_variables(golden, "out", tmp_path / "w.npz", **beside))


@pytest.mark.shared
def test_another_model_of_it_is_refused_with_the_keys(shared: Path, tmp_path: Path) -> None:
    path = save_variables(open_golden(shared, "srn_lstm"), "out", tmp_path / "w.npz")
    with pytest.raises(ValueError, match=r"w\.npz does not fit SRN\. 2 unexpected: lstm\.gates\.weight"):
        load_network("srn_gray", checkpoint=path)


def test_a_variable_that_it_does_not_know_keeps_its_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", **{"g_net/enc9_1/weights": np.zeros((5, 5, 3, 4), np.float32)})
    with pytest.raises(ValueError, match="1 unexpected: g_net/enc9_1/weights"):
        load_network("srn", checkpoint=tmp_path / "w.npz")


@pytest.mark.parametrize("name", GOLDENS)
def test_parameters_and_macs_are_the_published_ones(name: str) -> None:
    parameters, macs = COSTS[name]
    assert count_parameters(load_network(name)) == parameters
    assert count_macs(network_config(name).network) / 1e9 == pytest.approx(macs, rel=0.01)


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (3, 2), (5, 7)])
def test_an_enlarged_pixel_lies_where_tensorflow_puts_it(size: tuple[int, int]) -> None:
    image = torch.rand(1, 1, *size, dtype=torch.float64)
    enlarged = double(image)[0, 0]
    height, width = size
    for row in range(2 * height):
        for column in range(2 * width):
            top, left = row // 2, column // 2  # source position row / 2, without half-pixel centres
            bottom, right = min(-(-row // 2), height - 1), min(-(-column // 2), width - 1)
            corners = image[0, 0, [top, top, bottom, bottom], [left, right, left, right]]
            assert float(enlarged[row, column]) == pytest.approx(float(corners.mean()))


@pytest.mark.parametrize("lstm", [False, True])
def test_grey_models_restore_each_colour_alone(lstm: bool) -> None:
    torch.manual_seed(0)
    network = SRN(channels=4, num_blocks=1, colour=False, lstm=lstm)
    image = torch.rand(2, 3, 16, 32)
    swapped = [2, 0, 1]
    with torch.inference_mode():
        for straight, turned in zip(network(image), network(image[:, swapped]), strict=True):
            assert straight is not None
            torch.testing.assert_close(turned, straight[:, swapped])


def gate(weights: float) -> ConvLSTM:
    """A memory of one channel whose four gates see this much of its input."""
    lstm = ConvLSTM(1)
    torch.nn.init.constant_(lstm.gates.weight, weights)
    torch.nn.init.zeros_(lstm.gates.bias)
    return lstm


def test_a_memory_without_input_fades_by_its_forget_bias() -> None:
    cell, hidden = torch.full((1, 1, 2, 2), 0.7), torch.full((1, 1, 2, 2), 0.1)
    output, memory = gate(0.0)(torch.zeros(1, 1, 2, 2), torch.cat([cell, hidden], dim=1))
    kept = cell * torch.sigmoid(torch.tensor(1.0))
    torch.testing.assert_close(memory, torch.cat([kept, torch.tanh(kept) * 0.5], dim=1))
    torch.testing.assert_close(output, torch.tanh(kept) * 0.5)


def test_the_first_scale_starts_with_an_empty_memory() -> None:
    lstm, features = gate(0.3), torch.rand(1, 1, 2, 2)
    empty = torch.zeros(1, 2, 2, 2)
    for without, given in zip(lstm(features, None), lstm(features, empty), strict=True):
        assert torch.equal(without, given)


def test_finer_scales_remember_coarser_ones() -> None:
    torch.manual_seed(0)
    network = SRN(channels=4, num_blocks=1, colour=False, lstm=True)
    memories: list[Tensor | None] = []
    assert network.lstm is not None
    network.lstm.register_forward_pre_hook(lambda _, given: memories.append(given[1]))
    with torch.inference_mode():
        network(torch.rand(1, 3, 16, 32))
    assert [None if memory is None else tuple(memory.shape) for memory in memories] == [
        None,
        (3, 32, 2, 4),
        (3, 32, 4, 8),
    ]


@pytest.mark.parametrize("name", ["channels", "num_blocks"])
def test_a_wrong_value_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        SRN(**{name: 0})
