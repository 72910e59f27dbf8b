"""Source material of synthesised pairs: videos, folders of frames, photographs; and which frames make which pair."""

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from deblur_lit.data.faults import DataError
from deblur_lit.data.folders import natural_key
from deblur_lit.data.images import RGB, ImageError, read_rgb
from deblur_lit.data.pairs import some
from deblur_lit.data.videos import count_frames, upright_frames

Kind = Literal["video", "frames", "photos"]

IMAGES = (".png", ".jpg", ".jpeg", ".webp")


class Source(NamedTuple):
    """One video, one folder of frames or one photograph; it becomes the sequence `name`."""

    name: str
    path: Path
    kind: Kind
    frames: int


class Exposure(NamedTuple):
    """The frames `first` to `first + frames - 1` of a source, which make its pair `number` (from 1)."""

    number: int
    first: int
    frames: int


def find_sources(kind: Kind, paths: Sequence[Path]) -> list[Source]:
    """Return the sources that paths name: videos, folders of frames (or of such folders), photographs or their folders.

    Raises:
        FileNotFoundError: if a path does not exist.
        DataError: if nothing is found, two sources have one name, or a video cannot be read.
        ValueError: for a video where PyAV is not installed.
    """
    sources = [source for path in paths for source in _sources_of(kind, path)]
    names = [source.name for source in sources]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{some(twice)}: two sources of one name would be written to one folder; rename one of them")
    return sources


def _sources_of(kind: Kind, path: Path) -> list[Source]:
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file or folder")
    if kind == "video":
        if path.is_dir():
            raise DataError(f"{path} is a folder; name the video files, or synthesize frames")
        return [Source(path.stem, path, kind, count_frames(path))]
    if kind == "photos":
        found = _images(path) if path.is_dir() else [path]
        return [Source(photo.stem, photo, kind, 1) for photo in found] or _nothing(path)
    folders = [path, *sorted(folder for folder in path.iterdir() if folder.is_dir())] if path.is_dir() else []
    filled = [(folder, _images(folder)) for folder in folders]
    return [Source(folder.name, folder, kind, len(images)) for folder, images in filled if images] or _nothing(path)


def _nothing(path: Path) -> list[Source]:
    raise DataError(f"{path} holds no images ({', '.join(IMAGES)})")


def _images(folder: Path) -> list[Path]:
    found = [path for path in folder.iterdir() if path.suffix.lower() in IMAGES and not path.name.startswith(".")]
    return sorted(found, key=lambda path: natural_key(path.name))


def plan(
    source: Source, average: tuple[int, int], stride: int | None, per_photo: int, draw: np.random.Generator
) -> list[Exposure]:
    """Return the exposures of a source; frames at its end that do not fill one are left over.

    Args:
        source: where the frames come from.
        average: fewest and most frames of one exposure, both odd; drawn for each where they differ.
        stride: frames from the beginning of one exposure to that of the next; None: no frame in two of them.
        per_photo: exposures of a photograph, each along another path.
        draw: source of the numbers.
    """
    if source.kind == "photos":
        return [Exposure(number, 0, 1) for number in range(1, per_photo + 1)]
    exposures: list[Exposure] = []
    first = 0
    while True:
        frames = average[0] + 2 * int(draw.integers((average[1] - average[0]) // 2 + 1))
        if first + frames > source.frames:
            return exposures
        exposures.append(Exposure(len(exposures) + 1, first, frames))
        first += stride or frames


def windows(source: Source, exposures: Sequence[Exposure]) -> Iterator[tuple[Exposure, list[RGB]]]:
    """Read a source once and give each exposure with its frames, (H, W, 3) uint8.

    Raises:
        ImageError: if a frame cannot be read, or the frames differ in size.
        DataError: if there are fewer than there were at first.
    """
    last = {exposure.first + exposure.frames - 1: exposure for exposure in exposures}
    kept: deque[RGB] = deque(maxlen=max((exposure.frames for exposure in exposures), default=1))
    given = 0
    for index, frame in enumerate(_read(source)):
        if kept and frame.shape != kept[-1].shape:
            size, before = (f"{image.shape[1]}x{image.shape[0]}" for image in (frame, kept[-1]))
            raise ImageError(f"{source.path}: frame {index} is {size}, those before it {before}", "size")
        kept.append(frame)
        if exposure := last.get(index):
            given += 1
            yield exposure, list(kept)[-exposure.frames :]
            if given == len(exposures):
                return
    if given < len(exposures):
        raise DataError(f"{source.path}: ends after {given} of {len(exposures)} exposures; is it cut off?", "truncated")


def source_hash(source: Source) -> str:
    """Return a sha256 (hex) of a file, or of the names and contents of the frames in a folder."""
    digest = hashlib.sha256()
    for path in _images(source.path) if source.path.is_dir() else [source.path]:
        with path.open("rb") as file:
            digest.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\0".encode())
    return digest.hexdigest()


def _read(source: Source) -> Iterator[RGB]:
    if source.kind == "video":
        yield from upright_frames(source.path)
    else:
        yield from map(read_rgb, _images(source.path) if source.path.is_dir() else [source.path])
