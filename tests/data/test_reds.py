"""REDS in the nestings that projects use."""

import shutil
from pathlib import Path

import pytest

from deblur_lit.config import build, compose
from deblur_lit.data.reds import Reds


def clip(folder: Path, name: str, suffix: str = ".png") -> None:
    """Write the names of twenty frames."""
    (folder / name).mkdir(parents=True)
    for frame in range(20):
        (folder / name / f"{frame:08d}{suffix}").touch()


def write(root: Path, nested: bool = False, kind: str = "blur", suffix: str = ".png") -> Path:
    """Two train clips and one val clip."""
    for split, clips in (("train", ["000", "239"]), ("val", ["000"])):
        top = root / split if nested else root
        for name in clips:
            clip(top / f"{split}_{kind}", name, suffix)
            clip(top / f"{split}_sharp", name)
    return root


@pytest.mark.parametrize("nested", [False, True])
def test_both_nestings_hold_the_same_pairs(nested: bool, tmp_path: Path) -> None:
    root = write(tmp_path, nested)
    train = Reds(root, "train")
    assert len(train) == 40
    assert train.names[:2] == ["000/00000000", "000/00000001"]
    assert set(train.sequences) == {"000", "239"}
    assert {pair.sharp.parents[1].name for pair in train.pairs} == {"train_sharp"}


def test_compressed_frames_match_lossless_ones(tmp_path: Path) -> None:
    root = write(tmp_path, kind="blur_jpeg", suffix=".jpg")
    assert {pair.blur.suffix + pair.sharp.suffix for pair in Reds(root, "val", "blur_jpeg").pairs} == {".jpg.png"}


def test_of_chosen_splits_every_tenth_frame_is_read(tmp_path: Path) -> None:
    root = write(tmp_path)
    assert Reds(root, "val", tenth=["val"]).names == ["000/00000009", "000/00000019"]
    assert len(Reds(root, "train", tenth=["val"])) == 40


def test_val_clips_copied_into_train_are_not_trained_on(tmp_path: Path) -> None:
    for side in ("blur", "sharp"):
        for name in ("001", "240", "269"):
            clip(tmp_path / f"train_{side}", name)
    assert set(Reds(tmp_path, "train").sequences) == {"001"}
    assert set(Reds(tmp_path, "val").sequences) == {"240", "269"}


def test_clips_behind_the_copied_ones_are_of_neither_split(tmp_path: Path) -> None:
    for side in ("blur", "sharp"):
        for name in ("001", "240", "270"):
            clip(tmp_path / f"train_{side}", name)
    assert set(Reds(tmp_path, "train").sequences) == {"001"}
    assert set(Reds(tmp_path, "val").sequences) == {"240"}


@pytest.mark.parametrize(("side", "counts"), [("blur", "1 clips, .*_sharp 2"), ("sharp", "2 clips, .*_sharp 1")])
def test_a_clip_on_one_side_alone_is_named(side: str, counts: str, tmp_path: Path) -> None:
    root = write(tmp_path)
    shutil.rmtree(root / f"train_{side}" / "239")
    with pytest.raises(ValueError, match=rf"{counts}: 239 lack their partner"):
        Reds(root, "train")


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    root = write(tmp_path)
    with pytest.raises(ValueError, match="test_sharp is not published"):
        Reds(root, "test")
    with pytest.raises(FileNotFoundError, match="train_blur_comp"):
        Reds(root, "train", "blur_comp")
    (root / "val_sharp/000/00000003.png").unlink()
    with pytest.raises(ValueError, match=r"1 of 20 files have no partner .*00000003\.png"):
        Reds(root, "val")


@pytest.mark.parametrize(("data", "kind"), [("reds", "blur"), ("reds_jpeg", "blur_jpeg")])
def test_val_is_scored_and_train_clips_are_held_out(
    data: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_ROOT", str(tmp_path))
    for split, clips in (("train", ["000", "011", "015", "020", "100"]), ("val", ["000"])):
        for name in clips:
            clip(tmp_path / "REDS" / f"{split}_{kind}", name)
            clip(tmp_path / "REDS" / f"{split}_sharp", name)
    module = build(compose("train", [f"data={data}"]).data.module)
    assert set(module.train_pairs.sequences) == {"100"}
    assert set(module.val_pairs.sequences) == {"000", "011", "015", "020"}
    assert module.test_pairs.names == ["000/00000009", "000/00000019"]
    assert {pair.blur.parents[1].name for pair in module.test_pairs.pairs} == {f"val_{kind}"}
