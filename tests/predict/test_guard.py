"""Harm is seen: not-a-number, and flat colours that move; texture may change."""

import numpy as np
import pytest

from deblur_lit.predict.guard import BLOCK, REACH, SHIFT, fault, shares

DARK = (33, 25, 23)


def flat(colour: tuple[int, int, int], height: int = 40, width: int = 50) -> np.ndarray:
    return np.full((height, width, 3), np.array(colour) / 255, np.float32)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 0, 0), (20, 30, 1), (39, 49, 2)])
def test_a_single_pixel_that_is_no_number_is_seen(value: float, place: tuple[int, int, int]) -> None:
    change = np.zeros((40, 50, 3), np.float32)
    assert fault(flat(DARK), change) is None
    change[place] = value
    with np.errstate(invalid="ignore"):
        assert fault(flat(DARK), change) == "the network gave not-a-number or infinity"


@pytest.mark.parametrize("colour", [DARK, (0, 0, 0), (255, 255, 255), (128, 200, 3)])
@pytest.mark.parametrize("channel", range(3))
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_flat_colour_may_move_by_eight_levels_and_no_more(
    colour: tuple[int, int, int], channel: int, sign: int
) -> None:
    change = np.zeros((40, 50, 3), np.float32)
    change[..., channel] = sign * SHIFT * 0.99
    assert fault(flat(colour), change) is None
    change[..., channel] = sign * SHIFT * 1.01
    assert str(fault(flat(colour), change)).startswith("the flat colour rgb({}, {}, {}) would shift".format(*colour))


@pytest.mark.parametrize("corner", [(0, 0), (0, 58), (48, 0), (48, 58), (17, 29), (31, 3)])
def test_one_flat_square_of_twice_the_patch_anywhere_is_enough(corner: tuple[int, int]) -> None:
    image = np.random.default_rng(0).random((80, 90, 3), np.float32)
    change = np.zeros_like(image)
    place = tuple(slice(start, start + 2 * BLOCK) for start in corner)
    image[place] = np.array(DARK) / 255
    change[place] = 0.1
    assert fault(image, change)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 17), (15, 15)])
def test_images_smaller_than_a_patch_are_looked_at_too(size: tuple[int, int]) -> None:
    assert fault(flat(DARK, *size), np.full((*size, 3), 0.1, np.float32))


def test_noise_does_not_hide_a_shift() -> None:
    noisy = flat(DARK) + np.random.default_rng(0).normal(0, 3 / 255, (40, 50, 3)).astype(np.float32)
    assert fault(noisy, np.full((40, 50, 3), 0.1, np.float32))


def test_texture_may_change() -> None:
    stripes = np.zeros((40, 50, 3), np.float32)
    stripes[:, ::3] = 1
    assert fault(stripes, np.full((40, 50, 3), 0.3, np.float32)) is None


@pytest.mark.parametrize("spread", [5, 20])
def test_the_end_of_a_blurred_edge_may_move_a_lot(spread: int) -> None:
    across = np.arange(200) - 100
    blurred = 1 / (1 + np.exp(-across / spread))
    image = np.repeat(np.tile(blurred.astype(np.float32), (64, 1))[..., None], 3, axis=2)
    sharp = np.repeat(np.tile((across >= 0).astype(np.float32), (64, 1))[..., None], 3, axis=2)
    assert np.abs(sharp - image).max() > 0.4
    assert fault(image, sharp - image) is None


def test_a_change_counts_by_the_contrast_around_it() -> None:
    pixels = np.full((60, 80, 3), 100, np.uint8)
    assert not shares(pixels).any()
    pixels[30, 20, 1] = 101
    counted = shares(pixels)
    assert counted.shape == (60, 80, 1)
    assert counted[30 - REACH : 30 + REACH + 1, 20 - REACH : 20 + REACH + 1] == pytest.approx(0.25)
    assert counted.sum() == pytest.approx(0.25 * (2 * REACH + 1) ** 2)
    pixels[30, 20, 1] = 104
    assert shares(pixels).max() == 1


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.float64])
def test_contrast_is_that_of_any_type(dtype: type) -> None:
    pixels = np.random.default_rng(0).integers(100, 104, (40, 50, 3)).astype(np.uint8)
    pixels[:20] = 100
    white = 65535 if dtype is np.uint16 else 1
    assert shares((pixels / 255 * white).astype(dtype)) == pytest.approx(shares(pixels), abs=1e-3)
