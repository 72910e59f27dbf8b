"""Decoded frames on disk: a memory-mapped, pixel-exact copy of a data set, of which a crop reads only its rows."""

import hashlib
import json
import os
import shutil
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import Progress

from deblur_lit import runs
from deblur_lit.data.images import RGB
from deblur_lit.data.pairs import Pair, PairList
from deblur_lit.user_cache import cache_folder

SHARD_PAIRS = 64  # pairs in one file: what a killed build loses at most per thread


class Shard(NamedTuple):
    """Consecutive pairs of one sequence, kept in one file. `key` stands for their names and file sizes."""

    key: str
    indices: list[int]


class Built(NamedTuple):
    """What a build did: pairs decoded now, pairs that were there and fresh, bytes of all of them."""

    decoded: int
    kept: int
    size: int


class _Place(NamedTuple):
    path: Path
    offset: int  # of the blurred frame in the array; the sharp one follows it
    height: int
    width: int


class CachedPairs(PairList):
    """The pairs of a data set, read from decoded frames where these are there and fresh.

    Frames are fresh while size and time of their source files are those of the build, or else while the files'
    contents are. All other pairs are read from their files: slower, never wrong.

    Args:
        pairs: the data set; names, order and fingerprint stay its own.
        folder: where `build` wrote.
    """

    def __init__(self, pairs: PairList, folder: Path) -> None:
        super().__init__(pairs.pairs, pairs.layout)
        self._places: dict[int, _Place] = {}
        self._maps: dict[Path, RGB] = {}
        for shard in shards(pairs):
            for index, entry in zip(shard.indices, _read_index(folder, shard.key), strict=False):
                files = zip(_files(self.pairs[index]), entry["files"], strict=True)
                if all(_is_fresh(path, known) for path, known in files):
                    place = (entry["offset"], entry["height"], entry["width"])
                    self._places[index] = _Place(folder / f"{shard.key}.npy", *place)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_maps": {}}  # each process maps the files itself

    @property
    def cached(self) -> int:
        """Number of pairs that are read from the cache."""
        return len(self._places)

    def size(self, index: int) -> tuple[int, int]:
        """Return (height, width) of the blurred frame."""
        place = self._places.get(index)
        return (place.height, place.width) if place else super().size(index)

    def read(
        self, index: int, top: int = 0, left: int = 0, height: int | None = None, width: int | None = None
    ) -> tuple[RGB, RGB]:
        """Return (blur, sharp) as `PairList.read` does, bit for bit.

        Raises:
            ImageError: if a file that is not cached cannot be read.
            ValueError: if the crop does not lie inside the image.
        """
        place = self._places.get(index)
        if place is None:
            return super().read(index, top, left, height, width)
        bottom = place.height if height is None else top + height
        right = place.width if width is None else left + width
        if not (0 <= top < bottom <= place.height and 0 <= left < right <= place.width):
            size = f"{place.width}x{place.height}"
            raise ValueError(
                f"{self.pairs[index].blur}: rows {top}:{bottom}, columns {left}:{right} leave the {size} image"
            )
        if place.path not in self._maps:
            self._maps[place.path] = np.asarray(np.load(place.path, mmap_mode="r"))
        length = 2 * place.height * place.width * 3
        frames = self._maps[place.path][place.offset : place.offset + length]
        window = frames.reshape(2, place.height, place.width, 3)[:, top:bottom, left:right]
        return np.ascontiguousarray(window[0]), np.ascontiguousarray(window[1])


def default_folder() -> Path:
    """Return where decoded frames lie unless another folder is named."""
    return cache_folder() / "frames"


def open_cached(pairs: PairList, folder: Path | None = None) -> PairList:
    """Return the pairs as `CachedPairs` where any of them is cached, else as they are.

    Where some are and some are not, or their files changed since, it says so in one line.
    """
    cached = CachedPairs(pairs, folder or default_folder())
    if not cached.cached:
        return pairs
    if left := [pair.blur for index, pair in enumerate(pairs.pairs) if index not in cached._places]:
        print(
            f"cache: {len(left)} of {len(pairs)} pairs are not in it, or their files changed since, such as {left[0]}; "
            "they are decoded anew each time, `deblur-lit data cache` brings the cache up to date",
            flush=True,
        )
    return cached


def shards(pairs: PairList) -> list[Shard]:
    """Return the files of which a cache of these pairs consists; pairs whose files are missing are left out.

    Leaving out whole sequences leaves the shards of the others as they are.
    """
    found = []
    numbered = sorted(enumerate(pairs.pairs), key=lambda item: item[1].sequence)
    for _, group in groupby(numbered, key=lambda item: item[1].sequence):
        indices = [index for index, pair in group if all(path.is_file() for path in _files(pair))]
        for start in range(0, len(indices), SHARD_PAIRS):
            part = indices[start : start + SHARD_PAIRS]
            found.append(Shard(_key([pairs.pairs[index] for index in part]), part))
    return found


