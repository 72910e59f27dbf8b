import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deblur_lit.config import build, compose
from deblur_lit.data.faults import DataError
from deblur_lit.data.images import ImageError, read_rgb, write_png
from deblur_lit.data.paired_folder import PairedFolder
from deblur_lit.data.realblur import RealBlur

MakeTree = Callable[..., Path]
NAMES = ["GOPR01_11_00/000001", "GOPR01_11_00/000002", "GOPR02_11_00/000001"]


@pytest.fixture
def root(make_tree: MakeTree) -> Path:
    return make_tree({"train": {"GOPR01_11_00": 2, "GOPR02_11_00": 1}})


def flatten(root: Path, blur: str, sharp: str, mark: str) -> Path:
    """Copy a GoPro tree into one of the flat layouts."""
    flat = root.with_name("flat")
    for path in root.glob("*/*/*/*.png"):
        split, sequence, side, frame = path.relative_to(root).parts
        folder = flat / split / {"blur": blur, "sharp": sharp}[side]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / f"{sequence}{mark}{frame}")
    return flat


def test_pairs_are_named_by_sequence_and_frame_in_order(root: Path) -> None:
    pairs = PairedFolder(root, "train")
    assert len(pairs) == 3
    assert pairs.names == NAMES
    assert pairs.sequences == [name.split("/")[0] for name in NAMES]
    assert pairs.size(0) == (40, 48)


def test_blur_and_sharp_are_files_of_one_name(root: Path) -> None:
    pairs = PairedFolder(root, "train")
    for index, name in enumerate(pairs.names):
        sequence, frame = name.split("/")
        blur, sharp = pairs.read(index)
        assert np.array_equal(sharp, read_rgb(root / "train" / sequence / "sharp" / f"{frame}.png"))
        assert np.array_equal(blur, 255 - sharp)


@pytest.mark.parametrize(("blur", "sharp", "mark"), [("blur", "sharp", "_"), ("input", "target", "-")])
def test_every_layout_gives_the_same_pairs(root: Path, blur: str, sharp: str, mark: str) -> None:
    official = PairedFolder(root, "train")
    flat = PairedFolder(flatten(root, blur, sharp, mark), "train")
    assert flat.names == official.names
    assert flat.sequences == official.sequences
    assert flat.fingerprint() == official.fingerprint()
    assert all(np.array_equal(flat.read(i), official.read(i)) for i in range(3))


def test_a_flat_name_without_mark_belongs_to_the_sequence_of_its_split(tmp_path: Path) -> None:
    for side in ("blur", "sharp"):
        (tmp_path / "test" / side).mkdir(parents=True)
        write_png(tmp_path / "test" / side / "0001.png", np.zeros((4, 4, 3), np.uint8))
    assert PairedFolder(tmp_path, "test").names == ["test/0001"]


def test_suffixes_may_differ_within_a_pair_and_other_files_are_ignored(root: Path) -> None:
    from PIL import Image

    folder = root / "train" / "GOPR02_11_00"
    Image.fromarray(read_rgb(folder / "blur" / "000001.png")).save(folder / "blur" / "000001.JPG")
    (folder / "blur" / "000001.png").unlink()
    (folder / "blur" / "frames 11 offset 0.txt").write_text("")
    (folder / "blur" / "._000001.png").write_text("")
    pairs = PairedFolder(root, "train")
    assert pairs.names == NAMES
    assert pairs.pairs[2].blur.name == "000001.JPG"


def test_another_blur_folder_can_be_chosen(root: Path) -> None:
    for sequence in (root / "train").iterdir():
        shutil.copytree(sequence / "sharp", sequence / "blur_gamma")
    blur, sharp = PairedFolder(root, "train", blur_folder="blur_gamma").read(0)
    assert np.array_equal(blur, sharp)


def test_a_crop_is_the_window_of_the_whole_frame(root: Path) -> None:
    pairs = PairedFolder(root, "train")
    whole, crop = pairs.read(1), pairs.read(1, top=3, left=5, height=20, width=30)
    for image, part in zip(whole, crop, strict=True):
        assert np.array_equal(part, image[3:23, 5:35])
        assert part.flags.c_contiguous


@pytest.mark.parametrize("window", [(30, 0, 20, 20), (0, 40, 20, 20), (-1, 0, 20, 20)])
def test_a_crop_outside_the_image_is_an_error(root: Path, window: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"000001\.png: rows .* leave the 48x40 image"):
        PairedFolder(root, "train").read(0, *window)


