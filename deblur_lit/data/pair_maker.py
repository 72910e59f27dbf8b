"""Making and writing synthesised pairs: what they depend on, where they go, and the work itself."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress

from deblur_lit.data import exposures
from deblur_lit.data.exposures import Exposure, Source
from deblur_lit.data.faults import DataError
from deblur_lit.data.folders import SPLITS, divide
from deblur_lit.data.images import RGB, write_jpeg, write_png
from deblur_lit.data.pairs import Pair
from deblur_lit.data.synthesis import Camera, Response, expose, synthesize


@dataclass(frozen=True)
class Recipe:
    """Everything but the sources that the pairs depend on; lengths of `camera` are pixels."""

    kind: exposures.Kind
    average: tuple[int, int]
    stride: int | None
    response: str
    curve: list[float] | None
    noise: float  # standard deviation in grey levels, on the blurred side
    jpeg: int | None  # quality, of the blurred side
    per_photo: int
    camera: dict[str, Any] | None
    split: str | None
    seed: int


class Job(NamedTuple):
    """A pair to make: from which frames, and where to."""

    source: Source
    exposure: Exposure
    blur: Path
    sharp: Path


def plan(recipe: Recipe, sources: list[Source], folder: Path, val_share: float, test_share: float) -> list[Job]:
    """Return every pair to make, with its place `<split>/<sequence>/{blur,sharp}/<number>`.

    Sources are divided into splits as `Folders` divides subfolders. Where there are too few, each is cut into
    blocks, and exposures that would share frames with another block are left out.

    Raises:
        DataError: if there are too few frames, or photographs, to divide.
    """
    planned: dict[str, tuple[Source, Exposure]] = {}
    for source in sources:
        draw = _generator(recipe, source.name, "plan")
        for exposure in exposures.plan(source, recipe.average, recipe.stride, recipe.per_photo, draw):
            planned[f"{source.name}/{exposure.number:06d}"] = source, exposure
    if not planned:
        raise DataError(f"{sources[0].path}: too few frames for one exposure of {recipe.average[0]}")
    pairs = [Pair(name, source.name, source.path, source.path) for name, (source, _) in planned.items()]
    if recipe.kind == "photos" and len(sources) < len(SPLITS) and not recipe.split:
        raise DataError(f"{sources[0].path}: a photograph belongs to one split; give at least 3, or set --split")
    parts = {recipe.split: pairs} if recipe.split else divide(pairs, folder, val_share, test_share)
    jobs = []
    reached: dict[str, tuple[str, int]] = {}  # by source the latest split, and the end of its last exposure
    for split, part in parts.items():
        for pair in part:
            *block, sequence, number = pair.name.split("/")
            source, exposure = planned[f"{sequence}/{number}"]
            before, end = reached.get(sequence, (split, 0))
            if before != split and exposure.first < end:
                continue
            reached[sequence] = split, exposure.first + exposure.frames
            place = folder / split / (f"{sequence}-{split}" if block else sequence)
            blur = f"blur/{number}.{'png' if recipe.jpeg is None else 'jpg'}"
            jobs.append(Job(source, exposure, place / blur, place / f"sharp/{number}.png"))
        if not any(job.sharp.is_relative_to(folder / split) for job in jobs):
            raise DataError(
                f"{sources[0].path}: no exposure is left for {split} that shares no frame with another split; give "
                "more frames, larger shares or a larger --stride, or set --split"
            )
    return jobs


def make_all(recipe: Recipe, jobs: list[Job], threads: int) -> None:
    """Make pairs in threads while the sources are read, a few exposures ahead at most.

    Raises:
        DataError: as `exposures.windows` does.
        OSError: if the disk is full.
    """
    with Progress(console=Console(stderr=True)) as bar, ThreadPoolExecutor(threads) as pool:
        task = bar.add_task("Making pairs", total=len(jobs))
        waiting: deque[Future[None]] = deque()
        try:
            for work in _work(recipe, jobs):
                waiting.append(pool.submit(work))
                if len(waiting) > 2 * threads:
                    waiting.popleft().result()
                    bar.advance(task)
            for future in waiting:
                future.result()
                bar.advance(task)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _work(recipe: Recipe, jobs: list[Job]) -> Iterator[Callable[[], None]]:
    for source in dict.fromkeys(job.source for job in jobs):
        of_source = {job.exposure: job for job in jobs if job.source == source}
        if source.kind == "photos":
            ((_, [photograph]),) = exposures.windows(source, [Exposure(1, 0, 1)])
            yield from (partial(_make, recipe, job, [photograph]) for job in of_source.values())
        else:
            for exposure, frames in exposures.windows(source, list(of_source)):
                yield partial(_make, recipe, of_source[exposure], frames)


def _make(recipe: Recipe, job: Job, frames: list[RGB]) -> None:
    """Make one pair and write it."""
    response: Response = torch.tensor(recipe.curve) if recipe.curve else recipe.response  # type: ignore[assignment]
    draw = _generator(recipe, job.source.name, str(job.exposure.number))
    if recipe.camera:
        generator = torch.Generator().manual_seed(int(draw.integers(2**53)))
        blur, sharp = synthesize(frames[0], generator, Camera(**recipe.camera), response)
    else:
        video = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float()
        blur = np.ascontiguousarray(expose(video, response).round().byte().permute(1, 2, 0).numpy())
        sharp = frames[len(frames) // 2]
    if recipe.noise:
        blur = (blur + draw.normal(0, recipe.noise, blur.shape)).round().clip(0, 255).astype(np.uint8)
    for path in (job.blur, job.sharp):
        path.parent.mkdir(parents=True, exist_ok=True)
    if recipe.jpeg is None:
        write_png(job.blur, blur)
    else:
        write_jpeg(job.blur, blur, recipe.jpeg)
    write_png(job.sharp, sharp)


def _generator(recipe: Recipe, sequence: str, purpose: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{recipe.seed}/{sequence}/{purpose}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))
