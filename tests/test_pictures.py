"""Pictures to look at."""

import numpy as np
import pytest
import torch

from deblur_lit.pictures import GAP, ZOOM, Picture, busiest, comparison, panels, to_picture

HEIGHT, WIDTH = 36, 48


@pytest.fixture
def pictures() -> tuple[Picture, Picture, Picture]:
    """A grey blur and a grey restored image, and a sharp one with all its contrast at the lower right."""
    blur, restored = (np.full((HEIGHT, WIDTH, 3), level, np.uint8) for level in (60, 120))
    sharp = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    sharp[-12:, -16:] = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return blur, restored, sharp


def below(sheet: Picture, place: int) -> Picture:
    """The enlarged detail below one of the three pictures."""
    left = place * (WIDTH + GAP)
    return sheet[HEIGHT + GAP :, left : left + WIDTH]


def test_uint8_and_float_give_the_same_picture() -> None:
    image = torch.arange(256, dtype=torch.uint8).repeat(3).reshape(3, 16, 16)
    picture = to_picture(image)
    assert picture.shape == (16, 16, 3)
    assert np.array_equal(picture, image.permute(1, 2, 0).numpy())
    assert np.array_equal(picture, to_picture(image.float() / 255))


def test_what_leaves_the_range_is_clamped_and_not_wrapped() -> None:
    image = torch.tensor([-0.5, 0.4 / 255, 0.6 / 255, 1.7]).repeat(3, 1, 1)
    assert to_picture(image)[0, :, 0].tolist() == [0, 0, 1, 255]


def test_three_pictures_stand_side_by_side_above_their_details(pictures: tuple[Picture, Picture, Picture]) -> None:
    sheet = comparison(*pictures)
    assert sheet.shape == (2 * HEIGHT + GAP, 3 * WIDTH + 2 * GAP, 3)
    assert sheet.dtype == np.uint8
    assert (sheet[:, WIDTH : WIDTH + GAP] == 255).all()
    assert (sheet[HEIGHT : HEIGHT + GAP] == 255).all()
    for place, picture in enumerate(pictures):
        assert np.array_equal(sheet[HEIGHT // 2, place * (WIDTH + GAP)], picture[HEIGHT // 2, 0])


def test_the_detail_is_where_the_sharp_image_has_most_contrast(pictures: tuple[Picture, Picture, Picture]) -> None:
    detail = pictures[2][-12:, -16:].repeat(ZOOM, axis=0).repeat(ZOOM, axis=1)
    assert np.array_equal(below(comparison(*pictures), 2), detail)


def test_the_detail_is_the_same_place_whatever_was_restored(pictures: tuple[Picture, Picture, Picture]) -> None:
    blur, _, sharp = pictures
    noise = np.random.default_rng(1).integers(0, 256, sharp.shape, dtype=np.uint8)
    one, other = comparison(blur, sharp, sharp), comparison(blur, noise, sharp)
    assert np.array_equal(below(one, 2), below(other, 2))
    corner = noise[-12:, -16:].repeat(ZOOM, axis=0).repeat(ZOOM, axis=1)
    assert np.array_equal(below(other, 1), corner)


@pytest.mark.parametrize("size", [(3, 3), (3, 40), (41, 5)])
def test_small_and_long_images_are_shown_too(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    assert comparison(picture, picture, picture).shape == (2 * size[0] + GAP, 3 * size[1] + 2 * GAP, 3)


def test_windows_with_contrast_come_in_its_order_and_never_over_another() -> None:
    image = np.full((40, 60, 3), 128, np.uint8)
    draw = np.random.default_rng(0)
    image[0:10, 20:40] = draw.integers(0, 256, (10, 20, 3))
    image[30:40, 40:60] = draw.integers(100, 156, (10, 20, 3))
    places = busiest(image, 10, 20, 3)
    assert places[:2] == [(0, 20), (30, 40)]
    assert all(abs(a[0] - b[0]) >= 10 or abs(a[1] - b[1]) >= 20 for a in places for b in places if a != b)
    assert busiest(image, 40, 60, 2) == [(0, 0)]


def test_panels_lie_where_the_sheet_has_its_pictures() -> None:
    height, width, top = 30, 45, 7
    blur, restored, sharp = (np.full((height, width, 3), value, np.uint8) for value in (10, 120, 240))
    sheet = np.pad(comparison(blur, restored, sharp), ((top, 0), (0, 0), (0, 0)))
    for label, value in {"blur": 10, "restored": 120, "sharp": 240}.items():
        boxes = panels(height, width, top)
        left, upper, right, lower = boxes["detail"][label]
        assert (right - left, lower - upper) == (width, height)
        assert (sheet[upper:lower, left:right] == value).all()
        left, upper, right, lower = boxes["frame"][label]
        assert (right - left, lower - upper) == (width, height)
        assert (sheet[upper:lower, left:right][-5:, -5:] == value).all()  # beside label and mark