def test_sequences_and_exclude_split_the_data_without_rest_or_overlap(root: Path) -> None:
    kept = PairedFolder(root, "train", sequences=["GOPR02_11_00"])
    rest = PairedFolder(root, "train", exclude=["GOPR02_11_00"])
    assert kept.names == NAMES[2:]
    assert rest.names == NAMES[:2]


@pytest.mark.parametrize("selection", [{"sequences": ["GOPR02_11_0"]}, {"exclude": ["GOPR02_11_0"]}])
def test_an_unknown_sequence_is_an_error_with_the_nearest(root: Path, selection: dict[str, list[str]]) -> None:
    with pytest.raises(ValueError, match=r"no sequence 'GOPR02_11_0'; did you mean 'GOPR02_11_00'"):
        PairedFolder(root, "train", **selection)


def test_leaving_out_every_sequence_is_an_error(root: Path) -> None:
    with pytest.raises(ValueError, match="no pair is left of its 2 sequences"):
        PairedFolder(root, "train", exclude=["GOPR01_11_00", "GOPR02_11_00"])


@pytest.mark.parametrize("side", ["blur", "sharp"])
def test_a_missing_partner_is_an_error_that_lists_files(root: Path, side: str) -> None:
    (root / "train" / "GOPR01_11_00" / side / "000002.png").unlink()
    with pytest.raises(ValueError, match=rf"1 of 2 files have no partner .*GOPR01_11_00/{side}: .*000002\.png"):
        PairedFolder(root, "train")


def test_two_files_of_one_stem_are_an_error(root: Path) -> None:
    folder = root / "train" / "GOPR02_11_00" / "blur"
    shutil.copy(folder / "000001.png", folder / "000001.jpg")
    with pytest.raises(ValueError, match=r"000001\.jpg and .*000001\.png have one name"):
        PairedFolder(root, "train")


def test_a_misspelt_folder_is_an_error_with_the_nearest(root: Path) -> None:
    (root / "train" / "GOPR02_11_00" / "blur").rename(root / "train" / "GOPR02_11_00" / "blurr")
    with pytest.raises(FileNotFoundError, match=r"has no 'blur'; did you mean 'blurr'"):
        PairedFolder(root, "train")


@pytest.mark.parametrize(("wrong", "right"), [("gopo/train", "gopro"), ("gopro/trian", "train")])
def test_a_missing_root_or_split_names_the_nearest_and_the_key(root: Path, wrong: str, right: str) -> None:
    folder, split = wrong.split("/")
    with pytest.raises(FileNotFoundError, match=rf"did you mean '{right}'\?.*DATA_ROOT.*data\.root"):
        PairedFolder(root.with_name(folder), split)


def test_one_emptied_sequence_is_an_error_that_knows_of_moved_files(root: Path) -> None:
    folder = root / "train" / "GOPR01_11_00"
    for path in folder.glob("*/*.png"):
        path.unlink()
    with pytest.raises(ValueError, match=r"GOPR01_11_00 has no pairs of \.png\S* \S+ \.jpeg in blur/ and sharp/$"):
        PairedFolder(root, "train")
    (folder / "blur_gamma").mkdir()
    write_png(folder / "blur_gamma" / "000001.png", np.zeros((4, 4, 3), np.uint8))
    for blur in ("blur", "blur_gamma"):
        with pytest.raises(ValueError, match=r"GOPR01_11_00 has no .*MIMO-UNet's preprocessing moves"):
            PairedFolder(root, "train", blur_folder=blur)
    for side in ("blur", "sharp"):
        (folder / side).rmdir()
    with pytest.raises(ValueError, match=r"GOPR01_11_00 has no .*MIMO-UNet's preprocessing moves"):
        PairedFolder(root, "train")


def test_a_split_of_empty_folders_is_an_error(tmp_path: Path) -> None:
    for side in ("blur", "sharp"):
        (tmp_path / "train" / side).mkdir(parents=True)
    with pytest.raises(ValueError, match=r"train has no pairs of \.png"):
        PairedFolder(tmp_path, "train")


def test_restormers_test_tree_is_read_where_it_keeps_gopro(root: Path) -> None:
    flat = flatten(root, "input", "target", "-")
    (flat / "test/HIDE/input").mkdir(parents=True)
    (flat / "train").rename(flat / "test/GoPro")
    pairs = PairedFolder(flat, "test", subset="GoPro")
    assert pairs.names == NAMES
    assert pairs.pairs[0].blur.parent == flat / "test/GoPro/input"


