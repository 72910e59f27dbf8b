"""A folder of training pairs from the listed photographs: which piece of which photograph makes which pair."""

import hashlib
import json
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch.utils.data import DataLoader, Dataset

from deblur_lit import runs
from deblur_lit.data import photographs
from deblur_lit.data.faults import DataError
from deblur_lit.data.images import RGB, write_png
from deblur_lit.data.photo_exposure import PhotoRecipe, expose_photo
from deblur_lit.data.photographs import Photograph
from deblur_lit.data.sampler import use_one_thread

MANIFEST = "manifest.yaml"  # written last
SMALLEST = 0.6  # scale of a piece against its photograph, where that is large enough
SMALLEST_ASKEW = 0.3  # of a piece that is turned and stretched
LOOKS = 6  # places that are looked at for each piece; the one with most detail is taken
EVEN = (0.4, 1.6)  # fewest and most pairs of a photograph against equal shares


class _Job(NamedTuple):
    split: str
    name: str
    number: int


def build(folder: Path, listed: list[Photograph], recipe: PhotoRecipe, pairs: dict[str, int], seed: int) -> str:
    """Write `<split>/<photograph>/{blur,sharp}/<number>.png`, what is there already excepted.

    Args:
        folder: of the pairs.
        listed: the photographs; a pair shows those of one split only.
        recipe: ranges of the draws; pairs that are not trained on all show blur.
        pairs: number of pairs of each split.
        seed: of all draws; a pair depends on it, on its photograph and number, and on the photographs of its split.

    Returns:
        sha256 of all files of the pairs, which `manifest.yaml` holds too.

    Raises:
        DataError: if the folder was begun with other settings, or a photograph is too small.
        OSError: if it cannot be written.
    """
    images = {photograph.name: photographs.read(photograph) for photograph in listed}
    for name, image in images.items():
        if min(image.shape[:2]) < recipe.seen:
            raise DataError(f"photograph {name!r} is {image.shape[:2]}, too small for a piece of {recipe.seen} pixels")
    made = {
        "recipe": json.loads(json.dumps(asdict(recipe))),
        "pairs": dict(pairs),
        "seed": seed,
        "photographs": {photograph.name: photograph.sha256 for photograph in listed},
    }
    jobs = _plan(listed, images, pairs)
    with runs.lock(folder):
        _begin(folder / ".recipe.yaml", made)
        todo = [job for job in jobs if not all(path.is_file() for path in _paths(folder, job))]
        splits = {split: [p.name for p in listed if p.split == split] for split in pairs}
        _make_all(todo, partial(_make, folder, images, splits, recipe, seed))
        digest = _hash(folder, jobs)
        (folder / MANIFEST).write_text(yaml.safe_dump(made | {"sha256": digest}, sort_keys=False), encoding="utf-8")
    return digest


def recolour(piece: RGB, draw: np.random.Generator) -> RGB:
    """Return a piece with other brightness, contrast and colours: gamma, a gain of each channel, sometimes grey."""
    light = (piece.astype(np.float32) / 255) ** np.float32(np.exp(draw.uniform(-0.35, 0.35)))
    light = light * draw.uniform(0.85, 1.15, 3).astype(np.float32)
    if draw.random() < 0.05:
        light = np.repeat(light.mean(axis=2, keepdims=True), 3, axis=2)
    elif draw.random() < 0.15:
        light = light[..., draw.permutation(3)]
    return np.ascontiguousarray((light * 255).clip(0, 255).round().astype(np.uint8))


def cut(image: RGB, side: int, draw: np.random.Generator) -> RGB:
    """Return a square piece at a random scale and place, turned or mirrored; of a few places that with most detail."""
    smallest = min(1.0, max(SMALLEST, side / min(image.shape[:2])))
    wide = min(round(side / draw.uniform(smallest, 1.0)), *image.shape[:2])
    best, most = None, -1.0
    for _ in range(LOOKS):
        top, left = (int(draw.integers(length - wide + 1)) for length in image.shape[:2])
        piece = image[top : top + wide, left : left + wide]
        detail = _detail(piece)
        if detail > most:
            best, most = piece, detail
    assert best is not None
    return _reduced(np.rot90(best, int(draw.integers(4))), side, draw)


