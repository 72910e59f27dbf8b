"""Pairs as a camera would take them."""

from dataclasses import replace

import numpy as np
import pytest

from deblur_lit.data.collage import collage
from deblur_lit.data.images import RGB
from deblur_lit.data.photo_exposure import PhotoRecipe, add_noise, brighten, decode, encode, expose_photo, jpeg, warp

PLAIN = PhotoRecipe(
    side=48,
    margin=12,
    extent=(6.0, 10.0),
    substeps=1,
    linear_share=1.0,
    foreground_share=0.0,
    collage_share=0.0,
    highlight_share=0.0,
    dark_share=0.0,
    noise_share=0.0,
    jpeg_share=0.0,
    sharp_share=0.0,
)


def pieces(recipe: PhotoRecipe, number: int = 3) -> list[RGB]:
    draw = np.random.default_rng(7)
    return [draw.integers(0, 256, (recipe.seen, recipe.seen, 3), dtype=np.uint8) for _ in range(number)]


def expose(recipe: PhotoRecipe, seed: int = 0) -> tuple[RGB, RGB]:
    first, *others = pieces(recipe)
    return expose_photo(first, others, recipe, np.random.default_rng(seed))


@pytest.mark.parametrize("gamma", [(1.0, 1.0), (2.2, 2.2)])
def test_the_sharp_side_is_a_cut_of_the_photograph_and_the_other_is_blurred(gamma: tuple[float, float]) -> None:
    blur, sharp = expose(replace(PLAIN, linear_share=0.0, gamma=gamma))
    assert np.array_equal(sharp, pieces(PLAIN)[0][12:-12, 12:-12])
    assert blur.shape == sharp.shape == (48, 48, 3)
    assert blur.std() < 0.6 * sharp.std()


def test_equal_draws_make_equal_pairs_and_others_do_not() -> None:
    recipe = PhotoRecipe(side=48, margin=12, extent=(2.0, 10.0))
    for seed in range(6):
        assert all(np.array_equal(*sides) for sides in zip(expose(recipe, seed), expose(recipe, seed), strict=True))
    assert not np.array_equal(expose(PLAIN, 0)[0], expose(PLAIN, 1)[0])


def test_an_average_of_light_is_brighter_than_one_of_encoded_values() -> None:
    linear, light = (expose(replace(PLAIN, linear_share=share, gamma=(2.2, 2.2)))[0] for share in (1.0, 0.0))
    assert light.mean() > linear.mean() + 5


def test_short_paths_blur_less() -> None:
    def difference(short_share: float) -> float:
        recipe = replace(PLAIN, extent=(2.0, 20.0), short_share=short_share)
        sides = [expose(recipe, seed) for seed in range(12)]
        return float(np.mean([np.abs(blur.astype(int) - sharp).mean() for blur, sharp in sides]))

    assert difference(1.0) < 0.97 * difference(0.0)


@pytest.mark.parametrize("seed", range(12))
def test_pairs_without_blur_have_equal_sides(seed: int) -> None:
    blur, sharp = expose(replace(PLAIN, sharp_share=1.0), seed)
    assert np.array_equal(blur, sharp)


def test_pairs_without_blur_show_collages_too() -> None:
    still = replace(PLAIN, sharp_share=1.0, sharp_collage_share=1.0)
    cut = pieces(PLAIN)[0][PLAIN.margin : -PLAIN.margin, PLAIN.margin : -PLAIN.margin]
    covered = [(expose(still, seed)[1] != cut).any(axis=2).mean() for seed in range(12)]
    assert sum(0.02 < share < 0.9 for share in covered) >= 3


def test_flat_pairs_may_be_of_pure_colours() -> None:
    still = replace(PLAIN, sharp_share=1.0)

    def vivid(share: float) -> int:
        first = [expose(replace(still, vivid_share=share), seed)[1][0, 0].astype(int) for seed in range(60)]
        flat = [colour for colour in first if colour.min() <= 2]
        return sum(colour.max() > 100 for colour in flat)

    assert not vivid(0.0)
    assert vivid(1.0) >= 3


def test_an_object_moves_in_front_of_the_scene() -> None:
    _, alone = expose(PLAIN)
    _, covered = expose(replace(PLAIN, foreground_share=1.0))
    differ = (alone != covered).any(axis=2).mean()
    assert 0.01 < differ < 0.6


def test_highlights_spread_further_than_the_light_that_a_sensor_can_tell() -> None:
    piece = np.full((PLAIN.seen, PLAIN.seen, 3), 40, np.uint8)
    piece[34:38, 34:38] = 255
    usual, bright = (
        expose_photo(piece, [piece], replace(PLAIN, highlight_share=share), np.random.default_rng(3))[0]
        for share in (0.0, 1.0)
    )
    assert (bright > 200).sum() > (usual > 200).sum()
    assert bright.max() == 255


def test_noise_and_jpeg_touch_the_blurred_side_alone() -> None:
    blur, sharp = expose(PLAIN)
    noisy = add_noise(decode(sharp, 1.0), 1e-3, np.random.default_rng(0))
    assert 0.01 < (noisy - decode(sharp, 1.0)).std() < 0.05
    assert not np.array_equal(jpeg(blur, 60), blur)
    assert np.array_equal(expose(replace(PLAIN, noise_share=1.0, noise=1e-3, jpeg_share=1.0))[1], sharp)


@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.4])
def test_the_response_gives_every_level_back(gamma: float) -> None:
    levels = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    assert np.array_equal(encode(decode(levels, gamma), gamma), levels)


def test_the_pose_of_zeros_is_a_cut_and_a_translation_moves_by_whole_pixels() -> None:
    light = decode(pieces(PLAIN)[0], 2.2)
    assert np.array_equal(warp(light, np.zeros(4), 12), light[12:-12, 12:-12])
    moved = warp(light, np.array([3.0, -2.0, 0.0, 0.0]), 12)
    assert np.allclose(moved, light[14:-10, 9:-15], atol=1e-6)


def test_brightening_leaves_what_is_dark() -> None:
    light = np.linspace(0, 0.75, 30, dtype=np.float32).reshape(2, 5, 3)
    assert np.array_equal(brighten(light, 5.0), light)


def test_a_collage_covers_some_of_the_photograph_and_repeats_itself() -> None:
    images = pieces(PLAIN)
    made = [collage(images, 0.0, np.random.default_rng(2)) for _ in range(2)]
    assert np.array_equal(*made)
    assert 0.02 < (made[0] != images[0]).any(axis=2).mean() < 1


def test_shaded_shapes_run_softly() -> None:
    black = [np.zeros((96, 96, 3), np.uint8)]

    def soft(shaded_share: float, seed: int) -> float:
        step = np.abs(np.diff(collage(black, shaded_share, np.random.default_rng(seed)).astype(int), axis=1))
        return float(((step > 0) & (step < 8)).mean())

    seeds = range(12)
    assert np.mean([soft(1.0, seed) for seed in seeds]) > 2 * np.mean([soft(0.0, seed) for seed in seeds])


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"frames": (8, 12)}, "frames"),
        ({"extent": (5.0, 2.0)}, "extent"),
        ({"jpeg_share": 1.5}, "jpeg_share"),
        ({"tilt": -1.0}, "tilt"),
        ({"stretch": 0.9}, "stretch"),
        ({"substeps": 2}, "substeps"),
    ],
)
def test_an_impossible_recipe_is_named(settings: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        PhotoRecipe(**settings)  # type: ignore[arg-type]


def test_a_piece_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="a piece is"):
        expose_photo(np.zeros((10, 10, 3), np.uint8), [], PLAIN, np.random.default_rng(0))
