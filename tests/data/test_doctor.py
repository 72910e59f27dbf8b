"""The data doctor: finds what is wrong, with the words that training stops with, and nothing on a clean set."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from deblur_lit.cli import main
from deblur_lit.config import build
from deblur_lit.data.doctor import Report, examine
from deblur_lit.data.faults import KINDS, DataError
from deblur_lit.data.images import RGB, ImageError, read_rgb, write_png
from deblur_lit.data.mini import read_scene
from deblur_lit.data.named import data_config, open_split
from deblur_lit.data.response import conservation, verdict
from deblur_lit.data.synthesis import Camera, Response, synthesize

SEQUENCES = {"train": ("facade", "leaf", "moss"), "test": ("boats",)}
FRAMES = 2
CAMERA = Camera(frames=(9, 9), speed=(1.0, 1.3), margin=22)


def write_set(root: Path, response: Response = "identity", places: tuple[str, ...] = ("blur",)) -> Path:
    """Write real photographs with real motion in GoPro's layout."""
    for split, scenes in SEQUENCES.items():
        for number, scene in enumerate(scenes):
            generator = torch.Generator().manual_seed(number)
            for frame in range(1, FRAMES + 1):
                photograph = read_scene(scene)[0][40 * frame : 40 * frame + 156, 60:264]
                blur, sharp = synthesize(photograph, generator, CAMERA, response)
                folder = root / split / f"GOPR{number}_{split}"
                for place, image in (*((place, blur) for place in places), ("sharp", sharp)):
                    (folder / place).mkdir(parents=True, exist_ok=True)
                    write_png(folder / place / f"{frame:06d}.png", image)
    return root


@pytest.fixture(scope="session")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[Response, Path]:
    folder = tmp_path_factory.mktemp("sets")
    return {
        "identity": write_set(folder / "linear"),
        "gamma": write_set(folder / "gamma", "gamma", ("blur", "blur_gamma")),
    }


@pytest.fixture
def root(sets: dict[Response, Path], tmp_path: Path) -> Path:
    """A copy of the clean linear set, for one test to damage."""
    return Path(shutil.copytree(sets["identity"], tmp_path / "gopro"))


def facts(name: str, root: Path) -> Any:
    """The configuration of a data set whose published sequences are those that `write_set` writes."""
    data = data_config(name, root)
    for split, scenes in SEQUENCES.items():
        sequences = {f"GOPR{number}_{split}": [1, FRAMES] for number in range(len(scenes))}
        published = {"pairs": FRAMES * len(scenes), "names_sha256": None, "sequences": sequences}
        OmegaConf.update(data, f"official.splits.{split}", published, merge=False)
    data.official.size = [112, 160]
    return data


def look(root: Path, name: str = "gopro", subset: bool = False) -> Report:
    return examine(facts(name, root), ["train", "test"], subset, 2, lambda split, done, total: None)


def kinds(report: Report) -> set[str]:
    return {finding.kind for finding in report.findings}


def test_a_clean_set_has_no_fault(root: Path) -> None:
    report = look(root)
    assert (report.findings, report.notices) == ([], [])
    assert {split: (found.pairs, found.sequences, found.expected) for split, found in report.splits.items()} == {
        "train": (6, 3, 6),
        "test": (2, 1, 2),
    }
    assert {found.layout for found in report.splits.values()} == {"<sequence>/{blur,sharp}/<frame>"}