def cut_askew(image: RGB, side: int, draw: np.random.Generator, tilt: float, stretch: float) -> RGB:
    """Return a square piece at a random scale, turned by any angle and stretched along one direction.

    Few photographs then show edges of all directions, and of all widths along each.

    Args:
        image: a photograph.
        side: of the piece in pixels.
        draw: source of the numbers.
        tilt: largest turn in degrees.
        stretch: largest ratio of the scales of the two axes.
    """
    height, width = image.shape[:2]
    turn = np.deg2rad(draw.uniform(-tilt, tilt))
    ratio = np.exp(0.5 * draw.uniform(-1, 1) * np.log(stretch))
    scale = np.exp(draw.uniform(np.log(SMALLEST_ASKEW), 0))
    turning = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    axes = turning @ np.diag([ratio, 1 / ratio]) / scale  # from the piece to the photograph, in pixels
    needs = np.abs(axes).sum(axis=1) * side
    axes = axes * min(1.0, *(np.array([width, height]) / (needs + 2)))
    columns, rows = (np.abs(axes).sum(axis=1) * side).astype(int) + 1
    places = [(int(draw.integers(height - rows + 1)), int(draw.integers(width - columns + 1))) for _ in range(LOOKS)]
    top, left = max(places, key=lambda place: _detail(image[place[0] : place[0] + rows, place[1] : place[1] + columns]))
    finer = max(1, int(np.ceil(np.linalg.norm(axes, axis=0).max())))  # no pixel of the photograph is left out
    grid = axes / finer
    middle = np.array([left + (columns - 1) / 2, top + (rows - 1) / 2])
    offset = middle - grid @ np.full(2, (side * finer - 1) / 2)
    piece = cv2.warpAffine(
        image,
        np.column_stack([grid, offset]),
        (side * finer, side * finer),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT,
    )
    return _reduced(piece, side, draw)


def _reduced(piece: NDArray[Any], side: int, draw: np.random.Generator) -> RGB:
    """Return a piece at its size, every other time mirrored."""
    piece = piece[:, ::-1] if draw.random() < 0.5 else piece
    small: RGB = cv2.resize(np.ascontiguousarray(piece), (side, side), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    return small


def _detail(image: RGB) -> float:
    """Return the mean step between neighbours of the green channel, in grey levels."""
    return float(np.abs(np.diff(image[::2, :, 1].astype(np.int16), axis=1)).mean())


def _plan(listed: list[Photograph], images: dict[str, RGB], pairs: dict[str, int]) -> list[_Job]:
    """Divide the pairs of each split among its photographs: more to those with more detail."""
    jobs = []
    for split, number in pairs.items():
        names = [photograph.name for photograph in listed if photograph.split == split]
        if not names:
            raise DataError(f"no photograph of {photographs.LIST} serves for {split}")
        detail = np.array([_detail(images[name]) for name in names])
        share = np.clip(detail / detail.mean(), *EVEN)
        bounds = (np.cumsum(share) / share.sum() * number).round().astype(int)
        for name, first, last in zip(names, [0, *bounds[:-1]], bounds, strict=True):
            jobs += [_Job(split, name, index + 1) for index in range(last - first)]
    return jobs


class _Making(Dataset[int]):
    """Makes the pair of a job when it is asked for it: a DataLoader then does so in many processes."""

    def __init__(self, jobs: list[_Job], make: Callable[[_Job], None]) -> None:
        self.jobs = jobs
        self.make = make

    def __len__(self) -> int:
        return len(self.jobs)

    def __getitem__(self, index: int) -> int:
        self.make(self.jobs[index])
        return index


def _make_all(jobs: list[_Job], make: Callable[[_Job], None]) -> None:
    """Make pairs in as many processes as there are cores, each with one thread: threads wait for Python's lock."""
    loader: DataLoader[int] = DataLoader(
        _Making(jobs, make),
        batch_size=None,
        num_workers=min(runs.cores(), len(jobs)),
        worker_init_fn=use_one_thread,
    )
    deque(track(loader, "Making pairs", len(jobs), console=Console(stderr=True)), maxlen=0)


def _make(
    folder: Path, images: dict[str, RGB], splits: dict[str, list[str]], recipe: PhotoRecipe, seed: int, job: _Job
) -> None:
    digest = hashlib.sha256(f"{seed}/{job.split}/{job.name}/{job.number}".encode()).digest()
    draw = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    if job.split != "train":
        recipe = replace(recipe, sharp_share=0.0)  # equal sides have an infinite PSNR, and any mean of it too
    names = [job.name, *draw.choice(splits[job.split], 2)]
    askew = recipe.tilt > 0 or recipe.stretch > 1
    take = partial(cut_askew, tilt=recipe.tilt, stretch=recipe.stretch) if askew else cut
    piece, *others = (recolour(take(images[name], recipe.seen, draw), draw) for name in names)
    blur, sharp = expose_photo(piece, others, recipe, draw)
    for path, image in zip(_paths(folder, job), (blur, sharp), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(path, image)


def _paths(folder: Path, job: _Job) -> tuple[Path, Path]:
    place = folder / job.split / job.name
    return place / f"blur/{job.number:06d}.png", place / f"sharp/{job.number:06d}.png"


def _begin(note: Path, made: dict[str, Any]) -> None:
    """Write down what is made in the folder; refuse one that something else is made in."""
    if note.is_file() and (before := yaml.safe_load(note.read_text(encoding="utf-8"))) != made:
        differ = sorted(key for key in made if before.get(key) != made[key])
        raise DataError(
            f"{note.parent} was begun with other values of {', '.join(differ)}: remove it, or choose another"
        )
    note.write_text(yaml.safe_dump(made, sort_keys=False), encoding="utf-8")


def _hash(folder: Path, jobs: list[_Job]) -> str:
    digest = hashlib.sha256()
    for job in jobs:
        for path in _paths(folder, job):
            digest.update(f"{path.relative_to(folder).as_posix()}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
