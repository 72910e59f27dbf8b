"""What the table of networks measures: receptive fields and latency."""

import json

import pytest
import torch
from hydra.utils import instantiate

from deblur_lit.cli import main
from deblur_lit.networks import latency, listing
from deblur_lit.networks.blocks import DeblurNetwork
from deblur_lit.networks.latency import RUNS, WARM_UP
from deblur_lit.networks.loading import load_network, network_config
from deblur_lit.networks.receptive_field import receptive_field

SMALL = {
    "mimo_unet": ["channels=4", "num_blocks=1"],
    "sdwnet": ["channels=2", "num_blocks=1"],
    "dffm": ["channels=4", "num_blocks=1"],
    "svrnn": ["channels=1"],
    "nafnet_width32": ["channels=2", "encoder_blocks=[1]", "decoder_blocks=[1]"],
}


def columns_with_gradient(network: DeblurNetwork, width: int) -> int:
    """The columns from the first to the last that a change of the restored middle column calls for."""
    image = torch.rand(1, 3, network.padded_side(1), width, dtype=torch.float64, requires_grad=True)
    [gradient] = torch.autograd.grad(network(image).full[..., width // 2].sum(), image)
    columns = gradient.abs().sum(dim=(0, 1, 2)).nonzero()
    return int(columns.max() - columns.min()) + 1


@pytest.mark.parametrize("name", ["mimo_unet", "sdwnet"])
def test_the_receptive_field_is_where_the_gradient_is(name: str) -> None:
    fields = set()
    for seed in range(3):  # a unit that is off hides what it sees
        torch.manual_seed(seed)
        fields.add(columns_with_gradient(load_network(name, overrides=SMALL[name]).double(), 512))
    assert receptive_field(network_config(name, SMALL[name]).network) == max(fields)


@pytest.mark.parametrize("name", ["dffm", "svrnn", "nafnet_width32"])
def test_a_network_that_pools_or_recurs_sees_all(name: str) -> None:
    assert receptive_field(network_config(name, SMALL[name]).network) is None


def test_more_blocks_see_more() -> None:
    fields = [
        receptive_field(network_config("unet", ["channels=2", f"num_blocks={number}"]).network) for number in (1, 2)
    ]
    assert fields[1] is not None
    assert fields[0] is not None
    assert fields[1] - fields[0] >= 2 * 2 * 4  # two more 3x3 convolutions at quarter size in either half


def test_latency_is_the_median_of_the_runs_after_the_warm_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = network_config("svrnn", SMALL["svrnn"]).network
    sizes: list[torch.Size] = []

    def load(name: str) -> DeblurNetwork:
        network: DeblurNetwork = instantiate(small).eval()
        network.register_forward_pre_hook(lambda module, inputs: sizes.append(inputs[0].shape))
        return network

    ticks = iter(tick for run in range(WARM_UP + RUNS) for tick in (0.0, 99.0 if run < WARM_UP else run - WARM_UP))
    monkeypatch.setattr(latency, "load_network", load)
    monkeypatch.setattr(latency.time, "perf_counter", lambda: next(ticks))
    monkeypatch.setattr(listing, "receptive_field", lambda config: None)
    monkeypatch.setattr(listing, "track", lambda rows, *args, **kwargs: rows)  # it reads the clock too
    assert main(["networks", "svrnn", "--latency", "--size", "16", "24", "--device", "cpu", "--json"]) == 0
    [row] = json.loads(capsys.readouterr().out)
    measured = row["latency"]
    assert sizes == [torch.Size([1, 3, 16, 24])] * (WARM_UP + RUNS)
    assert measured["median_ms"] == 4500.0
    assert measured["quartiles_ms"] == [2250.0, 6750.0]
    assert (measured["runs"], measured["size"], measured["device"]) == (RUNS, [16, 24], "cpu")


def test_latency_gets_a_column(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    shown = {"median_ms": 4.0, "quartiles_ms": [3.0, 5.5], "size": [16, 24], "device": "cpu"}
    monkeypatch.setattr(listing, "receptive_field", lambda config: 617)
    monkeypatch.setattr(listing, "measure_latency", lambda name, size, device: shown)
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["networks", "sdwnet", "--latency", "--device", "cpu"]) == 0
    header, line = capsys.readouterr().out.splitlines()
    assert header.endswith("ms at 16x24 on cpu (quartiles)")
    assert line.split()[-3:] == ["617", "4.0", "(3.0-5.5)"]
