"""Own data: any two folders."""

from pathlib import Path

import pytest

from deblur_lit.config import build, compose
from deblur_lit.data.folders import SPLITS, Folders


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def numbered(count: int, text: str = "{}.png") -> list[str]:
    return [text.format(f"{number:03d}") for number in range(count)]


def test_two_folders_are_divided_into_blocks_of_neighbours(tmp_path: Path) -> None:
    touch(tmp_path / "soft", *numbered(20))
    touch(tmp_path / "clean", *numbered(20, "{}.JPG"), "notes.txt")
    parts = [Folders(tmp_path, split, "soft", "clean", test_share=0.2) for split in SPLITS]
    assert [len(part) for part in parts] == [14, 2, 4]
    files = [pair.blur.stem for part in parts for pair in part.pairs]
    assert files == sorted(files) == [pair.sharp.stem for part in parts for pair in part.pairs]
    assert len(set(files)) == 20
    assert [set(part.sequences) for part in parts] == [{split} for split in SPLITS]


def test_blocks_are_in_order_of_numbers_not_of_letters(tmp_path: Path) -> None:
    for side in ("blur", "sharp"):
        touch(tmp_path / side, *(f"frame{number}.png" for number in range(1, 21)))
    assert [name.split("frame")[1] for name in Folders(tmp_path, "test").names] == ["19", "20"]
    assert [name.split("frame")[1] for name in Folders(tmp_path, "val").names] == ["17", "18"]


def test_folders_with_paths_of_their_own_are_divided_not_taken_whole_for_each_split(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for split in SPLITS:
        (root / split).mkdir(parents=True)
    for side in ("soft", "clean"):
        touch(tmp_path / side, *numbered(10))
    for blur, sharp in ((str(tmp_path / "soft"), str(tmp_path / "clean")), ("../soft", "../clean")):
        assert [len(Folders(root, split, blur, sharp)) for split in SPLITS] == [8, 1, 1]


def test_subfolders_stay_whole(tmp_path: Path) -> None:
    for side in ("blur", "sharp"):
        for name in "abcde":
            touch(tmp_path / side, *(f"{name}/{file}" for file in numbered(3)))
    parts = {split: Folders(tmp_path, split) for split in SPLITS}
    assert {split: sorted(set(part.sequences)) for split, part in parts.items()} == {
        "train": ["a", "b", "c"],
        "val": ["d"],
        "test": ["e"],
    }
    assert parts["test"].names == ["e/000", "e/001", "e/002"]
    assert set(Folders(tmp_path, "train", exclude=["b"]).sequences) == {"a", "c"}


@pytest.mark.parametrize(
    ("blur", "sharp"),
    [("{}_blur.png", "{}_sharp.png"), ("blur_{}.png", "gt_{}.png"), ("in-{}-b.png", "out-{}-s.jpg")],
)
def test_constant_beginnings_and_ends_of_names_do_not_matter(blur: str, sharp: str, tmp_path: Path) -> None:
    touch(tmp_path / "blur", *numbered(12, blur))
    touch(tmp_path / "sharp", *numbered(12, sharp))
    found = [pair for split in SPLITS for pair in Folders(tmp_path, split).pairs]
    expected = list(zip(numbered(12, blur), numbered(12, sharp), strict=True))
    assert [(pair.blur.name, pair.sharp.name) for pair in found] == expected


def test_what_does_not_match_is_listed_on_both_sides(tmp_path: Path) -> None:
    touch(tmp_path / "blur", "1.png", "2.png", "3.png")
    touch(tmp_path / "sharp", "2.png", "3.png", "4.png", "5.png")
    with pytest.raises(ValueError, match=r"1 blurred images .*1\.png.*2 sharp ones .*4\.png.*5\.png"):
        Folders(tmp_path, "train")


def test_names_that_only_differ_in_number_are_not_matched_by_order(tmp_path: Path) -> None:
    touch(tmp_path / "blur", "b_1.png", "b_2.png", "b_3.png")
    touch(tmp_path / "sharp", "s_1.png", "s_2.png", "s_4.png")
    with pytest.raises(ValueError, match="nor without what all names of a side begin and end with"):
        Folders(tmp_path, "train")


@pytest.mark.parametrize(("blur", "sharp", "matched"), [("x_blur", "x_sharp", True), ("cat", "dog", False)])
def test_a_single_pair_is_matched_by_its_name_too(blur: str, sharp: str, matched: bool, tmp_path: Path) -> None:
    touch(tmp_path / "test/blur", f"{blur}.png")
    touch(tmp_path / "test/sharp", f"{sharp}.png")
    if matched:
        assert Folders(tmp_path, "test").names == ["test/x"]
    else:
        with pytest.raises(ValueError, match="1 blurred images"):
            Folders(tmp_path, "test")


def test_one_folder_cannot_be_both_sides(tmp_path: Path) -> None:
    touch(tmp_path / "blur", *numbered(3))
    with pytest.raises(ValueError, match="would be blurred and sharp side"):
        Folders(tmp_path, "train", "blur", "blur")


def test_flat_splits_train_and_validate(tmp_path: Path) -> None:
    for split in SPLITS:
        for side in ("blur", "sharp"):
            touch(tmp_path / split / side, *numbered(2))
    module = build(compose("train", ["data=folder", f"data.root={tmp_path}"]).data.module)
    module.setup("fit")
    assert module.train_pairs.names == ["train/000", "train/001"]
    assert module.val_pairs.sequences == ["val", "val"]


def test_splits_that_are_there_are_used(tmp_path: Path) -> None:
    for side in ("blur", "sharp"):
        touch(tmp_path / f"train/{side}", "a/1.png", "b/1.png")
        touch(tmp_path / f"test/{side}", "c/1.png")
    assert Folders(tmp_path, "train").names == ["a/1", "b/1"]
    assert Folders(tmp_path, "test").names == ["c/1"]
    with pytest.raises(ValueError, match=r"has train and test, but no val/blur"):
        Folders(tmp_path, "val")


@pytest.mark.parametrize(
    ("shares", "count", "said"),
    [((0.1, 0.1), 2, "2 pairs cannot be divided"), ((0.5, 0.5), 9, "val_share=0.5"), ((0.0, 0.1), 9, "val_share=0")],
)
def test_shares_that_leave_nothing_are_refused(
    shares: tuple[float, float], count: int, said: str, tmp_path: Path
) -> None:
    for side in ("blur", "sharp"):
        touch(tmp_path / side, *numbered(count))
    with pytest.raises(ValueError, match=said):
        Folders(tmp_path, "train", val_share=shares[0], test_share=shares[1])


def test_empty_missing_and_ambiguous_folders_are_named(tmp_path: Path) -> None:
    touch(tmp_path / "blur", "1.png")
    with pytest.raises(FileNotFoundError, match="has no 'sharp'"):
        Folders(tmp_path, "train")
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="hold no images"):
        Folders(tmp_path, "train", "none", "none")
    touch(tmp_path / "blur", "1.jpg")
    with pytest.raises(ValueError, match="have one name"):
        Folders(tmp_path, "train", "blur", "blur")


def test_one_command_trains_on_own_data(tmp_path: Path) -> None:
    for side in ("b", "s"):
        touch(tmp_path / side, *numbered(10))
    words = ["data=folder", f"data.root={tmp_path}", "data.pairs.blur=b", "data.pairs.sharp=s"]
    module = build(compose("train", words).data.module)
    assert [len(pairs) for pairs in (module.train_pairs, module.val_pairs, module.test_pairs)] == [8, 1, 1]
    assert module.test_label == "own data test, 1 images"
    module.setup("fit")
