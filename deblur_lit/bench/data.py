"""`deblur-lit bench data`: what a random training crop costs, on one core, in four ways of reading."""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from deblur_lit.data.pairs import PairList
    from deblur_lit.data.samples import Crops

    Read = Callable[[tuple[int, int]], Any]  # (epoch, index) to one sample

BATCH = 4  # crops that are stacked, as in training
ROUNDS = 7  # the ways take turns; medians over rounds
FRAME = (720, 1280)
NOISE = 2.0  # grey levels, so that PNG files are as long as those of camera frames
SHARE = {"PIL": 1, "OpenCV": 1, "files": 2, "cache": 50}  # batches of a round


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of the command."""
    parser.add_argument(
        "--root", type=Path, help="GoPro's folder, whose test frames are read (default: frames made here)"
    )
    parser.add_argument("--crop", type=int, default=256, help="side in pixels (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="also write the figures there")


def run(options: argparse.Namespace) -> int:
    """Measure and print; crops of all ways are first shown to be equal.

    Raises:
        FileNotFoundError: if there are no frames below `root`.
        RuntimeError: if two ways give different pixels.
    """
    import cv2
    import torch

    threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as place:
        files, cached = _data(options.root, Path(place))
        ways = _ways(files, cached, options.crop)
        _check_equal(files, cached, options.crop)
        figures = measure(ways)
        figures["bytes"] = {
            "files": round(statistics.mean(path.stat().st_size for p in files.pairs for path in (p.blur, p.sharp)) * 2),
            "cache": 6 * options.crop**2,
        }
        figures["parts"] = _parts(cached, options.crop)
    torch.set_num_threads(threads[0])
    cv2.setNumThreads(threads[1])
    _print(figures, len(files), files.size(0), options)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0


def measure(ways: "dict[str, Read]") -> dict[str, Any]:
    """Return crop pairs per second of each way, median over rounds in which the ways take turns, and ratios to PIL."""
    from deblur_lit.data.samples import collate

    rates: dict[str, list[float]] = {name: [] for name in ways}
    for epoch in range(ROUNDS + 1):  # the first warms up
        for name, read in ways.items():
            start = time.perf_counter()
            for batch in range(SHARE[name]):
                samples = [read((epoch, BATCH * batch + i)) for i in range(BATCH)]
                _to_floats(samples) if name in ("PIL", "OpenCV") else collate(samples)
            rates[name].append(SHARE[name] * BATCH / (time.perf_counter() - start))
    medians = {name: statistics.median(found[1:]) for name, found in rates.items()}
    return {"pairs_per_s": medians, "ratio": {name: rate / medians["PIL"] for name, rate in medians.items()}}


def _data(root: Path | None, place: Path) -> "tuple[PairList, PairList]":
    """Return the frames from their files and from a cache made of them."""
    from deblur_lit.data import cache
    from deblur_lit.data.paired_folder import PairedFolder

    if root is None:
        root = place / "gopro"
        _write_frames(root)
    files = PairedFolder(root, "test")
    cache.build(files, place / "frames")
    return files, cache.CachedPairs(files, place / "frames")


def _write_frames(root: Path) -> None:
    """Write four pairs of mosaics of the embedded photographs, noisy as a camera's."""
    import cv2

    from deblur_lit.data.images import write_png
    from deblur_lit.data.mini import read_scene

    generator = np.random.default_rng(0)
    for number, scene in enumerate(("boats", "facade", "peaks", "stream")):
        picture = read_scene(scene)[0]
        repeats = [-(-side // have) for side, have in zip(FRAME, picture.shape, strict=False)]
        sharp = np.tile(picture, (*repeats, 1))[: FRAME[0], : FRAME[1]].astype(np.float32)
        for side, image in (("sharp", sharp), ("blur", cv2.blur(sharp, (7, 7)))):
            path = root / "test" / scene / side / f"{number:06d}.png"
            path.parent.mkdir(parents=True)
            write_png(path, (image + generator.normal(0, NOISE, image.shape)).round().clip(0, 255).astype(np.uint8))


def _ways(files: "PairList", cached: "PairList", crop: int) -> "dict[str, Read]":
    """Return one reader for each way: PIL and OpenCV decode two whole files, crop, flip and make floats."""
    return {
        "PIL": lambda key: _crop_decoded(files, key, crop, _read_pil),
        "OpenCV": lambda key: _crop_decoded(files, key, crop, _read_opencv),
        "files": _crops(files, crop).__getitem__,
        "cache": _crops(cached, crop).__getitem__,
    }


def _crops(pairs: "PairList", crop: int) -> "Crops":
    import albumentations

    from deblur_lit.data.samples import Crops
    from deblur_lit.data.transforms import PairTransform

    return Crops(pairs, crop, PairTransform([albumentations.HorizontalFlip(p=0.5)]), seed=0)


def _crop_decoded(pairs: "PairList", key: tuple[int, int], crop: int, read: Callable[[Path], Any]) -> Any:
    from deblur_lit.data.transforms import crop_offset

    generator = np.random.default_rng([0, *key])
    pair = pairs.pairs[key[1] % len(pairs)]
    images = [read(path) for path in (pair.blur, pair.sharp)]
    height, width = images[0].shape[:2]
    top, left = crop_offset(generator, height, width, crop)
    step = -1 if generator.random() < 0.5 else 1
    return [image[top : top + crop, left : left + crop][:, ::step] for image in images]


def _read_pil(path: Path) -> Any:
    from PIL import Image

    return np.asarray(Image.open(path))


def _read_opencv(path: Path) -> Any:
    import cv2

    return cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)


def _to_floats(samples: list[Any]) -> Any:
    """Stack pairs as (B, 3, H, W) float32 in [0, 1], which loaders of published code do on the CPU."""
    import torch

    sides = [np.ascontiguousarray(np.stack(side).transpose(0, 3, 1, 2)) for side in zip(*samples, strict=True)]
    return [torch.from_numpy(side).float().div_(255) for side in sides]


def _check_equal(files: "PairList", cached: "PairList", crop: int) -> None:
    """Compare all ways on crops of every frame, and the augmented samples of the two ways that are ours."""
    ours, theirs = _crops(cached, crop), _crops(files, crop)
    for index in range(len(files)):
        pair = files.pairs[index]
        expected = cached.read(index)
        for read in (_read_pil, _read_opencv):
            if not all(
                np.array_equal(read(path), image) for path, image in zip((pair.blur, pair.sharp), expected, strict=True)
            ):
                raise RuntimeError(f"{pair.blur}: {read.__name__} decodes other pixels than the cache holds")
        one: Any = ours[0, index]
        two: Any = theirs[0, index]
        if not (np.array_equal(one["blur"], two["blur"]) and np.array_equal(one["sharp"], two["sharp"])):
            raise RuntimeError(f"{pair.name}: the crop from the cache is not the crop from the files")


def _parts(cached: "PairList", crop: int) -> dict[str, float]:
    """Return microseconds a crop pair: drawing, reading rows, augmenting, stacking; and a bare copy of its bytes."""
    from deblur_lit.data.samples import Sample, collate
    from deblur_lit.data.transforms import crop_offset

    augment = _crops(cached, crop).augment
    generator = np.random.default_rng(0)
    blur, sharp = (np.array(image) for image in cached.read(0, 0, 0, crop, crop))
    sample = Sample(blur=blur, sharp=sharp, name="")
    draws: Iterator[int] = iter(range(10**9))
    return {
        "draw": _microseconds(lambda: crop_offset(np.random.default_rng([0, 0, next(draws)]), *FRAME, crop)),
        "read rows": _microseconds(lambda: cached.read(next(draws) % len(cached), 7, 7, crop, crop)),
        "augment": _microseconds(lambda: augment(blur, sharp, generator)),
        "stack": _microseconds(lambda: collate([sample] * BATCH)) / BATCH,
        "(bare copy)": _microseconds(lambda: (blur.copy(), sharp.copy())),
    }


def _microseconds(call: Callable[[], Any]) -> float:
    times = []
    for _ in range(300):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


def _print(figures: dict[str, Any], frames: int, size: tuple[int, int], options: argparse.Namespace) -> None:
    source = options.root or "made of the embedded photographs, with noise"
    print(
        f"{frames} pairs of {size[1]}x{size[0]} ({source}), {options.crop}x{options.crop} crops, one core, warm files"
    )
    texts = {
        "PIL": "PNG by PIL, float on the CPU",
        "OpenCV": "PNG by OpenCV, float on the CPU",
        "files": "PNG, deblur_lit, augmented",
        "cache": "cache, deblur_lit, augmented",
    }
    for name, text in texts.items():
        touched = figures["bytes"]["cache" if name == "cache" else "files"]
        rate, ratio = figures["pairs_per_s"][name], figures["ratio"][name]
        print(f"  {text:32} {rate:9.1f} crop pairs/s {ratio:7.1f} x PIL {touched / 1e6:7.2f} MB read a pair")
    parts = ", ".join(f"{name} {value:.0f}" for name, value in figures["parts"].items())
    print(f"  cache, microseconds a crop pair: {parts}")
