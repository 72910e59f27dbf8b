"""Which piece of which photograph makes which pair, and what is written."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image

from deblur_lit.data.folders import Folders
from deblur_lit.data.images import RGB
from deblur_lit.data.photo_exposure import PhotoRecipe
from deblur_lit.data.photo_pairs import build, cut, cut_askew, recolour
from deblur_lit.data.photographs import Photograph

RECIPE = PhotoRecipe(side=32, margin=8, frames=(3, 3), extent=(2.0, 4.0), substeps=1)
PAIRS = {"train": 5, "val": 2, "test": 1}


@pytest.fixture
def listed(tmp_path: Path) -> list[Photograph]:
    draw = np.random.default_rng(0)
    found = []
    for name, split, contrast in (("a", "train", 200), ("b", "train", 20), ("c", "val", 99), ("d", "test", 99)):
        path = tmp_path / f"{name}.png"
        Image.fromarray(draw.integers(0, contrast, (120, 150, 3), dtype=np.uint8)).save(path)
        found.append(Photograph(name, path, f"hash of {name}", split, 2))
    return found


def everything(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")}


def test_the_folder_can_be_trained_on_and_no_photograph_is_in_two_splits(
    tmp_path: Path, listed: list[Photograph]
) -> None:
    digest = build(tmp_path / "pairs", listed, RECIPE, PAIRS, seed=0)
    made = {split: Folders(tmp_path / "pairs", split) for split in PAIRS}
    assert {split: len(pairs) for split, pairs in made.items()} == PAIRS
    assert [set(pairs.sequences) for pairs in made.values()] == [{"a", "b"}, {"c"}, {"d"}]
    assert made["train"].read(0)[0].shape == (32, 32, 3)
    manifest = yaml.safe_load((tmp_path / "pairs" / "manifest.yaml").read_text(encoding="utf-8"))
    assert manifest["sha256"] == digest
    assert manifest["photographs"]["a"] == "hash of a"


def test_a_photograph_with_more_detail_makes_more_pairs(tmp_path: Path, listed: list[Photograph]) -> None:
    build(tmp_path / "pairs", listed, RECIPE, PAIRS, seed=0)
    names = Folders(tmp_path / "pairs", "train").sequences
    assert names.count("a") > names.count("b") > 0


def test_an_interrupted_build_goes_on_to_the_same_pairs(tmp_path: Path, listed: list[Photograph]) -> None:
    first = build(tmp_path / "pairs", listed, RECIPE, PAIRS, seed=0)
    before = everything(tmp_path / "pairs")
    (tmp_path / "pairs/train/a/blur/000001.png").unlink()
    assert build(tmp_path / "pairs", listed, RECIPE, PAIRS, seed=0) == first
    assert everything(tmp_path / "pairs") == before
    assert build(tmp_path / "others", listed, RECIPE, PAIRS, seed=1) != first


@pytest.mark.timeout(60)  # a process that waits for threads of its parent waits for ever
def test_pairs_are_made_where_opencv_has_begun_threads(tmp_path: Path, listed: list[Photograph]) -> None:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(4)
    try:
        cv2.warpAffine(np.zeros((2000, 2000, 3), np.float32), np.eye(2, 3), (2000, 2000))
        build(tmp_path / "pairs", listed, RECIPE, PAIRS, seed=0)
    finally:
        cv2.setNumThreads(threads)
    assert len(everything(tmp_path / "pairs")) == 2 * sum(PAIRS.values())


def test_pairs_without_blur_are_trained_on_and_not_scored(tmp_path: Path, listed: list[Photograph]) -> None:
    build(tmp_path / "pairs", listed, replace(RECIPE, sharp_share=1.0), PAIRS, seed=0)
    equal = {
        split: [np.array_equal(*pairs.read(index)) for index in range(len(pairs))]
        for split, pairs in ((split, Folders(tmp_path / "pairs", split)) for split in PAIRS)
    }
    assert all(equal["train"])
    assert not any(equal["val"] + equal["test"])


def test_other_settings_in_one_folder_are_refused(tmp_path: Path, listed: list[Photograph]) -> None:
    build(tmp_path / "pairs", listed, RECIPE, PAIRS, seed=0)
    with pytest.raises(ValueError, match="other values of seed"):
        build(tmp_path / "pairs", listed, RECIPE, PAIRS, seed=1)


def test_what_cannot_make_pairs_is_named(tmp_path: Path, listed: list[Photograph]) -> None:
    with pytest.raises(ValueError, match="serves for val"):
        build(tmp_path / "pairs", [photo for photo in listed if photo.split != "val"], RECIPE, PAIRS, seed=0)
    with pytest.raises(ValueError, match=r"photograph 'a' is .* too small"):
        build(tmp_path / "pairs", listed, PhotoRecipe(), PAIRS, seed=0)


@pytest.mark.parametrize("shape", [(48, 90, 3), (48, 48, 3), (200, 60, 3)])
def test_a_piece_has_its_size_whatever_the_photograph(shape: tuple[int, int, int]) -> None:
    draw = np.random.default_rng(3)
    image: RGB = draw.integers(0, 256, shape, dtype=np.uint8)
    for _ in range(8):
        piece = recolour(cut(image, 48, draw), draw)
        assert piece.shape == (48, 48, 3)
        assert piece.dtype == np.uint8


@pytest.mark.parametrize("shape", [(48, 90, 3), (48, 48, 3), (200, 60, 3), (300, 400, 3)])
def test_a_piece_askew_shows_nothing_beyond_the_photograph(shape: tuple[int, int, int]) -> None:
    draw = np.random.default_rng(3)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    image = np.stack([rows // 2, columns // 2, 0 * rows], axis=2).astype(np.uint8)
    for _ in range(20):
        piece = cut_askew(image, 48, draw, tilt=180.0, stretch=1.5)
        assert (piece.shape, piece.dtype) == ((48, 48, 3), np.uint8)
        for channel in range(2):  # a plane stays a plane where nothing is mirrored at a border
            for axis in range(2):
                steps = np.diff(piece[..., channel].astype(float), axis=axis)
                halves = np.array_split(steps, 2, axis=axis)
                assert halves[0].mean() == pytest.approx(halves[1].mean(), abs=0.1)


def test_pieces_askew_show_edges_of_many_directions_at_many_widths() -> None:
    stripes = np.tile(128 + 100 * np.sin(np.arange(400) / 3), (400, 1))[..., None].repeat(3, axis=2).astype(np.uint8)
    draw = np.random.default_rng(0)

    def angle(piece: RGB) -> float:
        down, across = np.gradient(piece[..., 1].astype(float))
        return float(0.5 * np.arctan2(2 * (down * across).mean(), (across**2 - down**2).mean()))

    upright = {round(abs(angle(cut(stripes, 64, draw))), 1) for _ in range(20)}
    assert upright <= {0.0, 1.6}
    askew = [angle(cut_askew(stripes, 64, draw, tilt=180.0, stretch=1.5)) for _ in range(60)]
    assert np.histogram(askew, bins=6, range=(-np.pi / 2, np.pi / 2))[0].min() >= 3


def test_the_piece_with_most_detail_is_taken_more_often() -> None:
    image = np.full((64, 640, 3), 90, np.uint8)
    image[:, 320:] = np.random.default_rng(0).integers(0, 256, (64, 320, 3), dtype=np.uint8)
    draw = np.random.default_rng(1)
    detailed = sum(cut(image, 64, draw).std() > 5 for _ in range(40))
    assert detailed > 30  # of places drawn evenly half would be flat
