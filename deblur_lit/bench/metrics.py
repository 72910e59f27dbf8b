"""`deblur-lit bench metrics`: each protocol on one 1280x720 pair, beside scikit-image where it has the same."""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deblur_lit import runs

FRAME = (720, 1280)
ROUNDS = 9  # in which the calls take turns; medians over rounds
NOISE = 2.0  # grey levels
TOLERANCE = 1e-7  # within which a form has to be the same as scikit-image's
SKIMAGE: dict[str, dict[str, Any]] = {  # options of structural_similarity
    "ssim_gauss_valid_rgb": {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False},
    "ssim_gauss_samplecov_rgb": {"gaussian_weights": True, "sigma": 1.5},
    "ssim_uniform7_rgb": {},
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of the command."""
    parser.add_argument(
        "--threads", type=int, default=runs.cores(), help="cores for all protocols together (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, help="also write the figures there")


def run(options: argparse.Namespace) -> int:
    """Measure and print, each protocol on one core and all together on several.

    The forms that scikit-image has are first shown to be equal.

    Raises:
        RuntimeError: if a form differs from scikit-image's.
    """
    from deblur_lit.metrics import score
    from deblur_lit.metrics.protocols import unaligned

    pair = _pair()
    names = unaligned()
    values = score(*pair, names, options.threads)
    apart = {name: abs(values[name] - _skimage(*pair, name)) for name in SKIMAGE}
    for name, difference in apart.items():
        if not difference < TOLERANCE:
            raise RuntimeError(f"{name} differs from scikit-image by {difference:.1e}")
    calls: dict[str, Callable[[], Any]] = {}
    for name in names:
        calls[name] = partial(score, *pair, [name], 1)  # on one core, for scikit-image has no more
        if name in SKIMAGE:  # right after ours, so that both see the same load
            calls[f"skimage {name}"] = partial(_skimage, *pair, name)
    calls[f"all {len(names)} together"] = partial(score, *pair, names, options.threads)
    wall, cpu = measure(calls)
    figures: dict[str, Any] = {
        "threads": options.threads,
        "ms": {name: wall[name] for name in calls if not name.startswith("skimage")},
        "cpu_ms": {name: cpu[name] for name in calls if not name.startswith("skimage")},
        "skimage_ms": {name: wall[f"skimage {name}"] for name in SKIMAGE},
        "ratio": {name: wall[f"skimage {name}"] / wall[name] for name in SKIMAGE},
        "cpu_ratio": {name: cpu[f"skimage {name}"] / cpu[name] for name in SKIMAGE},
        "difference": apart,
    }
    _print(figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0


def measure(calls: dict[str, Callable[[], Any]]) -> tuple[dict[str, float], dict[str, float]]:
    """Return (wall, cpu) milliseconds of each call, medians over rounds in which the calls take turns.

    CPU time, summed over threads, does not grow when other work has the cores.
    """
    clocks = (time.perf_counter, time.process_time)
    times: dict[str, list[list[float]]] = {name: [] for name in calls}
    for _ in range(ROUNDS + 1):  # the first warms up
        for name, call in calls.items():
            start = [clock() for clock in clocks]
            call()
            times[name].append([1e3 * (clock() - begun) for clock, begun in zip(clocks, start, strict=True)])
    wall, cpu = (
        {name: statistics.median(each[kind] for each in found[1:]) for name, found in times.items()} for kind in (0, 1)
    )
    return wall, cpu


def _pair() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return (restored, sharp), a mosaic of an embedded photograph with noise, blurred and not."""
    import cv2

    from deblur_lit.data.mini import read_scene

    generator = np.random.default_rng(0)
    picture = read_scene("facade")[0]
    repeats = [-(-side // have) for side, have in zip(FRAME, picture.shape, strict=False)]
    image: NDArray[Any] = np.tile(picture, (*repeats, 1))[: FRAME[0], : FRAME[1]].astype(np.float32)
    sharp: NDArray[Any] = (image + generator.normal(0, NOISE, image.shape)).round().clip(0, 255).astype(np.uint8)
    restored: NDArray[Any] = cv2.GaussianBlur(sharp, (0, 0), 1.0)
    return restored, sharp


def _skimage(restored: NDArray[np.uint8], sharp: NDArray[np.uint8], name: str) -> float:
    from skimage.metrics import structural_similarity

    similarity: Any = structural_similarity
    return float(similarity(sharp, restored, channel_axis=-1, data_range=255, **SKIMAGE[name]))


def _print(figures: dict[str, Any]) -> None:
    print(f"one pair of {FRAME[1]}x{FRAME[0]}, 8-bit RGB; each protocol on one core")
    for name, ours in figures["ms"].items():
        cores = f" on {figures['threads']} cores" if name.startswith("all") else ""
        line = f"  {name:26} {ours:6.1f} ms, {figures['cpu_ms'][name]:6.1f} ms of CPU time{cores}"
        if name in figures["ratio"]:
            line += f"; scikit-image {figures['skimage_ms'][name]:6.1f} ms, {figures['ratio'][name]:4.1f} x,"
            line += f" CPU time {figures['cpu_ratio'][name]:4.1f} x, difference {figures['difference'][name]:.0e}"
        print(line)
