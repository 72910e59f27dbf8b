"""Four small pairs, and evaluations of them as `deblur-lit evaluate ... save=true` writes them."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from figure_data import FRAMES, Evaluate, pair
from PIL import Image

from deblur_lit.config import metrics_config
from deblur_lit.metrics.levels import LevelPair
from deblur_lit.metrics.measure import measure


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GoPro's tree. The blurred frames differ in how far they are from the sharp ones."""
    folder = tmp_path_factory.mktemp("data") / "gopro"
    draw = np.random.default_rng(0)
    for number, frame in enumerate(FRAMES):
        sharp = np.kron(draw.integers(0, 256, (9, 12, 3)), np.ones((4, 4, 1))).astype(np.uint8)
        weight = 0.2 + 0.2 * number
        blur = ((1 - weight) * sharp + weight * np.roll(sharp, 2, axis=1)).astype(np.uint8)
        for side, image in (("blur", blur), ("sharp", sharp)):
            path = folder / "test" / frame.replace("/", f"/{side}/")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path.with_suffix(".png"))
    return folder


@pytest.fixture
def evaluation(root: Path, tmp_path: Path) -> Evaluate:
    """Writes the folder of a system that restores a share of what was lost, of each frame or of some."""

    def write(name: str, share: float, frames: list[str] = FRAMES) -> Path:
        folder = tmp_path / name
        metrics = metrics_config("gopro")
        protocols = [metrics.psnr, metrics.ssim, *metrics.also]
        rows = []
        for frame in frames:
            blur, sharp = pair(root, frame)
            restored = np.rint((1 - share) * blur + share * sharp.astype(float)).astype(np.uint8)
            path = folder / f"restored/{frame}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(restored).save(path)
            ours, theirs = (
                measure(LevelPair(image.transpose(2, 0, 1), sharp.transpose(2, 0, 1)), protocols)
                for image in (restored, blur)
            )
            of_blur = {f"{key} of blur": theirs[key] for key in protocols[:2]}
            rows.append({"name": frame, **ours, **of_blur})
        with (folder / "per_image.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        record = {
            "schema": 1,
            "title": name,
            "commit": "0123456789abcdef",
            "dirty": False,
            "checkpoint": {"sha256": "fedcba9876543210" * 4},
            "scores": {"gopro": {"protocol": {"psnr": metrics.psnr, "ssim": metrics.ssim}}},
        }
        (folder / "metrics.json").write_text(json.dumps(record))
        return folder

    return write
