"""The benchmark runs, compares equal crops, and says what it compared; how fast is not a test."""

import json
from pathlib import Path

import numpy as np
import pytest

from deblur_lit.bench import data, metrics, predict
from deblur_lit.cli import main
from deblur_lit.data.images import write_png
from deblur_lit.metrics.protocols import unaligned


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for seed, side in enumerate(("blur", "sharp")):
        path = tmp_path / f"gopro/test/a/{side}/000001.png"
        path.parent.mkdir(parents=True)
        write_png(path, np.random.default_rng(seed).integers(0, 256, (40, 48, 3), dtype=np.uint8))
    return tmp_path / "gopro"


def test_four_ways_are_compared_with_pil(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(data, "FRAME", (40, 48))
    assert main(["bench", "data", "--root", str(root), "--crop", "16", "--json", str(tmp_path / "f.json")]) == 0
    figures = json.loads((tmp_path / "f.json").read_text())
    assert list(figures["pairs_per_s"]) == ["PIL", "OpenCV", "files", "cache"]
    assert figures["ratio"]["PIL"] == 1
    assert figures["bytes"]["cache"] == 2 * 16 * 16 * 3
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("1 pairs of 48x40")
    assert [line.count("x PIL") for line in said] == [0, 1, 1, 1, 1, 0]


def test_unequal_pixels_end_the_benchmark(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "_read_opencv", lambda path: 255 - data._read_pil(path))
    with pytest.raises(RuntimeError, match="decodes other pixels than the cache holds"):
        main(["bench", "data", "--root", str(root), "--crop", "16"])


def test_protocols_are_timed_beside_scikit_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(metrics, "FRAME", (24, 32))
    assert main(["bench", "metrics", "--threads", "1", "--json", str(tmp_path / "f.json")]) == 0
    figures = json.loads((tmp_path / "f.json").read_text())
    assert list(figures["ms"])[:-1] == unaligned()
    assert list(figures["ratio"]) == list(metrics.SKIMAGE)
    assert max(figures["difference"].values()) < 1e-7
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("one pair of 32x24")
    assert sum("scikit-image" in line for line in said[1:]) == 3


def test_a_form_that_differs_from_scikit_image_ends_the_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "FRAME", (24, 32))
    monkeypatch.setitem(metrics.SKIMAGE, "ssim_uniform7_rgb", {"win_size": 5})
    with pytest.raises(RuntimeError, match="ssim_uniform7_rgb differs from scikit-image by"):
        main(["bench", "metrics"])


def test_a_large_photo_is_measured_and_compared_with_itself_in_one_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(predict, "COMPARED", (100, 150))
    monkeypatch.setattr(predict, "SIDE", 64)
    network = ["--network", "unet", "--override", "channels=4", "--override", "num_blocks=1"]
    words = ["--megapixels", "0.02", "--memory", "64G", "--threads", "1", *network]
    assert main(["bench", "predict", *words, "--json", str(tmp_path / "f.json")]) == 0
    figures = json.loads((tmp_path / "f.json").read_text())
    assert figures["size"] == [174, 115]
    assert figures["plan"] == "in one piece"
    assert figures["peak_mib"] > 50
    assert 0 < figures["tiles_change"]["max"] < 0.01
    assert figures["guard_share"] > 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "174x115, 8-bit RGB, unet channels=4 num_blocks=1, fp32 on 1 cores"
    assert [line.split()[0] for line in said[1:]] == ["time", "memory", "plan", "guard", "tiles"]


@pytest.mark.parametrize("words", [["--megapixels", "0"], ["--memory", "2X"], ["--network", "nett"]])
def test_a_large_photo_that_cannot_be_is_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "predict", "--megapixels", "0.01", "--network", "unet", *words]) == 1
    assert capsys.readouterr().err.startswith("error: ")
