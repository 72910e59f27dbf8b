"""The contract of every network and ablation YAML: a new file is covered the day it appears.

`make check-network NAME=x` runs it on one network at full size.
"""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from deblur_lit import load_network
from deblur_lit.config import compose, stems
from deblur_lit.networks.blocks import DeblurNetwork
from deblur_lit.networks.loading import count_macs, count_parameters, network_config, network_names

SIZES = [(1, 1), (1, 9), (2, 3), (7, 5), (33, 48), (64, 64)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run on every YAML, or on the one that --network names."""
    chosen = metafunc.config.getoption("network")
    if chosen and chosen not in network_names():
        raise pytest.UsageError(f"--network {chosen}: there are {', '.join(network_names())}")
    metafunc.parametrize("name", [chosen] if chosen else network_names(), scope="module")


@pytest.fixture(scope="module")
def overrides(name: str, request: pytest.FixtureRequest) -> list[str]:
    """What makes the network small, unless one was named: what experiment=mini does to it."""
    if request.config.getoption("network"):
        return []
    group = "ablation" if name in stems("ablation") else "network"
    reduced = compose("train", [f"{group}={name}", "experiment=mini"]).network
    full = network_config(name).network
    return [f"{key}={reduced[key]}" for key in full if reduced[key] != full[key]]


@pytest.fixture
def network(name: str, overrides: list[str]) -> DeblurNetwork:
    torch.manual_seed(0)
    return load_network(name, overrides=overrides)


def image(height: int, width: int, batch: int = 1) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(height * width))


@pytest.mark.parametrize("size", SIZES)
def test_any_size_is_kept(network: DeblurNetwork, size: tuple[int, int]) -> None:
    height, width = size
    with torch.inference_mode():
        restored = network(image(height, width))
    assert restored.full.shape == (1, 3, height, width)
    for picture, factor in ((restored.half, 2), (restored.quarter, 4)):
        if picture is not None:
            assert picture.shape == (1, 3, -(-height // factor), -(-width // factor))
    assert torch.isfinite(restored.full).all()


def test_an_image_does_not_see_its_batch(network: DeblurNetwork) -> None:
    batch = image(32, 32, batch=3)
    with torch.inference_mode():
        together = network(batch).full
        alone = torch.cat([network(one[None]).full for one in batch])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_every_parameter_learns(name: str, overrides: list[str]) -> None:
    silent: set[str] | None = None
    for seed in range(3):  # a unit may start out dead; one that is always silent is not connected
        torch.manual_seed(seed)
        network = load_network(name, overrides=overrides).train()
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
        for _ in range(2):  # a scale that starts at zero lets nothing before it learn in the first step
            optimizer.zero_grad()
            loss = torch.stack([p.square().sum() for p in network(image(32, 32, batch=2)) if p is not None]).sum()
            loss.backward()
            optimizer.step()
        dead = {key for key, p in network.named_parameters() if p.grad is None or not p.grad.any()}
        silent = dead if silent is None else silent & dead
    assert not silent


def test_it_overfits_a_pair(network: DeblurNetwork) -> None:
    sharp = F.interpolate(image(6, 6), size=(24, 24), mode="nearest")
    blur = F.avg_pool2d(sharp, 5, stride=1, padding=2, count_include_pad=False)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    network.train()
    goal = 0.7 * float((blur - sharp).abs().mean())
    for _ in range(400):  # more than enough: a network that starts from its input needs a tenth of them
        loss = (network(blur).full - sharp).abs().mean()
        if loss.detach() < goal:
            return
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    pytest.fail(f"mean error {float(loss.detach()):.3f} after 400 steps, above {goal:.3f}")


def test_weights_survive_a_file(network: DeblurNetwork, name: str, overrides: list[str], tmp_path: Path) -> None:
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, tmp_path / "w.safetensors")
    loaded = load_network(name, checkpoint=tmp_path / "w.safetensors", overrides=overrides)
    with torch.inference_mode():
        assert torch.equal(network(image(16, 16)).full, loaded(image(16, 16)).full)


def test_bf16_autocast_stays_finite_and_close(network: DeblurNetwork) -> None:
    with torch.inference_mode():
        reference = network(image(32, 32)).full
        with torch.autocast("cpu", dtype=torch.bfloat16):
            restored = network(image(32, 32)).full
    assert torch.isfinite(restored).all()
    torch.testing.assert_close(restored.float(), reference, rtol=0.1, atol=0.1)


def test_it_compiles_as_one_graph(network: DeblurNetwork) -> None:
    torch._dynamo.reset()  # all networks share one forward, which may be compiled eight times in a process
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(image(32, 32)).full, network(image(32, 32)).full)


def test_it_exports(network: DeblurNetwork) -> None:
    program = torch.export.export(network, (image(32, 32),))
    torch.testing.assert_close(program.module()(image(32, 32)).full, network(image(32, 32)).full)


def test_its_cost_is_counted(network: DeblurNetwork, name: str, overrides: list[str]) -> None:
    config = network_config(name, overrides).network
    assert count_parameters(network) > 0
    assert count_macs(config, side=64) > 0
    # A convolutional network of twice the side costs four times as much; gates on pooled values do not grow.
    side = max(64, 8 * network.minimum)  # where borders that convolutions without padding lose hardly count
    assert count_macs(config, side=2 * side) == pytest.approx(4 * count_macs(config, side=side), rel=0.02)


def test_it_differs_from_the_baseline(name: str) -> None:
    configs = [network_config(other).network for other in (name, "baseline")]
    assert (configs[0] == configs[1]) == (name in ("baseline", "unet"))


def test_it_says_what_it_is(name: str) -> None:
    config = network_config(name)
    assert config.card.title
    assert config.card.paper
    assert str(config.card.year) in config.card.paper
    weights = config.card.weights
    assert set(weights) == {"url", "licence"}
    assert weights.url is None or weights.url.startswith(("https://", "http://"))
    assert weights.url or weights.licence is None
    assert config.ablation.name == (name if name in stems("ablation") else "baseline")
