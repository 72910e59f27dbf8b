"""Pairs of blurred and sharp files: what the loaders need to know about any data set."""

import difflib
import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deblur_lit.data.faults import DataError
from deblur_lit.data.images import RGB, ImageError, image_size, read_rgb

_SHOWN = 3  # names that an error lists before it stops
_EDGE = 65536  # bytes that the fingerprint reads at either end of a file


class Pair(NamedTuple):
    """Two files of one frame. `name` is `<sequence>/<frame>` without suffix."""

    name: str
    sequence: str
    blur: Path
    sharp: Path


class PairList:
    """A data set made of pairs of files, in the order given.

    Attributes:
        pairs: the files of each pair.
        names: `<sequence>/<frame>` of each pair.
        sequences: the sequence of each pair, one per item.
        layout: how the files lie on disk, in words.

    Raises:
        DataError: if two pairs have one name.
    """

    def __init__(self, pairs: Sequence[Pair], layout: str) -> None:
        self.pairs = list(pairs)
        self.names = [pair.name for pair in pairs]
        if twice := [name for name, count in Counter(self.names).items() if count > 1]:
            raise DataError(f"pairs need names of their own, found twice: {some(twice)}")
        self.sequences = [pair.sequence for pair in pairs]
        self.layout = layout
        self._sizes: dict[int, tuple[int, int]] = {}
        self._fingerprint = ""

    def __len__(self) -> int:
        return len(self.pairs)

    def size(self, index: int) -> tuple[int, int]:
        """Return (height, width) of the blurred file from its header."""
        if index not in self._sizes:
            self._sizes[index] = image_size(self.pairs[index].blur)
        return self._sizes[index]

    def read(
        self, index: int, top: int = 0, left: int = 0, height: int | None = None, width: int | None = None
    ) -> tuple[RGB, RGB]:
        """Return (blur, sharp), both (height, width, 3) uint8 RGB and contiguous; the whole frame by default.

        Raises:
            ImageError: if a file cannot be read, or the two differ in size.
            ValueError: if the crop does not lie inside the image.
        """
        pair = self.pairs[index]
        blur, sharp = read_rgb(pair.blur), read_rgb(pair.sharp)
        check_sizes(pair, blur, sharp)
        bottom = blur.shape[0] if height is None else top + height
        right = blur.shape[1] if width is None else left + width
        if not (0 <= top < bottom <= blur.shape[0] and 0 <= left < right <= blur.shape[1]):
            raise ValueError(f"{pair.blur}: rows {top}:{bottom}, columns {left}:{right} leave the {_shape(blur)} image")
        window = np.s_[top:bottom, left:right]
        return np.ascontiguousarray(blur[window]), np.ascontiguousarray(sharp[window])

    def fingerprint(self) -> str:
        """Return a sha256 (hex) over names, file sizes and the first and last 64 KiB of every file.

        It tells data sets apart at a tenth of the reading, because a changed pixel of a PNG changes the
        checksum at the end of its data; it is no proof that every file is intact. A flat copy of a data set
        has the same fingerprint.
        """
        if not self._fingerprint:
            digest = hashlib.sha256()
            for pair in sorted(self.pairs):
                for side, path in (("blur", pair.blur), ("sharp", pair.sharp)):
                    digest.update(f"{pair.name}\0{side}\0{path.stat().st_size}\0".encode())
                    digest.update(_edges(path))
            self._fingerprint = digest.hexdigest()
        return self._fingerprint


def check_sizes(pair: Pair, blur: RGB, sharp: RGB) -> None:
    """Raise an ImageError if the two images of a pair differ in size."""
    if blur.shape != sharp.shape:
        raise ImageError(
            f"{pair.blur} is {_shape(blur)} but {pair.sharp} is {_shape(sharp)} (width x height); "
            "a pair needs one size, replace or remove it",
            "size",
        )


def existing_folder(folder: Path) -> Path:
    """Return `folder`; raise a FileNotFoundError that names the nearest folder that exists if it does not."""
    if folder.is_dir():
        return folder
    missing = folder.absolute()
    while not missing.parent.is_dir():
        missing = missing.parent
    there = [path.name for path in missing.parent.iterdir() if path.is_dir()]
    raise FileNotFoundError(
        f"data folder {folder} does not exist: "
        f"{missing.parent} has no {missing.name!r}{nearest(missing.name, there)}. "
        "The environment variable DATA_ROOT or the key data.root says where the data lie"
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint, `; did you mean 'x'?` or what else there is, to end an error about an unknown name.

    Example:
        >>> nearest("tets", ["train", "test"])
        "; did you mean 'test'?"
    """
    by_lower = {word.lower(): word for word in sorted(known)}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1)
    if close:
        return f"; did you mean {by_lower[close[0]]!r}?"
    return f"; there is: {some(by_lower.values()) or 'nothing'}"


def some(names: Iterable[str]) -> str:
    """Return the first few names, and how many there are beyond them."""
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def evenly(length: int, number: int) -> list[int]:
    """Return up to `number` indices below `length`, evenly spread, the first and the last among them.

    Example:
        >>> evenly(10, 4), evenly(2, 4)
        ([0, 3, 6, 9], [0, 1])
    """
    return [round(place) for place in np.linspace(0, length - 1, min(number, length))]


def select_sequences(
    pairs: Sequence[Pair], folder: Path, sequences: Collection[str] | None, exclude: Collection[str]
) -> list[Pair]:
    """Return the pairs of `sequences` without those of `exclude`; an unknown sequence is a ValueError."""
    known = {pair.sequence for pair in pairs}
    for name in (*(sequences or ()), *exclude):
        if name not in known:
            raise ValueError(f"{folder} has no sequence {name!r}{nearest(name, known)}")
    kept = known if sequences is None else set(sequences)
    chosen = [pair for pair in pairs if pair.sequence in kept and pair.sequence not in exclude]
    if not chosen:
        raise DataError(f"{folder}: no pair is left of its {len(known)} sequences; keep some")
    return chosen


def shared_sequences(sequences: Iterable[str], others: Iterable[str]) -> list[str]:
    """Return the sequences that are in both of two splits, sorted.

    A bare number names a sequence within its split alone: clip 000 of REDS' train and of its val are two clips.

    Example:
        >>> shared_sequences(["GOPR0372_07_00", "000"], ["GOPR0372_07_00", "000"])
        ['GOPR0372_07_00']
    """
    return sorted(name for name in {*sequences} & {*others} if not name.isdecimal())


def _edges(path: Path) -> bytes:
    """Return the first and last 64 KiB of a file, or all of a small one."""
    with path.open("rb") as file:
        size = path.stat().st_size
        if size <= 2 * _EDGE:
            return file.read()
        head = file.read(_EDGE)
        file.seek(size - _EDGE)
        return head + file.read()


def _shape(image: RGB) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"
