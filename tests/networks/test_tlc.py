"""Local pools at test time: the recorded values, and what must not change."""

import json
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from deblur_lit import load_network
from deblur_lit.networks.blocks import GlobalPool
from deblur_lit.networks.tlc import local_pools, pools, use_global_pools, use_local_pools

SMALL = ["channels=8", "num_blocks=2"]


def local(kernel: tuple[int, int]) -> GlobalPool:
    pool = GlobalPool()
    pool.kernel = kernel
    return pool


@pytest.mark.shared
def test_local_means_equal_the_published_ones(shared: Path) -> None:
    golden = json.loads((shared / "goldens/tlc_pool_public.json").read_text())
    assert len(golden["cases"]) >= 4
    for case in golden["cases"]:
        c, i, j = (
            torch.arange(case[side], dtype=torch.float64).reshape(shape)
            for side, shape in (("channels", (-1, 1, 1)), ("height", (1, -1, 1)), ("width", (1, 1, -1)))
        )
        features = torch.sin(0.37 * (c + 1) + 0.11 * i + 0.07 * j * (c + 1)) + 0.01 * i - 0.02 * j
        mean = local(tuple(case["kernel"]))(features[None])[0].expand(case["out_shape"])
        assert mean.sum().item() == pytest.approx(case["sum"], abs=1e-7)
        assert mean.square().sum().item() == pytest.approx(case["sum_sq"], rel=golden["tolerance"])
        for point in case["points"]:
            assert mean[tuple(point["at"])].item() == pytest.approx(point["value"], abs=golden["tolerance"])


@pytest.mark.parametrize("kernel", [(3, 4), (5, 5), (1, 7), (9, 40), (40, 6)])
def test_a_window_is_averaged_and_the_border_repeats_its_outermost(kernel: tuple[int, int]) -> None:
    features = torch.rand(2, 3, 11, 14, dtype=torch.float64)
    rows, columns = min(kernel[0], 11), min(kernel[1], 14)
    means = F.avg_pool2d(features, (rows, columns), stride=1)
    down, right = 11 - means.shape[2], 14 - means.shape[3]
    expected = F.pad(means, (right // 2, right - right // 2, down // 2, down - down // 2), mode="replicate")
    torch.testing.assert_close(local(kernel)(features), expected, rtol=0, atol=1e-12)


def test_float32_keeps_its_digits_and_float16_does_not_overflow() -> None:
    features = torch.rand(1, 2, 300, 400, dtype=torch.float64) + 10
    exact = local((96, 128))(features)
    assert (local((96, 128))(features.float()) - exact).abs().max() < 2e-6
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = local((96, 128))((1000 * features).half())
    assert half.dtype == torch.float16
    torch.testing.assert_close(half.double(), 1000 * exact, rtol=2e-3, atol=0)


@pytest.mark.parametrize(("name", "number"), [("msrm", 6 * 2), ("dffm", 2), ("dffm_msrm", 6 * 2 + 2)])
def test_every_pool_is_converted_with_a_window_of_its_scale(name: str, number: int) -> None:
    network = load_network(name, overrides=SMALL)
    assert use_local_pools(network, crop_size=64) == number == len(pools(network))
    kernels = {pool.kernel for pool in pools(network)}
    assert kernels == ({(96, 96), (48, 48)} if name == "dffm" else {(96, 96), (48, 48), (24, 24)})
    assert use_local_pools(network, crop_size=32) == number
    assert {pool.kernel for pool in pools(network)} == {(side // 2, side // 2) for side, _ in kernels}


def test_up_to_the_window_nothing_changes_and_beyond_it_does() -> None:
    network = load_network("dffm_msrm", overrides=SMALL)
    draw = torch.Generator().manual_seed(0)
    for height, width, same in ((96, 96, True), (64, 80, True), (33, 90, True), (100, 96, False), (96, 128, False)):
        image = torch.rand(1, 3, height, width, generator=draw)
        with torch.inference_mode():
            whole = network(image).full
            with local_pools(network, crop_size=64):
                part = network(image).full
            assert torch.equal(whole, part) == same
            assert torch.equal(network(image).full, whole)


def test_the_state_dict_stays_the_same() -> None:
    network = load_network("dffm_msrm", overrides=SMALL)
    before = set(network.state_dict())
    use_local_pools(network, crop_size=32)
    assert set(network.state_dict()) == before
    use_global_pools(network)
    assert all(pool.kernel is None for pool in pools(network))


def test_a_network_without_pools_is_refused() -> None:
    with pytest.raises(ValueError, match="MIMOUNet has no global pool"):
        use_local_pools(load_network("baseline", overrides=SMALL))
