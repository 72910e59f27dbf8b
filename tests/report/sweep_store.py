"""Run folders as a sweep leaves them while it runs: logs, pictures, plans, locks."""

import json
import math
import os
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from run_store import Store, spread_out

from deblur_lit.pictures import comparison, panels

TITLES = {"baseline": "baseline", "dffm": "+ DFFM", "msrm": "+ MSRM", "dffm_msrm": "+ DFFM + MSRM"}
SIZE = (48, 60)  # of a validation image


class Sweep:
    """A folder runs/<study> of one data set in which tests write what launcher and training would."""

    def __init__(self, runs: Path, study: str = "mine", data: str = "mini") -> None:
        self.study, self.data = study, data
        self.store = Store(runs)
        self.root = runs / study
        self.root.mkdir(parents=True, exist_ok=True)

    def folder(self, row: str, seed: int = 0) -> Path:
        """Return a run's folder, made where it is missing."""
        path = self.root / self.data / row / f"seed{seed}"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def start(self, row: str, seed: int = 0, **config: Any) -> Path:
        """Write what a started run has at once."""
        path = self.folder(row, seed)
        title = TITLES.get(row, row)
        saved = {"card": {"name": "unet", "title": "U-Net"}, "ablation": {"name": row, "title": title}, **config}
        (path / "config.yaml").write_text(json.dumps(saved))
        return path

    def log(self, row: str, seed: int, lines: Iterable[Mapping[str, Any]], version: int = 0) -> Path:
        """Write metrics.csv of one start; steps count from 0 as the logger's do."""
        path = self.start(row, seed) / f"logs/version_{version}/metrics.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = list(lines)
        names = ["epoch", "step", *sorted({name for line in lines for name in line} - {"epoch", "step"})]
        text = [",".join(names), *(",".join(str(line.get(name, "")) for name in names) for line in lines)]
        path.write_text("\n".join(text) + "\n")
        return path

    def learn(self, row: str, seed: int, steps: int, gain: float, every: int = 10, first: int = 0) -> None:
        """Log a training: losses that fall, scores that rise by `gain` dB."""
        lines: list[dict[str, Any]] = []
        for step in range(first + every - 1, steps, every):
            wave = math.sin(step * 0.7 + 3 * seed + len(row))
            loss = 0.05 + 0.2 * math.exp(-step / 200) + 0.01 * wave
            lines.append(
                {"step": step, "train/content": loss, "train/frequency": 2 * loss, "train/loss": 3 * loss}
                | {"lr": 1e-3 * (1 - step / (steps + 1))}
            )
            if (step + 1) % (10 * every) == 0:
                psnr = 28 + gain * (1 - math.exp(-step / 250)) + 0.05 * wave
                lines.append({"step": step, "val/psnr": psnr, "val/ssim": 0.9 + psnr / 1000})
        self.log(row, seed, lines)

    def say(self, row: str, seed: int, *lines: str) -> None:
        """Append to what a job printed."""
        with (self.start(row, seed) / "job.out").open("a") as file:
            file.writelines(f"{line}\n" for line in lines)

    def finish(self, row: str, seed: int, psnr: float, title: str | None = None, shift: float = 0.05) -> None:
        """Write a completion record with scores of eight sequences."""
        images = spread_out(psnr, shift=shift)
        scores = {"images": len(images), "per_image": images}
        changes = {f"scores.{self.data}.{key}": value for key, value in scores.items()}
        changes |= {"title": title or TITLES.get(row, row), "study": self.study, "training.data": self.data}
        self.start(row, seed)
        self.store.write(row, seed, psnr, table=self.study, data=self.data, changes=changes)

    def picture(self, row: str, seed: int = 0, step: int = 100, names: tuple[str, ...] = ("a/1", "b/2")) -> Path:
        """Write validation.png; every picture has another colour."""
        height, width = SIZE
        sheets, images, top = [], [], 0
        shade = 20 + sum(map(ord, row)) % 200
        for index, name in enumerate(names):
            blur, restored, sharp = (
                np.full((height, width, 3), (red, 40 * index, 90), np.uint8) for red in (0, shade, 255)
            )
            sheets.append(np.pad(comparison(blur, restored, sharp), ((0, 4), (0, 0), (0, 0))))
            images.append({"name": name, "panels": panels(height, width, top)})
            top += sheets[-1].shape[0]
        about = PngInfo()
        about.add_text("panels", json.dumps({"step": step, "images": images}))
        path = self.start(row, seed) / "validation.png"
        Image.fromarray(np.concatenate(sheets)).save(path, pnginfo=about)
        return path

    def hold(self, folder: Path, pid: int | None = None, host: str | None = None) -> None:
        """Write the lock of a process, by default this one."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".lock").write_text(f"process {pid or os.getpid()} on {host or socket.gethostname()}")

    def plan(
        self, jobs: Mapping[tuple[str, int], str], alive: bool = True, reason: str = "", name: str = "one"
    ) -> Path:
        """Write what a sweep says of its jobs by row and seed: new, begun, finished, done or failed."""
        place = self.root / ".sweep" / name
        place.mkdir(parents=True, exist_ok=True)
        if alive:
            self.hold(place)
        listed = [
            {"folder": f"{self.data}/{row}/seed{seed}", "status": status, "reason": reason * (status == "failed")}
            for (row, seed), status in jobs.items()
        ]
        (place / "jobs.json").write_text(json.dumps({"jobs": listed}))
        return place
