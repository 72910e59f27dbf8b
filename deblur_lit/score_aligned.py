"""Scores of aligned pairs, kept on disk: alignment takes seconds an image, and a benchmark has a thousand."""

import hashlib
import json
import math
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from deblur_lit.user_cache import cache_folder

if TYPE_CHECKING:
    from deblur_lit.metrics.levels import LevelPair


def measure_aligned(pair: "LevelPair", names: Sequence[str]) -> dict[str, float]:
    """Return scores of aligned protocols, computed or from a call before; remarks are added to the pair.

    A score belongs to the pixels of both images and to the code that measures it: it is found again under other file
    names, and never after either has changed. Where nothing can be written, nothing is kept.
    """
    from deblur_lit.metrics.measure import measure

    path = cache_folder() / "scores" / f"{_key(pair)}.json"
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        known = {name: float(kept["scores"][name]) for name in names}  # "inf" and "nan" too
    except (OSError, ValueError, KeyError):
        pass
    else:
        pair.remarks += kept["remarks"]
        return known
    found = measure(pair, names)
    texts = {name: value if math.isfinite(value) else str(value) for name, value in found.items()}
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps({"scores": texts, "remarks": pair.remarks}), encoding="utf-8")
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
    return found


def _key(pair: "LevelPair") -> str:
    digest = hashlib.blake2b(_code(), digest_size=20)
    for image in pair.rounded:
        digest.update(f"{image.shape}".encode())
        digest.update(image.tobytes())
    return digest.hexdigest()


@cache
def _code() -> bytes:
    """Return a hash of what aligns and measures."""
    from deblur_lit import metrics

    digest = hashlib.blake2b()
    for path in sorted(Path(str(metrics.__file__)).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.digest()
