"""`deblur-lit figure`: what it writes and says, and what it refuses."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from figure_data import FRAMES, Evaluate, read
from PIL import Image

from deblur_lit.cli import main
from deblur_lit.config import compose
from deblur_lit.evaluation import evaluate


@pytest.fixture
def systems(evaluation: Evaluate) -> list[str]:
    return [f"One={evaluation('one', 0.5)}", str(evaluation("two", 0.8))]


def test_figure_pdf_and_page_are_written_again_alike(
    root: Path, systems: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["figure", "gopro", *systems, "--root", str(root), "--html", str(tmp_path / "p.html"), "--cases", "1"]
    assert main([*words, "--to", str(tmp_path / "fig")]) == 0
    said = capsys.readouterr().out
    assert "Crops enlarged 25 times (nearest). PSNR: psnr_uint8 of the full frames." in said
    assert "(median gain of 4 images): --crop " in said
    assert "p.html: " in said
    assert "3 of 4 images have pictures, the table has all" in said
    written = {name: (tmp_path / name).read_bytes() for name in ("fig.png", "fig.pdf", "p.html")}
    with Image.open(tmp_path / "fig.png") as png:
        assert png.mode == "RGB"
        assert png.info["Description"].startswith("Crops enlarged 25 times (nearest).")
        assert png.width / png.info["dpi"][0] == pytest.approx(7, rel=1e-3)
    assert written["fig.pdf"].startswith(b"%PDF-")
    assert main([*words, "--to", str(tmp_path / "fig")]) == 0
    assert written == {name: (tmp_path / name).read_bytes() for name in written}


def test_crops_belong_to_the_image_before_them(
    root: Path, systems: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = ["--image", FRAMES[3], "--crop", "1,2,8,6", "--image", FRAMES[0], "--crop", "9,2,8,6"]
    words = ["figure", "gopro", "--root", str(root), *chosen, "--zoom", "3", *systems, "--enlarge", "lanczos"]
    assert main([*words, "--to", str(tmp_path / "fig")]) == 0
    said = capsys.readouterr().out
    assert "Crops enlarged 3 times (lanczos)" in said
    assert f"{FRAMES[3]}: --crop 1,2,8,6\n{FRAMES[0]}: --crop 9,2,8,6\n" in said
    with Image.open(tmp_path / "fig.png") as png:
        assert png.height < png.width


def test_crops_before_any_image_are_of_all(
    root: Path, systems: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["figure", "gopro", *systems, "--root", str(root), "--to", str(tmp_path / "fig")]
    assert main([*words, "--crop", "1,2,8,6", "--image", FRAMES[1], "--image", FRAMES[2]]) == 0
    assert capsys.readouterr().out.count(": --crop 1,2,8,6\n") == 2


def test_the_figure_has_the_name_of_its_data(
    root: Path, systems: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["figure", "gopro", *systems, "--root", str(root), "--image", FRAMES[0]]) == 0
    assert {path.name for path in tmp_path.glob("figure*")} == {"figure-gopro-test.png", "figure-gopro-test.pdf"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--crop", "1,2,3"], "'1,2,3' is not X,Y,W,H"),
        (["--crop", "1,2,-3,4"], "'1,2,-3,4' is not X,Y,W,H"),
        (["--crop", "0,0,4,4", "--crop", "4,0,4,4", "--crop", "8,0,4,4"], "8,0,4,4 is one too many"),
        (["--zoom", "1.5"], "'1.5' is no whole number"),
        (["--enlarge", "bicubic"], "'bicubic'"),
    ],
)
def test_a_word_that_is_none_is_refused(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["figure", "gopro", *words])
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--crop", "40,0,16,12"], "error: --crop 40,0,16,12 (left, top, width, height) leaves "),
        (["--image", "c/000001"], "error: the data has no image 'c/000001'"),
        (["--split", "tets"], "error: gopro has no split 'tets'; did you mean 'test'?"),
        (["--to", "nowhere/fig"], "error: nowhere/fig: there is no folder nowhere"),
        (["--html", "nowhere/p.html"], "error: nowhere/p.html: there is no folder nowhere"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(
    words: list[str],
    said: str,
    root: Path,
    systems: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["figure", "gopro", *systems, "--root", str(root), *words]) == 1
    error = capsys.readouterr().err
    assert error.startswith(said)
    assert error.count("\n") == 1
    assert not list(tmp_path.glob("figure*"))


def test_unsaved_images_say_how_to_save_them(
    root: Path, evaluation: Evaluate, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = evaluation("one", 0.5)
    shutil.rmtree(folder / "restored")
    assert main(["figure", "gopro", str(folder), "--root", str(root)]) == 1
    told = f"error: {folder} has no restored/: run its `deblur-lit evaluate` again with save=true\n"
    assert capsys.readouterr().err == told


@pytest.mark.shared
def test_real_frames_are_drawn(shared: Path, tmp_path: Path) -> None:
    root, to = shared / "realdata/gopro", tmp_path / "blur"
    evaluate(compose("evaluate", ["data=gopro", f"data.root={root}", f"to={to}", "save=true", "device=cpu"]))
    words = ["--root", str(root), "--to", str(tmp_path / "fig"), "--image", "GOPR0384_11_00/000001"]
    assert main(["figure", "gopro", str(to), *words, "--crop", "480,330,160,120"]) == 0
    sheet = read(tmp_path / "fig.png")
    assert sheet.shape[1] > 3 * 480
    assert np.unique(sheet.reshape(-1, 3)[::97], axis=0).shape[0] > 1000
