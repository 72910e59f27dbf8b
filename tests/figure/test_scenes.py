"""Which images and crops are shown, and that they are the ones that were scored."""

from pathlib import Path

import numpy as np
import pytest
from figure_data import FRAMES, HEIGHT, WIDTH, Evaluate, pair, read, table
from PIL import Image

from deblur_lit.data.named import data_config, open_split
from deblur_lit.data.pairs import PairList
from deblur_lit.figure.scenes import Crop, Scene, load, place_crops, ranked, typical
from deblur_lit.figure.systems import System, open_systems


@pytest.fixture
def pairs(root: Path) -> PairList:
    return open_split(data_config("gopro", root), "test")


@pytest.fixture
def systems(evaluation: Evaluate) -> list[System]:
    return open_systems([str(evaluation("one", 0.5)), str(evaluation("two", 0.8))], "gopro")


def scene(height: int, width: int) -> Scene:
    draw = np.random.default_rng(0)
    blur, sharp = draw.integers(0, 256, (2, height, width, 3), np.uint8)
    return Scene("x", "", {"Blurred": blur, "Sharp": sharp}, {})


def test_median_best_and_worst_gain_are_chosen(systems: list[System]) -> None:
    gains = {name: systems[1].gain(name) for name in FRAMES}
    assert ranked(systems[1]) == sorted(FRAMES, key=gains.__getitem__)
    chosen = typical(systems[1])
    assert len(chosen) == 3
    _, best, worst = chosen
    assert gains[best] == max(gains.values())
    assert gains[worst] == min(gains.values())
    assert list(chosen.values()) == [f"{what} gain of 4 images" for what in ("median", "best", "worst")]


def test_one_image_is_shown_once(evaluation: Evaluate) -> None:
    [system] = open_systems([str(evaluation("one", 0.5, FRAMES[:1]))], "gopro")
    assert list(typical(system)) == FRAMES[:1]


def test_a_scene_has_the_papers_order_the_files_pixels_and_the_tables_psnr(
    root: Path, pairs: PairList, systems: list[System]
) -> None:
    name = "b/000001"
    shown = load(pairs, name, "why", systems)
    assert list(shown.pictures) == ["Blurred", "Sharp", "one", "two"]
    blur, sharp = pair(root, name)
    files = [blur, sharp, *(read(system.folder / f"restored/{name}.png") for system in systems)]
    assert all(np.array_equal(*both) for both in zip(shown.pictures.values(), files, strict=True))
    for system in systems:
        assert shown.psnr[system.label] == float(table(system.folder)[name]["psnr_uint8"])
        assert shown.psnr["Blurred"] == float(table(system.folder)[name]["psnr_uint8 of blur"])
    assert "Sharp" not in shown.psnr


def test_an_unknown_image_is_named_with_the_nearest(pairs: PairList, systems: list[System]) -> None:
    with pytest.raises(ValueError, match=r"no image 'a/00001'; did you mean 'a/000001'"):
        load(pairs, "a/00001", "", systems)


def test_an_image_that_was_not_scored_is_named(pairs: PairList, evaluation: Evaluate) -> None:
    part = open_systems([str(evaluation("part", 0.5, FRAMES[:2]))], "gopro")
    with pytest.raises(ValueError, match=r"part has no values of 'b/000001'"):
        load(pairs, "b/000001", "", part)


def test_a_lost_file_is_named(pairs: PairList, systems: list[System]) -> None:
    systems[1].picture("a/000001").unlink()
    with pytest.raises(FileNotFoundError, match=r"two lacks the image .*two/restored/a/000001\.png"):
        load(pairs, "a/000001", "", systems)


def test_another_size_is_named(pairs: PairList, systems: list[System]) -> None:
    Image.new("RGB", (WIDTH, HEIGHT - 1)).save(systems[0].picture("a/000001"))
    with pytest.raises(ValueError, match=r"a/000001\.png is 48x35, but its sharp frame 48x36"):
        load(pairs, "a/000001", "", systems)


def test_an_image_that_is_not_the_one_scored_is_refused(pairs: PairList, systems: list[System]) -> None:
    path = systems[0].picture("a/000001")
    image = read(path).copy()
    image[0, 0] ^= 128
    Image.fromarray(image).save(path)
    with pytest.raises(ValueError, match=r"one/restored/a/000001\.png: psnr_uint8 of a/000001 is .* evaluate again"):
        load(pairs, "a/000001", "", systems)


def test_without_crops_ninths_beside_each_other_are_taken() -> None:
    [[one, two]] = place_crops([scene(HEIGHT, WIDTH)], [[]], 2)
    for crop in (one, two):
        assert (crop.width, crop.height) == (WIDTH // 3, HEIGHT // 3)
    assert abs(one.left - two.left) >= one.width or abs(one.top - two.top) >= one.height


def test_frames_of_two_sizes_get_crops_of_one() -> None:
    crops = place_crops([scene(30, 60), scene(60, 30)], [[], []], 2)
    assert {(crop.width, crop.height) for both in crops for crop in both} == {(10, 10)}


def test_chosen_crops_are_like_the_given() -> None:
    given = [[Crop(1, 2, 7, 5)], []]
    crops = place_crops([scene(30, 60), scene(60, 30)], given, 2)
    assert crops[0] == given[0]
    assert [(crop.width, crop.height) for crop in crops[1]] == [(7, 5)]


@pytest.mark.parametrize("crop", [Crop(0, 0, 49, 5), Crop(45, 0, 4, 5), Crop(0, 32, 4, 5), Crop(0, 0, 0, 5)])
def test_a_crop_outside_of_the_frame_is_named(crop: Crop) -> None:
    with pytest.raises(ValueError, match=rf"--crop {crop} .* leaves x, which is 48x36"):
        place_crops([scene(HEIGHT, WIDTH)], [[crop]], 2)


def test_crops_of_two_sizes_or_numbers_are_refused() -> None:
    small, large = Crop(0, 0, 4, 4), Crop(0, 0, 8, 4)
    with pytest.raises(ValueError, match="one size, these have 4x4, 8x4"):
        place_crops([scene(HEIGHT, WIDTH)], [[small, large]], 2)
    with pytest.raises(ValueError, match="as many --crop"):
        place_crops([scene(HEIGHT, WIDTH)] * 2, [[small], [small, small]], 2)
