"""HIDE as its archive and its flat copy lie on disk."""

from pathlib import Path

import pytest

from deblur_lit.config import build, compose
from deblur_lit.data.hide import Hide

NAME = "10fromGOPR1096.MP4"  # names hold dots


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Three blurred test files, one of train, and all their sharp ones in one folder."""
    root = tmp_path / "HIDE_dataset"
    touch(root / f"test/test-close-ups/{NAME}.png", root / "test/test-close-ups/2.png", root / "test/near.txt")
    touch(root / "test/test-long-shot/3.png", root / "train/4.png", root / "train.txt")
    touch(*(root / f"GT/{name}.png" for name in (NAME, "2", "3", "4")))
    return root


def test_both_kinds_of_shots_are_one_test_split(archive: Path) -> None:
    pairs = Hide(archive, "test")
    assert pairs.names == ["test-close-ups/" + NAME, "test-close-ups/2", "test-long-shot/3"]
    assert all(pair.blur.name == pair.sharp.name for pair in pairs.pairs)
    assert {pair.sharp.parent for pair in pairs.pairs} == {archive / "GT"}
    assert Hide(archive, "train").names == ["train/4"]
    assert Hide(archive, "test", sequences=["test-long-shot"]).names == ["test-long-shot/3"]


@pytest.mark.parametrize("place", ["test", "test/HIDE"])
def test_the_flat_copies_have_the_same_stems(place: str, tmp_path: Path) -> None:
    for side in ("input", "target"):
        touch(tmp_path / f"{place}/{side}/{NAME}.png", tmp_path / f"{place}/{side}/2.png")
    (tmp_path / "test/GoPro").mkdir()
    assert Hide(tmp_path, "test").names == ["test/" + NAME, "test/2"]


def test_a_blurred_file_without_sharp_one_is_named(archive: Path) -> None:
    (archive / "GT/3.png").unlink()
    with pytest.raises(ValueError, match=r"1 of 3 files have no partner .*test-long-shot/3\.png"):
        Hide(archive, "test")


def test_missing_folders_and_empty_splits_are_named(archive: Path) -> None:
    with pytest.raises(FileNotFoundError, match="has no 'tset'; did you mean 'test'"):
        Hide(archive, "tset")
    (archive / "val").mkdir()
    with pytest.raises(ValueError, match="val holds no images"):
        Hide(archive, "val")


def test_hide_is_only_tested_on(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_ROOT", str(archive.parent))
    data = build(compose("train", ["data=hide"]).data.module)
    assert data.test_label == "HIDE, 3 frames (not the test set of 2025)"
    with pytest.raises(ValueError, match="HIDE has no training split"):
        _ = data.train_pairs
