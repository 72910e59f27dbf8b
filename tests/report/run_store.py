"""Run folders as the training and scoring commands leave them."""

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

BLUR = {"mini": (24.0, 0.75), "gopro": (25.64, 0.79), "realblur_j": (26.0, 0.78)}
COMMIT = "4015b57a143aec5156fd1444a017a32137a3fd0f"
LABELS = {"mini": "mini test, 16 images", "gopro": "GoPro, 4 frames (not the test set of 1111)"}


def digest(text: str) -> str:
    """Return a hash as records hold them."""
    return hashlib.sha256(text.encode()).hexdigest()


def score(benchmark: str, psnr: float | str, ssim: float = 0.8, label: str | None = None) -> dict[str, Any]:
    """Return one entry of `scores`, with four images that all have the mean."""
    psnr_blur, ssim_blur = BLUR[benchmark]
    return {
        "split": "test",
        "images": 4,
        "complete": benchmark == "mini",
        "label": label or LABELS.get(benchmark, benchmark),
        "data_hash": digest(benchmark),
        "protocol": {"psnr": "psnr_uint8", "ssim": "ssim_matlab_volume"},
        "psnr": psnr,
        "ssim": ssim,
        "psnr_blur": psnr_blur,
        "ssim_blur": ssim_blur,
        "seconds": 3.1,
        "per_image": [{"name": f"scene/{index:06}", "psnr": psnr, "ssim": ssim} for index in range(4)],
    }


class Store:
    """A runs folder in which tests write records."""

    def __init__(self, runs: Path) -> None:
        self.runs = runs

    def folder(self, row: str, seed: int | str | None, table: str = "table1", data: str = "mini") -> Path:
        """Return a run's folder; a seed of "published" stands for published weights, None for the input."""
        place = {None: "", "published": "published"}.get(seed, f"seed{seed}")  # type: ignore[arg-type]
        return self.runs / table / data / row / place

    def content(
        self, row: str, seed: int | str | None, psnr: float | str, ssim: float = 0.8, data: str = "mini"
    ) -> dict[str, Any]:
        """Return a valid record, schema 1."""
        trained = isinstance(seed, int)
        network = {
            "target": "deblur_lit.networks.mimo_unet.MIMOUNet",
            "parameters": 330_000 if data == "mini" else 5_290_000,
            "macs_256": 3_100_000_000 if data == "mini" else 47_400_000_000,
            "reduced": data == "mini" and trained,
        }
        training = {
            "data": data,
            "data_hash": digest(f"{data} train"),
            "steps": 900,
            "epochs": 30,
            "crops": 7200,
            "crop_size": 128,
            "batch_size": 8,
            "seconds": 180.1,
            "best_epoch": 27,
            "val_psnr": 25.1,
            "precision": "32-true",
            "devices": 1,
        }
        checkpoint = {
            "file": "best.ckpt" if trained else "weights.pkl",
            "sha256": digest(f"{row} {seed}"),
            "selection": "best by val/psnr" if trained else "published",
        }
        return {
            "schema": 1,
            "row": row,
            "title": row,
            "study": "table1",
            "seed": seed if trained else None,
            "config_hash": digest(f"config of {row} {seed}"),
            "commit": COMMIT,
            "dirty": False,
            "network": None if seed is None else network,
            "training": training if trained else None,
            "checkpoint": None if seed is None else checkpoint,
            "scores": {data: score(data, psnr, ssim)},
            "versions": {"python": "3.11.7"},
            "hardware": {"platform": "linux", "cpu_count": 2, "devices": ["cpu"]},
            "finished": "2026-11-22T10:00:00+00:00",
        }

    def write(
        self,
        row: str,
        seed: int | str | None = 0,
        psnr: float | str = 25.5,
        ssim: float = 0.8,
        *,
        table: str = "table1",
        data: str = "mini",
        changes: dict[str, Any] | None = None,
    ) -> Path:
        """Write a record and return its file; `changes` maps dotted keys to other values."""
        content = copy.deepcopy(self.content(row, seed, psnr, ssim, data))
        for path, value in (changes or {}).items():
            *parents, key = path.split(".")
            part = content
            for parent in parents:
                part = part[parent]
            part[key] = value
        file = self.folder(row, seed, table, data) / "metrics.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content))
        return file

    def missing(self, reasons: dict[str, str], table: str = "table1", data: str = "mini") -> None:
        """Write why rows were not scored."""
        file = self.runs / table / data / "missing.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(reasons))


def spread_out(psnr: float, sequences: int = 8, shift: float = 0.0) -> list[dict[str, Any]]:
    """Return two images of each sequence whose mean PSNR is `psnr`; `shift` dB more or less from one to the next."""
    images = []
    for index in range(sequences):
        value = psnr + (shift if index % 2 else -shift)
        names = (f"sequence{index:02}/{frame:06}" for frame in range(2))
        images += [{"name": name, "psnr": value, "ssim": 0.8} for name in names]
    return images


def variant(label: str, psnr: float, images: list[dict[str, Any]]) -> dict[str, Any]:
    """Return an entry of `variants`."""
    return {"label": label, "psnr": psnr, "ssim": 0.8, "per_image": images}
