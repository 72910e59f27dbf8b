"""The score of a data set: any batch size, any number of ranks, any precision of the module around it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from torch import Tensor, distributed, nn

from deblur_lit.metrics import psnr, realblur, ssim
from deblur_lit.metrics.mean import MeanOverImages
from deblur_lit.metrics.protocols import PROTOCOLS

FUNCTIONS = {
    name: getattr(realblur if "_realblur" in name else psnr if name.startswith("psnr") else ssim, name)
    for name, p in PROTOCOLS.items()
    if not p.aligned
}
METRICS = [partial(MeanOverImages, function) for function in FUNCTIONS.values()]
psnr_uint8 = FUNCTIONS["psnr_uint8"]


def pairs(count: int) -> tuple[Tensor, Tensor]:
    """Pairs from bad to good, so that a mean of dB is far from the dB of a mean."""
    draw = torch.Generator().manual_seed(0)
    sharp = torch.rand(count, 3, 24, 20, generator=draw)
    spread = torch.logspace(-2.3, -0.3, count).reshape(-1, 1, 1, 1)
    return sharp + spread * torch.randn(sharp.shape, generator=draw), sharp


def score(metric: MeanOverImages, batch_size: int, count: int = 7) -> float:
    for restored, sharp in zip(*(images.split(batch_size) for images in pairs(count)), strict=True):
        metric.update(restored, sharp)
    return metric.compute().item()


@pytest.mark.parametrize("metric", METRICS, ids=FUNCTIONS)
@pytest.mark.parametrize("batch_size", [2, 4, 7])
def test_batch_size_does_not_matter(metric: Callable[[], MeanOverImages], batch_size: int) -> None:
    assert score(metric(), batch_size) == pytest.approx(score(metric(), 1), rel=1e-14)


def test_psnr_is_the_mean_of_decibels() -> None:
    restored, sharp = pairs(7)
    pooled = 10 * ((restored.clamp(0, 1) - sharp) ** 2).mean().reciprocal().log10().item()
    assert score(MeanOverImages(psnr_uint8), 4) == pytest.approx(psnr_uint8(restored, sharp).mean().item(), rel=1e-14)
    assert score(MeanOverImages(psnr_uint8), 4) > pooled + 5


@pytest.mark.parametrize("metric", METRICS, ids=FUNCTIONS)
def test_images_of_different_sizes_count_alike(metric: Callable[[], MeanOverImages]) -> None:
    restored, sharp = pairs(2)
    small = (restored[:1, :, :13, :11], sharp[:1, :, :13, :11])
    large = (restored[1:], sharp[1:])
    both, one, other = metric(), metric(), metric()
    both.update(*small)
    both.update(*large)
    one.update(*small)
    other.update(*large)
    assert both.compute().item() == pytest.approx((one.compute() + other.compute()).item() / 2, rel=1e-14)


@pytest.mark.parametrize("metric", METRICS, ids=FUNCTIONS)
def test_merged_states_equal_one_pass(metric: Callable[[], MeanOverImages]) -> None:
    restored, sharp = pairs(7)
    first, second = metric(), metric()
    first.update(restored[:2], sharp[:2])
    second.update(restored[2:], sharp[2:])
    first.merge_state(second)
    assert first.compute().item() == pytest.approx(score(metric(), 1), rel=1e-14)


def rank_score(rank: int, store: str, folder: str) -> None:
    """Score images 0, 2, 4, 6 on rank 0 and 1, 3, 5 on rank 1; each writes what it sees."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    metrics = [metric() for metric in METRICS]
    restored, sharp = pairs(7)
    for metric in metrics:
        metric.update(restored[rank::2], sharp[rank::2])
    torch.save([metric.compute() for metric in metrics], Path(folder) / f"{rank}.pt")
    distributed.destroy_process_group()


def test_two_ranks_equal_one(tmp_path: Path) -> None:
    mp.spawn(rank_score, args=(str(tmp_path / "store"), str(tmp_path)), nprocs=2)
    expected = [score(metric(), 1) for metric in METRICS]
    for rank in range(2):
        scores = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert [value.dtype for value in scores] == [torch.float64] * len(METRICS)
        assert [value.item() for value in scores] == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("metric", METRICS, ids=FUNCTIONS)
def test_half_precision_module_keeps_float64_scores(metric: Callable[[], MeanOverImages]) -> None:
    module = nn.ModuleDict({"metric": metric()})
    restored, sharp = pairs(4)
    conversions = [
        module.half,
        module.float,
        lambda: module.to(torch.bfloat16),
        lambda: module["metric"].set_dtype(torch.float16),
    ]
    for convert, x, y in zip(conversions, restored, sharp, strict=True):
        convert()
        module["metric"].update(x[None], y[None])
    result = module["metric"].compute()
    assert result.dtype == torch.float64
    assert result.item() == pytest.approx(score(metric(), 1, count=4), rel=1e-14)


def test_infinite_psnr_of_one_image_makes_the_mean_infinite() -> None:
    restored, sharp = pairs(3)
    metric = MeanOverImages(psnr_uint8)
    metric.update(restored, sharp)
    metric.update(sharp, sharp)
    assert metric.compute().item() == float("inf")


@pytest.mark.parametrize("metric", METRICS, ids=FUNCTIONS)
def test_reset_forgets(metric: Callable[[], MeanOverImages]) -> None:
    one = metric()
    one.update(*pairs(2))
    one.reset()
    assert score(one, 4) == score(metric(), 4)
    assert one.total.dtype == torch.float64
