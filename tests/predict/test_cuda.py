"""Prediction on a GPU: equal to the CPU's, whole and in tiles, within a stated memory."""

import numpy as np
import pytest
import torch

from deblur_lit import load_network
from deblur_lit.networks.blocks import DeblurNetwork
from deblur_lit.predict.deblurrer import Deblurrer

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU that torch can use")

SMALL = ["channels=8", "num_blocks=1"]


@pytest.fixture(scope="module", params=["unet", "dffm_msrm", "photo"])
def network(request: pytest.FixtureRequest) -> DeblurNetwork:
    torch.manual_seed(0)
    return load_network(request.param, overrides=[] if request.param == "photo" else SMALL)


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).random((height, width, 3), dtype=np.float32)


def test_float32_is_that_of_the_cpu(network: DeblurNetwork) -> None:
    image = picture(150, 203)
    here, there = (Deblurrer(network, device=device).restore(image) for device in ("cpu", "cuda"))
    assert not there.fallbacks
    assert np.abs(here.image - there.image).max() <= 1e-5 < np.abs(here.image - image).max()


def test_bfloat16_is_close_to_float32(network: DeblurNetwork) -> None:
    image = picture(150, 203)
    exact, lowered = (Deblurrer(network, device="cuda", precision=precision)(image) for precision in ("fp32", "bf16"))
    assert 0 < np.abs(exact - lowered).max() <= 0.02


def test_tiles_are_those_of_the_cpu(network: DeblurNetwork) -> None:
    image = picture(200, 300)
    here, there = (Deblurrer(network, device=device, tile=200)(image) for device in ("cpu", "cuda"))
    assert np.abs(here - there).max() <= 1e-5


def test_a_stated_memory_holds_on_the_gpu() -> None:
    deblurrer = Deblurrer(load_network("photo"), device="cuda", memory=600 << 20)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    assert deblurrer(picture(1500, 2000)).shape == (1500, 2000, 3)
    assert torch.cuda.max_memory_allocated() <= 600 << 20
