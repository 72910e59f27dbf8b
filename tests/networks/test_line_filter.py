"""The line filter: its bank, what its energies tell, and how it stands before a U-Net."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from deblur_lit import load_network
from deblur_lit.networks.line_filter import LineFilter, line_bank
from deblur_lit.networks.nafnet import NAFNet
from deblur_lit.networks.tlc import use_local_pools

ANGLES = 8


def noise(height: int = 64, width: int = 64) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def trained() -> LineFilter:
    torch.manual_seed(0)
    line_filter = LineFilter(hidden=8).double()
    torch.nn.init.normal_(line_filter.mix.weight, std=0.1)
    return line_filter


def test_a_line_filter_takes_a_straight_motion_from_a_point() -> None:
    bank = line_bank([1, 3, 6], ANGLES)
    assert bank.shape == (24, 1, 7, 7)
    assert bank.sum(dim=(1, 2, 3)).abs().max() < 1e-6
    assert bank[:8].abs().max() < 1e-6  # a line of one pixel is a point
    assert bank[8, 0, 3, :].tolist() == pytest.approx([0, 0, -0.25, 0.5, -0.25, 0, 0], abs=0.03)
    assert bank[8, 0, [0, 1, 2, 4, 5, 6]].abs().max() == 0


def test_a_quarter_turn_and_a_mirror_exchange_the_directions() -> None:
    bank = line_bank([3, 6], ANGLES)[:, 0].unflatten(0, (2, ANGLES))
    places = torch.arange(ANGLES)
    torch.testing.assert_close(torch.rot90(bank, 1, (-2, -1)), bank[:, (places + 4) % ANGLES])
    torch.testing.assert_close(bank.flip(-1), bank[:, -places % ANGLES])


@pytest.mark.parametrize("direction", [0, 4])
def test_energies_fall_along_a_motion(direction: int) -> None:
    line_filter = LineFilter().double()
    kernel = torch.full((3, 1, 1, 5), 0.2, dtype=torch.float64)
    moved = F.conv2d(noise(), kernel if direction == 0 else kernel.transpose(2, 3), groups=3)[..., :56, :56]
    energies = line_filter.energies(line_filter.sizes(moved)).unflatten(1, (-1, ANGLES + 1))[0, :, 1:, 0, 0]
    assert energies[:2].argmin(dim=1).tolist() == [direction, direction]  # the finest size, both lengths


def test_a_new_filter_keeps_its_input_and_a_trained_one_a_flat_image() -> None:
    image = noise()
    assert torch.equal(LineFilter(hidden=8).double()(image)[0], image)
    assert not torch.allclose(trained()(image)[0], image)
    flat = torch.full((1, 3, 16, 12), 0.7, dtype=torch.float64)
    torch.testing.assert_close(trained()(flat)[0], flat)


def test_the_image_is_filtered_by_the_mixture_that_its_energies_give() -> None:
    line_filter, image = trained(), noise()
    with torch.no_grad():
        line_filter.mix.weight[16:] = 0  # the smaller sizes
        line_filter.mix.bias[16:] = 0  # type: ignore[index]
    weights = line_filter.mix(line_filter.describe(line_filter.energies(line_filter.sizes(image))))[0, :16, 0, 0]
    kernel = (weights[:, None, None, None] * line_filter.bank).sum(dim=0, keepdim=True)
    padded = F.pad(image, [3] * 4, mode="replicate")
    torch.testing.assert_close(line_filter(image)[0], image + F.conv2d(padded, kernel.repeat(3, 1, 1, 1), groups=3))


def test_autocast_does_not_coarsen_it() -> None:
    image, line_filter = noise().float(), trained().float()
    expected = line_filter(image)[0]
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(line_filter(image)[0], expected)


def test_local_pools_give_a_description_of_each_place() -> None:
    image = torch.cat([noise(), noise().mean(dim=3, keepdim=True).expand(-1, -1, -1, 64)], dim=3)
    network = NAFNet(channels=2, encoder_blocks=[1], decoder_blocks=[1], prefilter=trained()).double()
    use_local_pools(network, 32)
    sharpened, description = network.prefilter(image)  # type: ignore[misc]
    assert (sharpened.shape, description.shape) == (image.shape, (1, 8, 16, 32))
    assert not torch.allclose(description[..., 2], description[..., 29])
    assert network(image).full.shape == image.shape


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 50), (17, 9)])
def test_any_size_goes_through_the_network_of_the_package(height: int, width: int) -> None:
    network = load_network("photo").eval()
    with torch.inference_mode():
        restored = network(noise(height, width).float()).full
    assert restored.shape == (1, 3, height, width)
    assert math.isfinite(float(restored.sum()))


def test_the_u_net_is_told_the_description() -> None:
    torch.manual_seed(0)
    network = NAFNet(channels=2, encoder_blocks=[1], decoder_blocks=[1], prefilter=LineFilter(hidden=4)).double()
    before = network(noise()).full
    torch.nn.init.normal_(network.hint.weight)  # type: ignore[union-attr,arg-type]
    assert not torch.allclose(network(noise()).full, before)


@pytest.mark.parametrize(
    ("lengths", "angles", "named"), [([], 8, "lengths"), ([0.5], 8, "lengths"), ([3], 0, "angles")]
)
def test_what_cannot_be_is_refused(lengths: list[float], angles: int, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        LineFilter(lengths, angles)
