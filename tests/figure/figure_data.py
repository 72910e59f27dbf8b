"""Four small pairs, and how their files are read."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

HEIGHT, WIDTH = 36, 48
FRAMES = ["a/000001", "a/000002", "b/000001", "b/000002"]

Pixels = npt.NDArray[np.uint8]
Evaluate = Callable[..., Path]


def read(path: Path) -> Pixels:
    return np.asarray(Image.open(path))


def pair(root: Path, frame: str) -> tuple[Pixels, Pixels]:
    """Blurred and sharp frame."""
    sequence, number = frame.split("/")
    return read(root / f"test/{sequence}/blur/{number}.png"), read(root / f"test/{sequence}/sharp/{number}.png")


def table(folder: Path) -> dict[str, dict[str, str]]:
    """Rows of per_image.csv by name."""
    with (folder / "per_image.csv").open() as file:
        return {row["name"]: row for row in csv.DictReader(file)}
