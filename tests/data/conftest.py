"""Tiny data sets on disk."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from deblur_lit.data.images import RGB, write_png

MakeTree = Callable[..., Path]


def picture(seed: int, height: int = 40, width: int = 48) -> RGB:
    """Noise, so that every crop and every flip is another one."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def make_tree(tmp_path: Path) -> MakeTree:
    """Write `<split>/<sequence>/{blur,sharp}/<frame>.png`; `make({"train": {"a": 3}})` returns the root."""

    def make(splits: Mapping[str, Mapping[str, int]], height: int = 40, width: int = 48) -> Path:
        root = tmp_path / "gopro"
        for split, sequences in splits.items():
            for number, (sequence, frames) in enumerate(sequences.items()):
                for side in ("blur", "sharp"):
                    (root / split / sequence / side).mkdir(parents=True)
                for frame in range(1, frames + 1):
                    sharp = picture(1000 * number + frame, height, width)
                    write_png(root / split / sequence / "sharp" / f"{frame:06d}.png", sharp)
                    write_png(root / split / sequence / "blur" / f"{frame:06d}.png", 255 - sharp)
        return root

    return make
