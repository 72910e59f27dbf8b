"""`deblur-lit score`: the right files in the right pairs, exact numbers on disk, and no silent wrong number."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from deblur_lit.cli import main
from deblur_lit.metrics import PROTOCOLS, realblur, score
from deblur_lit.metrics.protocols import unaligned
from deblur_lit.score_files import match

SIZE = (24, 32)  # rows, columns
RGB = NDArray[np.uint8]


def picture(seed: int, size: tuple[int, int] = SIZE) -> RGB:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def near(image: RGB, seed: int = 9) -> RGB:
    noise = np.random.default_rng(seed).integers(-20, 21, image.shape)
    return (image + noise).clip(0, 255).astype(np.uint8)


def save(path: Path, image: NDArray[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    restored, sharp = tmp_path / "restored", tmp_path / "sharp"
    for seed, name in enumerate(("b/2", "a/1", "a/3")):
        save(sharp / f"{name}.png", picture(seed))
        save(restored / f"{name}.png", near(picture(seed)))
    return restored, sharp


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The one line on stderr with which the command ends."""
    assert main(["score", *map(str, words)]) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert said[-1].startswith("error: ")
    return said[-1]


def test_every_image_is_scored_with_the_one_of_its_name(folders: tuple[Path, Path], tmp_path: Path) -> None:
    files = tmp_path / "s.csv", tmp_path / "s.json"
    assert main(["score", *map(str, folders), "--csv", str(files[0]), "--json", str(files[1])]) == 0
    with files[0].open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["a/1", "a/3", "b/2"]
    for row, seed in zip(rows, (1, 2, 0), strict=True):
        expected = score(near(picture(seed)), picture(seed))
        assert {name: float(row[name]) for name in row if name != "name"} == expected
    record = json.loads(files[1].read_text())
    assert [row["psnr_uint8"] for row in record["per_image"]] == [float(row["psnr_uint8"]) for row in rows]
    for name in unaligned():
        assert record["means"][name] == pytest.approx(np.mean([float(row[name]) for row in rows]), rel=1e-15)
        assert record["protocols"][name]["used_by"] == PROTOCOLS[name].used_by
    assert record["images"] == 3
    assert {"opencv-python-headless", "numpy"} <= record["versions"].keys()


def test_jobs_do_not_change_the_files(folders: tuple[Path, Path], tmp_path: Path) -> None:
    for jobs in ("1", "3"):
        assert main(["score", *map(str, folders), "--csv", str(tmp_path / jobs), "--jobs", jobs]) == 0
    assert (tmp_path / "1").read_bytes() == (tmp_path / "3").read_bytes()