def build(pairs: PairList, folder: Path, jobs: int = 1) -> Built:
    """Decode what is not cached yet; finished files stay when this is interrupted, and are not made again.

    Args:
        pairs: the data set.
        folder: where to write; is made.
        jobs: threads.

    Raises:
        FolderInUseError: if another process builds there.
        ImageError: if a source file cannot be read, as in training.
        OSError: if the disk is too small or full; names the folder and the bytes needed.
    """
    with runs.lock(folder):
        for part in folder.glob(".*.part"):
            part.unlink()  # of a build that was killed: this process holds the lock
        all_shards = shards(pairs)
        todo = [shard for shard in all_shards if not _is_complete(pairs, folder, shard)]
        for shard in all_shards:
            if shard not in todo:
                _note_times(pairs, folder, shard)
        _check_space(pairs, todo, folder)
        stop = threading.Event()
        with (
            Progress(console=Console(stderr=True)) as bar,
            ThreadPoolExecutor(jobs) as pool,
        ):
            task = bar.add_task("Decoding frames", total=sum(len(shard.indices) for shard in todo))
            waiting = [pool.submit(_write, pairs, shard, folder, stop, lambda: bar.advance(task)) for shard in todo]
            try:
                for one in waiting:
                    one.result()
            except BaseException:
                stop.set()
                pool.shutdown(cancel_futures=True)
                raise
    size = sum((folder / f"{shard.key}.npy").stat().st_size for shard in all_shards)
    total, decoded = (sum(len(shard.indices) for shard in part) for part in (all_shards, todo))
    return Built(decoded, total - decoded, size)


def _write(pairs: PairList, shard: Shard, folder: Path, stop: threading.Event, advance: Any) -> None:
    """Write the frames of a shard, then its index, each whole or not at all."""
    beside = folder / f".{shard.key}.{os.getpid()}.{uuid.uuid4().hex[:8]}.part"
    sizes = [pairs.size(index) for index in shard.indices]
    total = sum(2 * height * width * 3 for height, width in sizes)
    entries, offset = [], 0
    try:
        with beside.open("wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": (total,)}
            np.lib.format.write_array_header_1_0(file, header)
            for index, (height, width) in zip(shard.indices, sizes, strict=True):
                if stop.is_set():
                    return
                files = [_describe(path) for path in _files(pairs.pairs[index])]  # before they are decoded
                for frame in pairs.read(index):
                    file.write(frame.data)
                entries.append({"offset": offset, "height": height, "width": width, "files": files})
                offset += 2 * height * width * 3
                advance()
            file.flush()
            os.fsync(file.fileno())
        beside.replace(folder / f"{shard.key}.npy")
        beside.write_text(json.dumps(entries), encoding="utf-8")
        beside.replace(folder / f"{shard.key}.json")
    except OSError as error:
        if error.filename is not None or not error.errno:
            raise
        remedy = f"{error.strerror}: free some space there, or choose another folder with --to"
        raise OSError(error.errno, remedy, str(folder)) from error
    finally:
        beside.unlink(missing_ok=True)


def _check_space(pairs: PairList, todo: list[Shard], folder: Path) -> None:
    needed = sum(6 * height * width for shard in todo for height, width in map(pairs.size, shard.indices))
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(
            f"{folder}: the decoded frames need {needed / 1e9:.2f} GB and {free / 1e9:.2f} GB are free; free some "
            "space there, or choose another folder with --to"
        )


def _is_complete(pairs: PairList, folder: Path, shard: Shard) -> bool:
    index = _read_index(folder, shard.key)
    files = [_files(pairs.pairs[number]) for number in shard.indices]
    return bool(index) and all(
        _is_fresh(path, known)
        for paths, entry in zip(files, index, strict=True)
        for path, known in zip(paths, entry["files"], strict=True)
    )


def _note_times(pairs: PairList, folder: Path, shard: Shard) -> None:
    """Write the times of files whose contents were found to be the same, so that they need not be read again."""
    index = _read_index(folder, shard.key)
    changed = False
    for number, entry in zip(shard.indices, index, strict=True):
        for path, known in zip(_files(pairs.pairs[number]), entry["files"], strict=True):
            time = path.stat().st_mtime_ns
            changed = changed or known["mtime_ns"] != time
            known["mtime_ns"] = time
    if changed:
        beside = folder / f".{shard.key}.{os.getpid()}.part"
        beside.write_text(json.dumps(index), encoding="utf-8")
        beside.replace(folder / f"{shard.key}.json")


def _read_index(folder: Path, key: str) -> list[dict[str, Any]]:
    """Return what a shard holds, [] where it is not there, half-built or damaged."""
    try:
        entries: list[dict[str, Any]] = json.loads((folder / f"{key}.json").read_text(encoding="utf-8"))
        size = (folder / f"{key}.npy").stat().st_size
    except (FileNotFoundError, ValueError):
        return []
    return entries if size >= sum(6 * entry["height"] * entry["width"] for entry in entries) else []


def _files(pair: Pair) -> tuple[Path, Path]:
    return pair.blur, pair.sharp


def _key(pairs: list[Pair]) -> str:
    digest = hashlib.sha256()
    for pair in pairs:
        sizes = [path.stat().st_size for path in _files(pair)]
        digest.update(f"{pair.name}\0{sizes}\0".encode())
    return digest.hexdigest()[:24]


def _describe(path: Path) -> dict[str, Any]:
    found = path.stat()
    return {"bytes": found.st_size, "mtime_ns": found.st_mtime_ns, "sha256": _sha256(path)}


def _is_fresh(path: Path, known: dict[str, Any]) -> bool:
    """Compare size and time, and where only the time differs (a copy of the data set) the contents."""
    found = path.stat()
    if found.st_size != known["bytes"]:
        return False
    return found.st_mtime_ns == known["mtime_ns"] or _sha256(path) == known["sha256"]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
