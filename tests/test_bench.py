"""The benchmark runs, compares equal crops, and says what it compared; how fast is not a test."""

import json
from pathlib import Path

import numpy as np
import pytest

from deblur_lit.bench import data, metrics
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
