"""Scoring full frames."""

import json
import math
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from torch import Tensor

from deblur_lit import evaluate, runs
from deblur_lit.networks.blocks import DeblurNetwork
from deblur_lit.pictures import GAP
from deblur_lit.restore import Restorer
from deblur_lit.tensors import Pyramid

RGB = npt.NDArray[np.uint8]
SIDE = 32


class Memory:
    """Pairs in memory; the k-th is blurred the more, the larger k."""

    def __init__(self, sharpest: int = 3) -> None:
        draw = np.random.default_rng(0)
        sharps = [draw.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8) for _ in range(3)]
        self.pairs = [(cv2.blur(sharp, (sharpest + k, sharpest)), sharp) for k, sharp in enumerate(sharps)]
        self.names = [f"t/{k:06d}" for k in range(len(self.pairs))]

    def __len__(self) -> int:
        return len(self.pairs)

    def read(self, index: int) -> tuple[RGB, RGB]:
        return self.pairs[index]

    def fingerprint(self) -> str:
        return "f" * 64


class Offset(DeblurNetwork):
    """Adds a constant, so that what is restored differs from the input by a known number of levels."""

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.levels = levels

    def restore(self, blur: Tensor) -> Pyramid:
        return Pyramid(blur + self.levels / 255)


class Answer(DeblurNetwork):
    """Returns the sharp image of the blurred one that it is given."""

    def __init__(self, frames: Memory) -> None:
        super().__init__()
        self.frames = frames

    def restore(self, blur: Tensor) -> Pyramid:
        image = (blur[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
        sharp = next(sharp for seen, sharp in self.frames.pairs if np.array_equal(seen, image))
        return Pyramid(torch.from_numpy(sharp).permute(2, 0, 1)[None].float() / 255)


def psnr(image: RGB, sharp: RGB) -> float:
    """PSNR in dB of two 8-bit images."""
    error = np.mean((image.astype(np.float64) - sharp) ** 2)
    return float(10 * np.log10(255**2 / error))


def test_the_score_is_the_mean_of_each_images_score() -> None:
    frames = Memory()
    scored = evaluate.score(Restorer(Offset(8)), frames, "three frames", False)
    each = [psnr(np.clip(blur.astype(int) + 8, 0, 255).astype(np.uint8), sharp) for blur, sharp in frames.pairs]
    assert [row["psnr"] for row in scored["per_image"]] == pytest.approx(each)
    assert scored["psnr"] == pytest.approx(np.mean(each))
    assert scored["psnr_blur"] == pytest.approx(np.mean([psnr(*pair) for pair in frames.pairs]))
    for key in ("ssim", "ssim_blur"):
        assert scored[key] == pytest.approx(np.mean([row[key] for row in scored["per_image"]]))
    assert [row["name"] for row in scored["per_image"]] == frames.names
    assert (scored["images"], scored["label"], scored["complete"]) == (3, "three frames", False)
    assert scored["data_hash"] == frames.fingerprint()


def test_the_blurred_input_scores_as_what_every_network_starts_from() -> None:
    row0, other = (evaluate.score(restore, Memory(), "x", True) for restore in (None, Restorer(Offset(8))))
    for metric in ("psnr", "ssim"):
        assert row0[metric] == row0[f"{metric}_blur"] == other[f"{metric}_blur"]
        assert row0[metric] != other[metric]


def test_identical_images_score_inf_and_the_record_can_be_written(tmp_path: Path) -> None:
    frames = Memory()
    scores = evaluate.score(Restorer(Answer(frames)), frames, "x", True, picture=tmp_path / "test.png")
    assert scores["psnr"] == "inf"
    assert scores["ssim"] == pytest.approx(1.0)
    assert all(row["psnr"] == "inf" and math.isfinite(row["psnr_blur"]) for row in scores["per_image"])
    record = evaluate.record(
        row="blur",
        title="blurred input",
        study="table1",
        seed=None,
        config_hash="0" * 64,
        network=None,
        training=None,
        checkpoint=None,
        scores={"x": scores},
        device="cpu",
    )
    runs.write_record(tmp_path, record)
    assert json.loads((tmp_path / "metrics.json").read_text()) == record
    assert record["hardware"]["devices"] == ["cpu"]


def test_the_picture_shows_the_image_with_the_median_gain(tmp_path: Path) -> None:
    frames = Memory()
    evaluate.score(Restorer(Offset(8)), frames, "x", True, picture=tmp_path / "test.png")
    gains = [psnr(np.clip(b.astype(int) + 8, 0, 255).astype(np.uint8), s) - psnr(b, s) for b, s in frames.pairs]
    median = gains.index(sorted(gains)[1])
    sheet = np.asarray(Image.open(tmp_path / "test.png"))
    assert sheet.shape == (2 * SIDE + GAP, 3 * SIDE + 2 * GAP, 3)
    shown = sheet[SIDE - 2 : SIDE, 2 * (SIDE + GAP) :]  # the lowest rows of `sharp`, below the label
    differences = [np.mean(np.any(shown != sharp[SIDE - 2 :], axis=2)) for _, sharp in frames.pairs]
    assert np.argmin(differences) == median
    assert differences[median] < 0.5  # but for the frame around the detail


def test_row_0_has_no_picture(tmp_path: Path) -> None:
    evaluate.score(None, Memory(), "x", True, picture=tmp_path / "test.png")
    assert not list(tmp_path.iterdir())


def test_progress_is_said_where_scoring_takes_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate.score(None, Memory(), "x", True)
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(evaluate, "SECONDS_BETWEEN_LINES", -1.0)
    evaluate.score(None, Memory(), "x", True)
    assert capsys.readouterr().out.splitlines() == [f"scored {k}/3 of x" for k in (1, 2, 3)]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_checkpoint_is_described_by_name_hash_and_choice(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    if kind == "folder":
        path.mkdir()
        (path / "a.pkl").write_bytes(b"x")
    else:
        path.write_bytes(b"x")
    described = evaluate.describe_checkpoint(path, "published")
    assert described["file"] == "weights"
    assert described["selection"] == "published"
    assert described["sha256"] == "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"


def test_realblur_is_aligned_and_what_cannot_be_is_remarked(capsys: pytest.CaptureFixture[str]) -> None:
    frames = Memory()
    draw = np.random.default_rng(0)
    noise = (draw.integers(0, 256, (64, 72, 3), dtype=np.uint8) for _ in range(2))
    smooth = [cv2.GaussianBlur(image, (0, 0), 2) for image in noise]
    frames.pairs = [(np.roll(smooth[0], 1, axis=1), smooth[0]), (255 - smooth[1], smooth[1])]
    frames.names = frames.names[:2]
    metrics = evaluate.Metrics("psnr_realblur", "ssim_realblur", ["psnr_realblur_unaligned"])
    scores = evaluate.score(None, frames, "x", True, metrics=metrics)
    aligned, failed = scores["per_image"]
    assert aligned["psnr"] > aligned["psnr_realblur_unaligned"] + 3
    assert (aligned["remark"], "not aligned" in failed["remark"]) == ("", True)
    assert scores["protocol"] == {"psnr": "psnr_realblur", "ssim": "ssim_realblur"}
    assert "1 of 2 images have a remark" in capsys.readouterr().out


def test_a_protocol_that_does_not_exist_is_named() -> None:
    with pytest.raises(ValueError, match="no protocol 'psnr_unit8'; did you mean 'psnr_uint8'"):
        evaluate.Metrics("psnr_unit8")
