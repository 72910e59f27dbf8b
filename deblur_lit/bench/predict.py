"""`deblur-lit bench predict`: what a large photo costs in time and memory, and what tiles change."""

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deblur_lit import runs

if TYPE_CHECKING:
    from deblur_lit.predict.deblurrer import Deblurrer

MIB = 2**20
COMPARED = (720, 1280)  # of the part that is restored whole too
SIDE = 256  # pixels: of the tiles that it is cut into then
NOISE = 2.0  # grey levels
TURNS = 5  # of the guard, whose median counts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of the command."""
    parser.add_argument("--megapixels", type=float, default=12.0, help="of the photo (default: %(default)s)")
    parser.add_argument("--memory", default="2G", help="that may be resident in all (default: %(default)s)")
    parser.add_argument("--network", metavar="NAME", help="default: the one that comes with the package")
    parser.add_argument("--checkpoint", type=Path, help="of that network; without one its weights are random")
    parser.add_argument("--override", action="append", default=[], metavar="KEY=VALUE", help="of that network")
    parser.add_argument("--precision", default="fp32", help="fp32 or bf16 (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=runs.cores(), help="CPU cores (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="also write the figures there")


def run(options: argparse.Namespace) -> int:
    """Restore one photo of the size, and print what was measured; nothing is extrapolated.

    Raises:
        ValueError: for a size that is none, or a memory that is too small.
    """
    import torch
    from rich.console import Console
    from rich.progress import Progress

    from deblur_lit.predict import memory
    from deblur_lit.predict.deblurrer import Deblurrer

    if options.megapixels <= 0:
        raise ValueError(f"--megapixels {options.megapixels}: a photo has some")
    before = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    photo = _photo(options.megapixels)
    network = _network(options)
    deblurrer = Deblurrer(
        network, memory=memory.parse_size(options.memory), precision=options.precision, device=options.device
    )
    started = time.perf_counter()
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("restoring", total=None)
        restored = deblurrer.restore(photo, lambda done, total: bar.update(task, completed=done, total=total))
    seconds = time.perf_counter() - started
    peak = memory.peak()
    figures: dict[str, Any] = {
        "size": list(photo.shape[1::-1]),
        "device": options.device,
        "threads": options.threads,
        "precision": options.precision,
        "network": options.network or "photo",
        "override": options.override,
        "memory_mib": memory.parse_size(options.memory) / MIB,
        "seconds": seconds,
        "seconds_per_megapixel": seconds / photo[..., 0].size * 1e6,
        "peak_mib": peak / MIB,
        "plan": restored.note,
        "fallbacks": len(restored.fallbacks),
        "guard_share": _guard_seconds(photo) / seconds,
        "tiles_change": _tiles_change(deblurrer, photo),
    }
    torch.set_num_threads(before)
    _print(figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0


def _network(options: argparse.Namespace) -> Any:
    from deblur_lit.networks.loading import load_network
    from deblur_lit.pretrained import shipped

    if options.network is None:
        return shipped()
    return load_network(options.network, options.checkpoint, options.override)


def _photo(megapixels: float) -> NDArray[np.uint8]:
    """Return a mosaic of an embedded photograph, 3:2, with noise."""
    from deblur_lit.data.mini import read_scene

    height = max(1, round((megapixels * 1e6 / 1.5) ** 0.5))
    width = max(1, round(megapixels * 1e6 / height))
    picture = read_scene("facade")[0]
    generator = np.random.default_rng(0)
    photo = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, picture.shape[0]):  # in strips: floats of all of it would be the peak
        strip = photo[top : top + picture.shape[0]]
        strip[:] = np.tile(picture, (1, -(-width // picture.shape[1]), 1))[: len(strip), :width]
        noisy = strip + generator.normal(0, NOISE, strip.shape).astype(np.float32)
        strip[:] = np.clip(np.rint(noisy), 0, 255)
    return photo


def _guard_seconds(photo: NDArray[np.uint8]) -> float:
    """Return how long the check of all pixels for harm takes, measured on a part of them."""
    from deblur_lit.predict.guard import fault

    part = photo[: COMPARED[0], : COMPARED[1]].astype(np.float32) / np.float32(255)
    change = np.full_like(part, 0.001)
    times = []
    for _ in range(TURNS):
        started = time.perf_counter()
        fault(part, change)
        times.append(time.perf_counter() - started)
    return sorted(times)[TURNS // 2] * photo.size / part.size


def _tiles_change(deblurrer: "Deblurrer", photo: NDArray[np.uint8]) -> dict[str, float]:
    """Return by how much a part of the photo restored in tiles differs from the same restored whole, in levels."""
    part = photo[: COMPARED[0], : COMPARED[1]].astype(np.float32) / np.float32(255)
    asked, memory = deblurrer.tile, deblurrer.memory
    try:
        deblurrer.memory, deblurrer.tile = None, "off"
        whole = deblurrer.restore(part).image
        deblurrer.tile = SIDE
        apart = 255 * np.abs(deblurrer.restore(part).image - whole)
    finally:
        deblurrer.tile, deblurrer.memory = asked, memory
    return {"max": float(apart.max()), "mean": float(apart.mean())}


def _print(figures: dict[str, Any]) -> None:
    width, height = figures["size"]
    words = " ".join([figures["network"], *figures["override"]])
    where = f"{figures['threads']} cores" if figures["device"] == "cpu" else figures["device"]
    print(f"{width}x{height}, 8-bit RGB, {words}, {figures['precision']} on {where}")
    print(f"  time    {figures['seconds'] / 3600:.3f} h, {figures['seconds_per_megapixel']:.1f} s a megapixel")
    print(f"  memory  {figures['peak_mib']:.0f} MiB resident at most, {figures['memory_mib']:.0f} MiB allowed")
    print(f"  plan    {figures['plan']}; {figures['fallbacks']} tiles fell back")
    print(f"  guard   {100 * figures['guard_share']:.2f} % of the time")
    change = figures["tiles_change"]
    sides = f"{COMPARED[1]}x{COMPARED[0]} in tiles of {SIDE}"
    print(f"  tiles   at most {change['max']:.3g}/255 from the whole, {change['mean']:.2g}/255 in the mean ({sides})")