@pytest.mark.parametrize("name", ["mini", "mini_gamma"])
def test_the_embedded_benchmark_is_clean_and_told_apart(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    data = data_config(name)
    data.root.splits = {"train": ["clock", "leaf"], "test": ["boats"]}
    data.root.pairs_per_scene = {"train": 2, "test": 1}
    report = examine(data, ["train", "test"], False, 2, lambda split, done, total: None)
    assert not report.findings
    assert {found.response for found in report.splits.values()} == {"linear" if name == "mini" else "gamma"}


def first(root: Path, side: str = "blur") -> Path:
    return root / "train/GOPR0_train" / side / "000001.png"


def cut(root: Path) -> None:
    first(root).write_bytes(first(root).read_bytes()[:-300])


def cut_header(root: Path) -> None:
    first(root).write_bytes(first(root).read_bytes()[:20])


def change_depth(root: Path) -> None:
    cv2.imwrite(str(first(root)), read_rgb(first(root)).astype(np.uint16) * 257)


def palette(root: Path) -> None:
    Image.open(first(root)).quantize(16).save(first(root))


def grey(root: Path) -> None:
    Image.open(first(root)).convert("L").save(first(root))


def alpha(root: Path) -> None:
    Image.open(first(root)).convert("RGBA").save(first(root))


def remove_sharp(root: Path) -> None:
    first(root, "sharp").unlink()


def remove_pair(root: Path) -> None:
    first(root).unlink()
    first(root, "sharp").unlink()


def remove_sequence(root: Path) -> None:
    shutil.rmtree(root / "train/GOPR1_train")


def resize(root: Path) -> None:
    write_png(first(root, "sharp"), np.ascontiguousarray(read_rgb(first(root, "sharp"))[:-4]))


def resize_both(root: Path) -> None:
    for side in ("blur", "sharp"):
        write_png(first(root, side), np.ascontiguousarray(read_rgb(first(root, side))[:-4]))


def one_colour(root: Path) -> None:
    write_png(first(root), np.full((112, 160, 3), (9, 8, 7), np.uint8))


def copy_side(root: Path) -> None:
    shutil.copyfile(first(root, "sharp"), first(root, "blur"))


def swap(root: Path) -> None:
    for sequence in (root / "train").iterdir():
        (sequence / "blur").rename(sequence / "other")
        (sequence / "sharp").rename(sequence / "blur")
        (sequence / "other").rename(sequence / "sharp")


def repeat(root: Path) -> None:
    for side in ("blur", "sharp"):
        shutil.copyfile(first(root, side), first(root, side).with_name("000002.png"))


def leak_image(root: Path) -> None:
    shutil.copyfile(first(root), root / "test/GOPR0_test/blur/000001.png")
    shutil.copyfile(first(root, "sharp"), root / "test/GOPR0_test/sharp/000001.png")


def leak_sequence(root: Path) -> None:
    (root / "test/GOPR0_test").rename(root / "test/GOPR0_train")


def mix_layouts(root: Path) -> None:
    shutil.copytree(first(root).parent, root / "train/blur")


def other_version(root: Path) -> None:
    shutil.rmtree(root)
    write_set(root, "gamma")


def two_versions(root: Path) -> None:
    gamma = write_set(root.parent / "gamma", "gamma")
    shutil.rmtree(root / "train/GOPR0_train")
    shutil.copytree(gamma / "train/GOPR0_train", root / "train/GOPR0_train")


def no_image(root: Path) -> None:
    first(root).write_text("<html>404 not found</html>")


def huge_header(root: Path) -> None:
    content = bytearray(first(root).read_bytes())
    content[16:24] = struct.pack(">II", 160, 113)  # one row more than there is
    first(root).write_bytes(content)


FAULTS: list[tuple[Callable[[Path], object], str]] = [
    (cut, "truncated"),
    (cut_header, "truncated"),
    (huge_header, "truncated"),
    (lambda root: first(root).write_bytes(b""), "empty"),
    (no_image, "no image"),
    (change_depth, "format"),
    (palette, "format"),
    (grey, "format"),
    (alpha, "format"),
    (remove_sharp, "partner"),
    (remove_pair, "count"),
    (remove_sequence, "count"),
    (resize, "size"),
    (resize_both, "size"),
    (one_colour, "constant"),
    (copy_side, "identical"),
    (swap, "swapped"),
    (repeat, "duplicate"),
    (leak_image, "leak"),
    (leak_sequence, "leak"),
    (mix_layouts, "layout"),
    (other_version, "response"),
    (two_versions, "response"),
]


def name_of(fault: object) -> str:
    return getattr(fault, "__name__", str(fault)).strip("<>")


@pytest.mark.parametrize(("damage", "kind"), FAULTS, ids=name_of)
def test_every_fault_is_found(damage: Callable[[Path], object], kind: str, root: Path) -> None:
    damage(root)
    report = look(root)
    assert kind in kinds(report)
    assert kinds(report) <= set(KINDS)
    # What a fault brings with it: a file that is lost is missing from the count too, and so on.
    brings = {"partner": {"count"}, "leak": {"count"}, "swapped": {"response"}}
    assert kinds(report) - {kind} <= brings.get(kind, set())


@pytest.mark.parametrize(
    ("damage", "kind"),
    [fault for fault in FAULTS if fault[1] in ("truncated", "empty", "no image", "format", "size")],
    ids=name_of,
)
def test_training_meets_the_same_words(damage: Callable[[Path], object], kind: str, root: Path) -> None:
    damage(root)
    pairs = open_split(facts("gopro", root), "train")
    found = [finding.message for finding in look(root).findings if finding.kind == kind]
    if damage is resize_both:  # a size of its own is no fault to a loader
        assert pairs.read(0)[0].shape == (108, 160, 3)
        return
    with pytest.raises(ImageError) as met:
        pairs.read(0)
    assert str(met.value) in found
    assert met.value.kind == kind
    assert "GOPR0_train" in str(met.value)


def test_opening_meets_the_words_of_a_lost_partner(root: Path) -> None:
    remove_sharp(root)
    found = [finding.message for finding in look(root).findings if finding.kind == "partner"]
    with pytest.raises(DataError) as met:
        open_split(facts("gopro", root), "train")
    assert [str(met.value)] == found


def test_all_faults_are_listed_at_once(root: Path) -> None:
    cut(root)
    (root / "train/GOPR1_train/sharp/000002.png").unlink()
    one_colour(root / "../gopro")
    (root / "test/GOPR0_test/blur/000002.png").write_bytes(b"")
    assert kinds(look(root)) == {"constant", "partner", "count", "empty"}


def test_a_part_of_the_data_set_is_clean_where_that_was_asked_for(root: Path) -> None:
    remove_pair(root)
    shutil.rmtree(root / "test")
    report = look(root, subset=True)
    assert not report.findings
    assert "test: not there" in report.notices
    assert any("GOPR0_train with 1 of 2, without number 1" in notice for notice in report.notices)


def test_files_of_no_pair_and_links_are_told_and_nothing_is_changed(root: Path) -> None:
    (root / "train/frames 1 offset 0.txt").touch()
    (root / "spare.png").touch()
    (root / "link").symlink_to(root.parent)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    report = look(root)
    assert not report.findings
    assert [notice for notice in report.notices if "spare.png" in notice]
    assert [notice for notice in report.notices if "1 .txt" in notice]
    assert [notice for notice in report.notices if "1 are links" in notice]
    assert before == {path: path.stat().st_mtime_ns for path in root.rglob("*")}


def test_gamma_is_what_gopro_gamma_must_hold(sets: dict[Response, Path]) -> None:
    assert not look(sets["gamma"], "gopro_gamma").findings
    assert kinds(look(sets["gamma"], "gopro")) == {"response"}


def test_static_pairs_are_undecidable() -> None:
    sharp = read_scene("boats")[0]
    noise = np.random.default_rng(0).integers(-2, 3, sharp.shape)
    noisy = (sharp.astype(int) + noise).clip(0, 255).astype(np.uint8)
    assert verdict([conservation(sharp, sharp)] * 20) == "undecidable"
    assert verdict([conservation(noisy, sharp)] * 20) == "undecidable"
    assert verdict([]) == "undecidable"


@pytest.mark.shared
def test_real_gopro_frames_are_linear_each_by_itself(shared: Path) -> None:
    sharps = sorted((shared / "realdata/gopro/test").glob("*/sharp/*.png"))
    assert len(sharps) == 4
    for sharp in sharps:
        blur = sharp.parent.with_name("blur") / sharp.name
        assert verdict([conservation(read_rgb(blur), read_rgb(sharp))]) == "linear"


@pytest.mark.shared
def test_the_command_answers_linear_on_real_frames(shared: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    words = ["data", "check", "gopro", "--root", str(shared / "realdata/gopro"), "--subset", "--json", str(path)]
    assert main(words) == 0
    report = json.loads(path.read_text())
    assert report["splits"]["test"]["response"] == "linear"
    assert report["splits"]["test"]["pairs"] == 4


def test_the_command_prints_a_table_and_fails_on_a_fault(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data", "check", "folder", "--root", str(root), "--split", "test"]
    assert main(words) == 0
    assert "no fault found" in capsys.readouterr().out
    path = root / "test/GOPR0_test/blur/000001.png"
    path.write_bytes(b"")
    assert main([*words, "--json", str(tmp_path / "report.json")]) == 1
    printed = capsys.readouterr().out
    assert "empty: 1" in printed
    assert str(path) in printed
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["clean"], report["findings"][0]["kind"]) == (False, "empty")


def test_an_unknown_split_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", "gopro", "--split", "tets"]) == 1
    assert "no split 'tets'; did you mean 'test'" in capsys.readouterr().err


def test_near_identity_pairs_of_realblur_are_no_copies(tmp_path: Path) -> None:
    folder = "RealBlur-J_ECC_IMCORR_centroid_itensity_ref/scene001"
    lines = []
    for number in (1, 2):
        image = np.random.default_rng(number).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        for side in ("gt", "blur"):
            (tmp_path / folder / side).mkdir(parents=True, exist_ok=True)
            write_png(tmp_path / folder / side / f"{side}_{number}.png", image)
        lines.append(f"{folder}/gt/gt_{number}.png {folder}/blur/blur_{number}.png ")
    (tmp_path / "RealBlur_J_train_list.txt").write_text("\n".join(lines))
    data = data_config("realblur_j", tmp_path)
    report = examine(data, ["train"], True, 1, lambda split, done, total: None)
    assert [finding.message.split("/")[-1] for finding in report.findings] == [
        "gt_2.png are the same image; one side was copied to the other"
    ]
    assert report.splits["train"].response is None
    assert len(build(data.pairs)(tmp_path, "train")) == 2


def lay_out(name: str, root: Path, number: int, sharp: RGB, blur: RGB) -> list[tuple[str, RGB]]:
    """Where one pair of a data set lies, as its publication or a usual copy has it."""
    realblur = f"RealBlur-{name[-1].upper()}_BM3D_ECC_IMCORR_centroid_itensity_ref/scene002"
    places = {
        "mimo": (f"test/blur/GOPR0_test_00000{number}.png", f"test/sharp/GOPR0_test_00000{number}.png"),
        "mprnet": (f"test/input/GOPR0_test-00000{number}.png", f"test/target/GOPR0_test-00000{number}.png"),
        "restormer": (
            f"test/GoPro/input/GOPR0_test-00000{number}.png",
            f"test/GoPro/target/GOPR0_test-00000{number}.png",
        ),
        "hide": (f"test/test-close-ups/{number}fromGOPR1.MP4.png", f"GT/{number}fromGOPR1.MP4.png"),
        "reds": (f"val/val_blur/000/0000000{number}.png", f"val/val_sharp/000/0000000{number}.png"),
        "realblur_j": (f"{realblur}/blur/blur_{number}.png", f"{realblur}/gt/gt_{number}.png"),
        "realblur_r": (f"{realblur}/blur/blur_{number}.png", f"{realblur}/gt/gt_{number}.png"),
        "folder": (f"test/blur/x{number}_b.png", f"test/sharp/x{number}_s.png"),
    }
    return list(zip(places[name], (blur, sharp), strict=True))


@pytest.mark.parametrize("name", ["mimo", "mprnet", "restormer", "hide", "reds", "realblur_j", "realblur_r", "folder"])
def test_no_layout_gives_a_false_alarm(name: str, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    for number in (9, 19, 29) if name == "reds" else (2, 3, 4):
        blur, sharp = synthesize(read_scene("boats")[0][10 * number % 90 :, :][:156, 60:264], generator, CAMERA)
        for place, image in lay_out(name, tmp_path, number, sharp, blur):
            path = tmp_path / place.replace("0000000", "000000") if number > 9 else tmp_path / place
            path.parent.mkdir(parents=True, exist_ok=True)
            write_png(path, image)
    if name.startswith("realblur"):
        lines = [" ".join(place for place, _ in lay_out(name, tmp_path, k, sharp, blur)[::-1]) for k in (2, 3, 4)]
        (tmp_path / f"RealBlur_{name[-1].upper()}_test_list.txt").write_text(" \n".join(lines))
    data = data_config({"mimo": "gopro", "mprnet": "gopro", "restormer": "gopro"}.get(name, name), tmp_path)
    if data.official:
        data.official.size = None
    report = examine(data, [data.test], True, 2, lambda split, done, total: None)
    assert not report.findings
    assert report.splits[data.test].pairs == 3