@pytest.mark.parametrize(
    ("folders", "settings", "cause"),
    [
        (["GoPro/input_crops", "GoPro/target_crops"], {"subset": "GoPro"}, "crops, eight of each frame"),
        (["blur_crops", "sharp_crops"], {}, "crops, eight of each frame"),
        (["input", "target"], {"blur_folder": "blur_gamma"}, "flat copy hold `blur`: use data=gopro"),
        (["GOPR0372_07_00"], {}, "GOPRO_Large_all is the source frames"),
    ],
)
def test_what_other_trees_hold_is_said(
    folders: list[str], settings: dict[str, str], cause: str, tmp_path: Path
) -> None:
    for folder in folders:
        (tmp_path / "train" / folder).mkdir(parents=True)
        write_png(tmp_path / "train" / folder / "000047.png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ValueError, match=f"has no pairs of .*{cause}"):
        PairedFolder(tmp_path, "train", **settings)


def test_a_partial_download_is_an_error_with_both_counts(root: Path) -> None:
    flat = flatten(root, "input", "target", "-")
    (flat / "train/input/GOPR02_11_00-000001.png").unlink()
    with pytest.raises(ValueError, match=r"1 of 3 files have no partner .* 3 files against 2 complete the"):
        PairedFolder(flat, "train")


def test_two_layouts_in_one_split_are_an_error(root: Path) -> None:
    for side in ("input", "target"):
        (root / "train" / side).mkdir()
    with pytest.raises(ValueError, match="train mixes layouts"):
        PairedFolder(root, "train")


def test_different_sizes_are_an_error_when_the_pair_is_read(root: Path) -> None:
    path = root / "train" / "GOPR02_11_00" / "sharp" / "000001.png"
    write_png(path, read_rgb(path)[:-1])
    pairs = PairedFolder(root, "train")
    with pytest.raises(ImageError, match=r"blur/000001\.png is 48x40 but .*sharp/000001\.png is 48x39"):
        pairs.read(2)


@pytest.mark.parametrize("change", ["pixel", "name", "swap"])
def test_the_fingerprint_changes_with_any_change(make_tree: MakeTree, change: str) -> None:
    root = make_tree({"train": {"a": 2}}, height=300, width=300)  # files beyond what is hashed in full
    before = PairedFolder(root, "train").fingerprint()
    assert before == PairedFolder(root, "train").fingerprint()
    folder = root / "train" / "a"
    if change == "pixel":
        image = read_rgb(folder / "blur" / "000001.png")
        assert (folder / "blur" / "000001.png").stat().st_size > 2 * 65536
        image[150, 150, 0] ^= 1
        write_png(folder / "blur" / "000001.png", image)
    elif change == "name":
        folder.rename(folder.with_name("b"))
    else:
        (folder / "blur").rename(folder / "x")
        (folder / "sharp").rename(folder / "blur")
        (folder / "x").rename(folder / "sharp")
    assert PairedFolder(root, "train").fingerprint() != before


@pytest.mark.shared
def test_the_real_frames_are_read(shared: Path) -> None:
    pairs = PairedFolder(shared / "realdata" / "gopro", "test")
    assert pairs.names == [
        "GOPR0384_11_00/000001",
        "GOPR0384_11_00/000014",
        "UNNAMED_SCENE_2/000001",
        "UNNAMED_SCENE_3/000001",
    ]
    assert len(set(pairs.sequences)) == 3
    blur, sharp = pairs.read(0)
    assert blur.shape == sharp.shape == (720, 1280, 3)
    assert pairs.size(0) == (720, 1280)
    assert 1 < np.abs(blur.astype(float) - sharp).mean() < 20  # neither a copy nor another picture


@pytest.fixture
def realblur(tmp_path: Path) -> Path:
    folder = "RealBlur-J_ECC_IMCORR_centroid_itensity_ref"
    lines = []
    for number, scene, frame in ((1, "scene230", 7), (2, "scene230", 10), (3, "scene002", 2)):
        for side in ("gt", "blur"):
            path = tmp_path / folder / scene / side / f"{side}_{frame}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_png(path, np.full((8 + number, 9, 3), 10 * number + (side == "gt"), np.uint8))
        lines.append(f"{folder}/{scene}/gt/gt_{frame}.png {folder}/{scene}/blur/blur_{frame}.png")
    (tmp_path / "RealBlur_J_test_list.txt").write_text(" \n".join(lines))  # as the authors', spaces and all
    return tmp_path


def test_realblur_follows_its_list_in_order_of_scene_and_number(realblur: Path) -> None:
    pairs = RealBlur(realblur, "test")
    assert pairs.names == ["scene002/2", "scene230/7", "scene230/10"]
    assert pairs.sequences == ["scene002", "scene230", "scene230"]
    assert [pairs.size(i) for i in range(3)] == [(11, 9), (9, 9), (10, 9)]
    blur, sharp = pairs.read(1)
    assert (blur.max(), sharp.max()) == (10, 11)
    assert RealBlur(realblur, "test", exclude=["scene230"]).names == ["scene002/2"]


def test_realblur_names_a_missing_list_file_or_pair(realblur: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no list RealBlur_R_test_list\.txt; did you mean 'RealBlur_J"):
        RealBlur(realblur, "test", kind="R")
    next(realblur.glob("*/scene002/blur/*")).unlink()
    with pytest.raises(DataError, match=r"1 files of the test list are missing: .*scene002/blur/blur_2\.png"):
        RealBlur(realblur, "test")


def test_realblur_refuses_a_list_of_the_other_kind_and_doubles(realblur: Path) -> None:
    shutil.copy(realblur / "RealBlur_J_test_list.txt", realblur / "RealBlur_R_test_list.txt")
    with pytest.raises(ValueError, match=r"RealBlur_R_test_list\.txt, line 1: .* of RealBlur-R"):
        RealBlur(realblur, "test", kind="R")
    text = (realblur / "RealBlur_J_test_list.txt").read_text()
    (realblur / "RealBlur_J_test_list.txt").write_text(f"{text} \n{text}")
    with pytest.raises(ValueError, match="line 4: scene230/7 is listed twice"):
        RealBlur(realblur, "test")


@pytest.mark.parametrize("scene", ["scene244_reflect", "scene244", "other"])
def test_realblur_refuses_scenes_of_the_tele_extension(realblur: Path, scene: str) -> None:
    path = realblur / "RealBlur_J_test_list.txt"
    path.write_text(path.read_text().replace("scene002", scene))
    with pytest.raises(ValueError, match=rf"line 3: {scene} is of the Tele extension"):
        RealBlur(realblur, "test")


def test_realblur_refuses_a_pair_of_both_kinds(realblur: Path) -> None:
    path = realblur / "RealBlur_J_test_list.txt"
    sharp, blur = path.read_text().splitlines()[0].split()
    path.write_text(f"{sharp} {blur.replace('RealBlur-J_ECC', 'RealBlur-R_BM3D_ECC')}")
    with pytest.raises(ValueError, match=r"line 1: .* is not a sharp and a blurred file of RealBlur-J"):
        RealBlur(realblur, "test")


def test_realblur_has_lists_of_other_systems_line_ends(realblur: Path) -> None:
    path = realblur / "RealBlur_J_test_list.txt"
    names = RealBlur(realblur, "test").names
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n\r\n")
    assert RealBlur(realblur, "test").names == names


def test_realblur_leaves_out_reference_pairs_when_asked(realblur: Path) -> None:
    text = (realblur / "RealBlur_J_test_list.txt").read_text()
    (realblur / "RealBlur_J_train_list.txt").write_text(text.replace("_7.png", "_1.png"))
    for side in ("gt", "blur"):
        next(realblur.glob(f"*/scene230/{side}/*_7.png")).rename(
            realblur / f"RealBlur-J_ECC_IMCORR_centroid_itensity_ref/scene230/{side}/{side}_1.png"
        )
    assert RealBlur(realblur, "train").names == ["scene002/2", "scene230/1", "scene230/10"]
    assert RealBlur(realblur, "train", reference_pairs=False).names == ["scene002/2", "scene230/10"]


def test_realblur_without_lists_says_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "test" / "input").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"has no list RealBlur_J_test_list\.txt.*archive.*data=folder"):
        RealBlur(tmp_path, "test")


def test_gopro_gamma_reads_the_other_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_ROOT", str(tmp_path))
    for side in ("blur", "blur_gamma", "sharp"):
        (tmp_path / "GOPRO_Large/test/a" / side).mkdir(parents=True)
        (tmp_path / "GOPRO_Large/test/a" / side / "000001.png").touch()
    [pair] = build(compose("train", ["data=gopro_gamma"]).data.module).test_pairs.pairs
    assert (pair.blur.parent.name, pair.sharp.parent.name) == ("blur_gamma", "sharp")


def test_realblur_r_reads_its_own_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_ROOT", str(tmp_path))
    scene = "RealBlur-R_BM3D_ECC_IMCORR_centroid_itensity_ref/scene001"
    files = [f"{scene}/gt/gt_2.png", f"{scene}/blur/blur_2.png"]
    for file in files:
        (tmp_path / "RealBlur" / file).parent.mkdir(parents=True)
        (tmp_path / "RealBlur" / file).touch()
    (tmp_path / "RealBlur/RealBlur_R_test_list.txt").write_text(" ".join(files))
    module = build(compose("train", ["data=realblur_r"]).data.module)
    assert module.test_pairs.names == ["scene001/2"]
    assert module.test_label.startswith("RealBlur-R, 1 frames")
