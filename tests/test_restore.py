"""How networks are applied: self-ensembles, tiles, precision."""

import pytest
import torch
from torch import Tensor

from deblur_lit import load_network
from deblur_lit.networks.blocks import DeblurNetwork
from deblur_lit.restore import ENSEMBLES, Restorer, in_tiles
from deblur_lit.tensors import Pyramid

SMALL = ["channels=4", "num_blocks=1"]


class Shift(DeblurNetwork):
    """Moves the image by one pixel to the right: no flip or turn commutes with it."""

    def restore(self, blur: Tensor) -> Pyramid:
        return Pyramid(blur.roll(1, dims=-1))


def image(height: int = 20, width: int = 28) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))


def test_without_options_it_is_the_network() -> None:
    network = load_network("dffm_msrm", overrides=SMALL)
    with torch.inference_mode():
        assert torch.equal(Restorer(network)(image()), network(image()).full)


@pytest.mark.parametrize(("ensemble", "number"), [("none", 1), ("rotations", 4), ("dihedral", 8)])
def test_an_ensemble_is_the_mean_over_its_views(ensemble: str, number: int) -> None:
    blur = image()
    assert len(ENSEMBLES[ensemble]) == number
    shifts = {"none": [(0, 1)], "rotations": [(0, 1), (0, -1), (1, 0), (-1, 0)]}
    shifts["dihedral"] = 2 * shifts["rotations"]
    expected = torch.stack([blur.roll(shift, dims=(-2, -1)) for shift in shifts[ensemble]]).mean(dim=0)
    torch.testing.assert_close(Restorer(Shift(), ensemble=ensemble)(blur), expected)


@pytest.mark.parametrize("ensemble", ["rotations", "dihedral"])
def test_an_ensemble_turns_with_the_image(ensemble: str) -> None:
    restore = Restorer(load_network("dffm_msrm", overrides=SMALL), ensemble=ensemble)
    blur = image(16, 24)
    turned = torch.rot90(restore(torch.rot90(blur, 1, (-2, -1))), -1, (-2, -1))
    torch.testing.assert_close(restore(blur), turned, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("side", "tiles"), [(8, 12), (10, 6), (20, 2), (28, 1), (64, 1)])
def test_tiles_cover_every_pixel_and_are_as_few_as_can_be(side: int, tiles: int) -> None:
    seen: list[tuple[int, ...]] = []

    def restore(tiles: Tensor) -> Tensor:
        seen.extend(len(tiles) // len(image()) * [tuple(tiles.shape[-2:])])
        return 2 * tiles

    torch.testing.assert_close(in_tiles(image(), side, restore), 2 * image())
    assert len(seen) == tiles
    assert set(seen) == {(min(side, 20), min(side, 28))}


def test_tiles_of_a_frame_lie_where_those_of_256_pixels_do() -> None:
    starts: list[int] = []
    frame = torch.arange(1280.0).expand(1, 3, 720, 1280)

    def note(tiles: Tensor) -> Tensor:
        starts.extend(int(tile[0, 0, 0]) for tile in tiles)
        return tiles

    in_tiles(frame, 256, note)
    assert starts == 3 * [0, 256, 512, 768, 1024]


def test_bf16_is_close_to_float32_and_returns_it() -> None:
    network = load_network("dffm_msrm", overrides=SMALL)
    exact, lowered = (Restorer(network, precision)(image()) for precision in ("32", "bf16"))
    assert lowered.dtype == torch.float32
    assert not torch.equal(exact, lowered)
    torch.testing.assert_close(exact, lowered, rtol=0.05, atol=0.05)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"precision": "16"}, "precision='16'"), ({"ensemble": "x8"}, "ensemble='x8'"), ({"tiles": 0}, "tiles=0")],
)
def test_a_wrong_option_is_named(options: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Restorer(Shift(), **options)  # type: ignore[arg-type]
