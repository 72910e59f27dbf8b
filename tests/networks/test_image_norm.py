"""Normalisation by the statistics of each image, or by recorded ones."""

import pytest
import torch
from torch import Tensor, nn

from deblur_lit.networks.blocks import ImageNorm

CHANNELS = 5


def features(batch: int) -> Tensor:
    return 3 * torch.rand(batch, CHANNELS, 6, 7, generator=torch.Generator().manual_seed(batch)) - 1


def drawn(norm: nn.Module) -> nn.Module:
    """Give a normalisation parameters and recorded statistics that are not the initial ones."""
    draw = torch.Generator().manual_seed(0)
    for value in norm.state_dict().values():
        if value.is_floating_point():
            value.copy_(0.5 + torch.rand(value.shape, generator=draw))
    return norm


@pytest.mark.parametrize("eps", [1e-5, 1e-1])
@pytest.mark.parametrize("affine", [True, False])
def test_image_statistics_are_those_of_a_batch_normalisation_that_trains_on_one_image(affine: bool, eps: float) -> None:
    norm = drawn(ImageNorm(CHANNELS, "image", affine=affine, eps=eps))
    reference = nn.BatchNorm2d(CHANNELS, affine=affine, eps=eps)
    reference.load_state_dict(norm.state_dict(), strict=False)
    images = features(3)
    alone = torch.cat([reference(image[None]) for image in images])
    for training in (True, False):
        torch.testing.assert_close(norm.train(training)(images), alone)


@pytest.mark.parametrize("affine", [True, False])
def test_running_statistics_are_those_of_a_batch_normalisation_that_is_evaluated(affine: bool) -> None:
    norm = drawn(ImageNorm(CHANNELS, "running", affine=affine, eps=1e-3))
    reference = nn.BatchNorm2d(CHANNELS, affine=affine, eps=1e-3).eval()
    reference.load_state_dict(norm.state_dict(), strict=False)
    for training in (True, False):
        torch.testing.assert_close(norm.train(training)(features(2)), reference(features(2)))


@pytest.mark.parametrize("statistics", ["image", "running"])
def test_recorded_statistics_stay(statistics: str) -> None:
    norm = drawn(ImageNorm(CHANNELS, statistics)).train()
    before = {key: value.clone() for key, value in norm.state_dict().items()}
    assert set(before) == {"running_mean", "running_var"}
    norm(features(2))
    assert all(torch.equal(before[key], value) for key, value in norm.state_dict().items())


def test_unknown_statistics_are_named() -> None:
    with pytest.raises(ValueError, match="'batch'"):
        ImageNorm(CHANNELS, "batch")