def test_the_table_shows_values_mean_and_who_uses_a_protocol(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", *map(str, folders), "--protocol", "ssim_uniform7_rgb", "psnr_y601"]) == 0
    table, legend = capsys.readouterr().out.split("\n\n")
    values = [score(near(picture(seed)), picture(seed))["psnr_y601"] for seed in (1, 2, 0)]
    lines = [line.split() for line in table.splitlines()]
    assert lines[0] == ["protocol", "a/1", "a/3", "b/2", "mean", "of", "3"]
    assert [line[0] for line in lines[1:]] == ["ssim_uniform7_rgb", "psnr_y601"]
    assert lines[2][1:] == [f"{value:.4f}" for value in (*values, np.mean(values))]
    assert [line.partition("Used by: ")[2] for line in legend.splitlines()] == [
        PROTOCOLS["ssim_uniform7_rgb"].used_by,
        PROTOCOLS["psnr_y601"].used_by,
    ]


def test_help_lists_every_protocol_with_the_code_that_uses_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["score", "--help"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    assert all(f"  {name}" in said and protocol.used_by in said for name, protocol in PROTOCOLS.items())


def test_all_means_every_protocol(folders: tuple[Path, Path], tmp_path: Path) -> None:
    pair = [str(folder / "a/1.png") for folder in folders]
    assert main(["score", *pair, "--protocol", "all", "--csv", str(tmp_path / "s.csv")]) == 0
    assert (tmp_path / "s.csv").read_text().splitlines()[0].split(",") == ["name", *PROTOCOLS]


def test_identical_images_have_an_infinite_mean_that_is_said(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    restored, sharp = folders
    save(restored / "a/1.png", picture(1))
    files = tmp_path / "s.csv", tmp_path / "s.json"
    assert main(["score", str(restored), str(sharp), "--csv", str(files[0]), "--json", str(files[1])]) == 0
    record = json.loads(files[1].read_text())
    assert record["means"]["psnr_uint8"] == record["per_image"][0]["psnr_uint8"] == "inf"
    assert record["means"]["ssim_matlab_volume"] < record["per_image"][0]["ssim_matlab_volume"] == 1
    assert files[0].read_text().splitlines()[1].startswith("a/1,inf,inf,inf,inf,1.0,")
    assert "1 of 3 equal their sharp images" in capsys.readouterr().out


def save_npy(path: Path, image: NDArray[Any]) -> Path:
    np.save(path.with_suffix(".npy"), image)
    return path.with_suffix(".npy")


def save_tiff(path: Path, image: NDArray[Any]) -> Path:
    assert cv2.imwrite(str(path.with_suffix(".tif")), image[..., ::-1])
    return path.with_suffix(".tif")


@pytest.mark.parametrize("write", [save_npy, save_tiff])
@pytest.mark.parametrize("kind", ["float32", "uint8"])
def test_floats_and_8_bits_of_npy_and_tiff_are_read_as_they_are(
    write: Callable[[Path, NDArray[Any]], Path], kind: str, tmp_path: Path
) -> None:
    image: NDArray[Any] = near(picture(0))
    if kind == "float32":
        image = ((image + 0.3) / 256).astype(np.float32)
    restored, sharp = write(tmp_path / "r", image), save(tmp_path / "s.png", picture(0))
    assert main(["score", str(restored), str(sharp), "--csv", str(tmp_path / "s.csv")]) == 0
    row = (tmp_path / "s.csv").read_text().splitlines()[1].split(",")
    assert [float(value) for value in row[1:]] == list(score(image, picture(0)).values())


def test_other_extensions_are_matched_and_said(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    restored, sharp = folders
    save_npy(restored / "b/2", (near(picture(0)) / 255).astype(np.float32))
    (restored / "b/2.png").unlink()
    save(restored / "a/1.jpg", near(picture(1)))
    (restored / "a/1.png").unlink()
    assert [pair.restored.name for pair in match(restored, sharp)] == ["1.jpg", "3.png", "2.npy"]
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("note: 1 pairs differ in extension, .jpg against .png, and are matched without it. The")
    assert said[1] == "note: 1 pairs differ in extension, .npy against .png, and are matched without it."


def test_missing_and_extra_files_are_all_listed(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    restored, sharp = folders
    save(restored / "a/4.png", picture(4))
    save(restored / "a/5.png", picture(5))
    (restored / "a/1.png").unlink()
    said = refused(capsys, restored, sharp)
    assert f"2 without a partner in {restored}: a/4, a/5; 1 without a partner in {sharp}: a/1" in said
    assert "upper and lower case" not in said


def test_names_that_differ_in_case_alone_are_said(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    restored, sharp = folders
    (restored / "a/1.png").unlink()
    save(restored / "A/1.png", picture(1))
    assert "differ in upper and lower case alone: A/1 and a/1; rename one of each" in refused(capsys, restored, sharp)


def test_two_files_of_one_name_are_refused(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    restored, sharp = folders
    save(restored / "a/1.jpg", picture(1))
    assert "a/1.jpg and " in (said := refused(capsys, restored, sharp))
    assert said.endswith("a/1.png have one name without their extensions; remove one")


def test_folders_without_images_and_missing_ones_are_refused(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    restored, _ = folders
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/notes.txt").touch()
    assert f"{tmp_path / 'empty'} has no images" in refused(capsys, restored, tmp_path / "empty")
    assert f"{tmp_path / 'none'} does not exist" in refused(capsys, tmp_path / "none", restored)
    said = refused(capsys, restored, restored / "a/1.png")
    assert said.endswith(f"{restored} is a folder and {restored / 'a/1.png'} a file; give two folders or two files")


def bad_png(image: NDArray[Any]) -> Callable[[Path], Path]:
    return lambda folder: save(folder / "bad.png", image)


def bad_npy(image: NDArray[Any]) -> Callable[[Path], Path]:
    return lambda folder: save_npy(folder / "bad", image)


def sixteen_bit(folder: Path) -> Path:
    assert cv2.imwrite(str(folder / "bad.png"), picture(0).astype(np.uint16) * 257)
    return folder / "bad.png"


def sixteen_bit_tiff(folder: Path) -> Path:
    return save_tiff(folder / "bad", picture(0).astype(np.uint16))


def text(name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_text("no image")
        return folder / name

    return write


FLOAT = (picture(0) / 255).astype(np.float32)
WITH_NAN = np.where(FLOAT[0, 0, 0] == FLOAT, np.float32(np.nan), FLOAT)
BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "another size": (bad_png(picture(0, (24, 33))), "is 33x24 but"),
    "16 bits": (sixteen_bit, "16-bit RGB image"),
    "16-bit TIFF": (sixteen_bit_tiff, "uint16; give RGB (H, W, 3), floats in [0, 1] or 8 bits"),
    "RGBA": (bad_png(np.dstack([picture(0), picture(0)[..., 0]])), "RGBA image"),
    "grey": (bad_png(picture(0)[..., 0]), "grey image"),
    "grey floats": (bad_npy(FLOAT[..., 0]), "shape (24, 32), float32; give RGB (H, W, 3)"),
    "RGBA floats": (bad_npy(np.dstack([FLOAT, FLOAT[..., :1]])), "shape (24, 32, 4)"),
    "whole numbers": (bad_npy(picture(0).astype(np.int64)), "int64; give RGB"),
    "NaN": (bad_npy(WITH_NAN), f"has {int(np.isnan(WITH_NAN).sum())} values that are NaN"),
    "above 1": (bad_npy(picture(0).astype(np.float32)), "give floats in [0, 1]: clamp or rescale it"),
    "infinite": (bad_npy(np.full_like(FLOAT, np.inf)), "has values from 0 to inf"),
    "below 0": (bad_npy(FLOAT - 0.5), "has values from -0.5 to"),
    "NaN in TIFF": (lambda folder: save_tiff(folder / "bad", WITH_NAN), "values that are NaN"),
    "no PNG": (text("bad.png"), "neither PNG, JPEG nor WebP"),
    "no TIFF": (text("bad.tif"), "no TIFF that can be read"),
    "no npy": (text("bad.npy"), "no array of numbers"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_named_with_the_reason(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write, reason = BAD[case]
    bad, sharp = write(tmp_path), save(tmp_path / "sharp.png", picture(0))
    for pair in ((bad, sharp), (sharp, bad)):
        said = refused(capsys, *pair)
        assert str(bad) in said
        assert reason in said or case == "another size"


def test_images_smaller_than_a_window_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = save(tmp_path / "small.png", picture(0, (10, 40)))
    said = refused(capsys, small, small)
    assert said.endswith("small.png: ssim_gauss_valid_rgb needs images of 11 x 11 pixels or more, this one is 40x10")


def test_mistakes_in_the_command_are_found_before_any_work(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "did you mean 'psnr_y601'" in refused(capsys, *folders, "--protocol", "psnr_y")
    assert "there is no folder" in refused(capsys, *folders, "--csv", tmp_path / "none/s.csv")
    with pytest.raises(SystemExit):
        main(["score", *map(str, folders), "--jobs", "0"])
    assert "'0' is not a number of jobs; give 1 or more" in capsys.readouterr().err


def moved(folders: tuple[Path, Path]) -> None:
    """Replace noise by pictures that can be aligned, and one that cannot."""
    for seed, name in enumerate(("b/2", "a/1", "a/3")):
        smooth = cv2.GaussianBlur(picture(seed, (64, 72)), (0, 0), 2)
        save(folders[1] / f"{name}.png", smooth)
        save(folders[0] / f"{name}.png", np.roll(smooth, 1, axis=1) if name != "a/3" else 255 - smooth)


def test_aligned_scores_say_which_image_could_not_be_aligned(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved(folders)
    words = ["--protocol", "psnr_realblur", "ssim_realblur", "psnr_realblur_unaligned", "psnr_uint8"]
    files = ["--json", str(tmp_path / "s.json")]
    assert main(["score", *map(str, folders), *words, *files, "--jobs", "2"]) == 0
    assert "1 of 3 images:\n  a/3: not aligned: " in capsys.readouterr().out
    record = json.loads((tmp_path / "s.json").read_text())
    first, failed, _ = record["per_image"]
    assert first["psnr_realblur"] > first["psnr_realblur_unaligned"] + 5
    assert first["psnr_realblur_unaligned"] == first["psnr_uint8"]
    assert failed["psnr_realblur"] == pytest.approx(failed["psnr_uint8"], abs=1e-5)
    assert list(record["remarks"]) == ["a/3"]


def test_aligned_scores_are_kept_until_an_image_changes(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved(folders)
    measured: list[str] = []
    align = realblur.realblur

    def count(*images: Any) -> Any:
        measured.append("pair")
        return align(*images)

    monkeypatch.setattr(realblur, "realblur", count)
    monkeypatch.setattr(realblur, "_LATEST", {})

    def run() -> str:
        realblur._LATEST.clear()
        words = ["--protocol", "psnr_realblur", "ssim_realblur", "--jobs", "1"]
        assert main(["score", *map(str, folders), *words, "--json", str(tmp_path / "s.json")]) == 0
        return (tmp_path / "s.json").read_text()

    first = run()
    assert len(measured) == 3
    assert run() == first
    assert len(measured) == 3
    save(folders[0] / "a/1.png", near(picture(4, (64, 72))))
    assert run() != first
    assert len(measured) == 4
    for path in (tmp_path / "cache/deblur_lit/scores").iterdir():
        path.write_text("{")  # as a full disk leaves it
    run()
    assert len(measured) == 7


def test_tiny_flat_and_black_images_never_end_an_aligned_score(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, size in (("tiny", (4, 4)), ("flat", (32, 32)), ("black", (32, 32))):
        image = np.full((*size, 3), 0 if name == "black" else 90, np.uint8)
        save(tmp_path / "restored" / f"{name}.png", image)
        save(tmp_path / "sharp" / f"{name}.png", image + (name != "black"))
    words = [
        "score",
        str(tmp_path / "restored"),
        str(tmp_path / "sharp"),
        "--protocol",
        "psnr_realblur",
        "ssim_realblur",
    ]
    assert main([*words, "--json", str(tmp_path / "s.json")]) == 0
    record = json.loads((tmp_path / "s.json").read_text())
    assert {row["name"] for row in record["per_image"]} == record["remarks"].keys() == {"tiny", "flat", "black"}
    assert record["means"]["ssim_realblur"] == "nan"
    assert "no SSIM: 4 x 4 is below 11 x 11" in capsys.readouterr().out
