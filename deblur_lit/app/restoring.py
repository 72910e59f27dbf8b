"""One photograph of the page: checked, restored within limits, and written with all that it carried."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from deblur_lit.networks.blocks import DeblurNetwork
from deblur_lit.predict.deblurrer import Deblurrer
from deblur_lit.predict.engine import Backend
from deblur_lit.predict.files import MARK
from deblur_lit.predict.photo import Photo, Pixels, read_photo, write_photo
from deblur_lit.predict.torch_backend import TorchBackend

TILES = ("auto", "128", "256", "512", "1024", "2048", "off")  # sides in pixels
SHOWN = 16_000_000  # pixels of a picture on the page; larger ones are reduced there, and only there
_SUFFIXES = {"JPEG": ".png", "PNG": ".png", "TIFF": ".tif", "WebP": ".webp"}  # of lossless results
_READING = threading.Lock()  # decoders are kept quiet and free of their own limits for the whole process


class StoppedError(ValueError):
    """Nobody wants the result any more."""


@dataclass(frozen=True)
class Limits:
    """What the page takes.

    Attributes:
        pixels: most of one photograph.
        bytes: most of its file.
    """

    pixels: int
    bytes: int

    def __str__(self) -> str:
        return f"{self.pixels / 1e6:g} megapixels and {self.bytes / 2**20:g} MB"


class Options(NamedTuple):
    """What can be chosen on the page; see `Deblurrer`. `network` is one of the names, `tile` one of `TILES`."""

    network: str
    strength: float
    tta: str
    tile: str
    precision: str
    tlc: bool


class Result(NamedTuple):
    """Files of a result: two pictures to look at, the photograph to download, and words on it."""

    before: Path
    after: Path
    download: Path
    said: str


class Restorer:
    """Restores photographs, one after the other.

    Args:
        networks: by the names that the page shows.
        limits: of a photograph.
        device: `auto`, `cpu`, `cuda` or `mps`.
        memory: bytes that this process may hold in all (on a GPU: of its memory); None for half of what is free.
    """

    def __init__(
        self, networks: Mapping[str, DeblurNetwork], limits: Limits, device: str = "auto", memory: int | None = None
    ) -> None:
        self.networks, self.limits, self.device, self.memory = networks, limits, device, memory
        self._last: tuple[tuple[str, str, bool], Backend] | None = None  # one: each holds weights of its own

    def read(self, source: Path) -> Photo:
        """Read a photograph within the limits.

        Raises:
            ValueError, OSError: if it is none, damaged or too large.
        """
        size = source.stat().st_size
        if size > self.limits.bytes:
            raise ValueError(f"{size / 2**20:.1f} MB, above the limit of {self.limits.bytes / 2**20:g} MB")
        with _READING:
            return read_photo(source, self.limits.pixels)

    def restore(
        self,
        source: Path,
        options: Options,
        folder: Path,
        stop: threading.Event,
        progress: Callable[[float, str], None],
    ) -> Result:
        """Restore a photograph and write what the page shows of it.

        Args:
            source: its file.
            options: from the page.
            folder: for the files of the result.
            stop: once it is set, the work ends at the next layer of the network.
            progress: is told the share that is done, and what is going on.

        Raises:
            StoppedError: if `stop` was set.
            ValueError, OSError, MemoryError: if the photograph or the options do not do.
        """
        start = time.perf_counter()
        progress(0.0, "reading")
        photo = self.read(source)
        deblurrer = self._deblurrer(options)
        _check_tile(deblurrer, photo.pixels)

        def advance(done: int, of: int) -> None:
            progress(0.05 + 0.85 * done / of, f"restoring: {done} of {of} tiles")

        progress(0.05, "restoring")
        with _until(stop):
            restored = deblurrer.restore(photo.pixels, advance)
        progress(0.9, "writing")
        done = photo.restored(restored.image)
        download = folder / f"{source.stem}{MARK}{_SUFFIXES[photo.format]}"
        write_photo(download, done, "PNG" if photo.format == "JPEG" else photo.format)
        before, after = (_picture(folder / f"{name}.png", made) for name, made in (("before", photo), ("after", done)))
        seconds = time.perf_counter() - start
        said = [f"by {options.network}", f"{seconds:.1f} s", restored.note, *photo.notes]
        if restored.fallbacks:
            said.append(f"{len(restored.fallbacks)} tiles stayed as they were, since the network did harm there")
        size = download.stat().st_size / 2**20
        return Result(before, after, download, f"{escape(download.name)}, {size:.1f} MB ({escape('; '.join(said))})")

    def _deblurrer(self, options: Options) -> Deblurrer:
        key = (options.network, options.precision, options.tlc)
        if self._last is None or self._last[0] != key:
            self._last = None  # before the next one takes memory
            network = self.networks[options.network]
            self._last = key, TorchBackend(network, self.device, options.precision, options.tlc)
        return Deblurrer(
            tile=int(options.tile) if options.tile.isdecimal() else "off" if options.tile == "off" else "auto",
            memory=self.memory,
            tta=options.tta,
            strength=options.strength,
            backend=self._last[1],
        )


def describe(name: str, photo: Photo) -> str:
    """Return a photograph in words, as HTML."""
    height, width = photo.pixels.shape[:2]
    words = [f"{width} × {height} pixels ({height * width / 1e6:.1f} megapixels)", photo.format]
    words += [f"{8 * photo.pixels.itemsize} bit", *(["grey"] if photo.grey else [])]
    words += ["with alpha"] if photo.alpha is not None else []
    return f"{escape(name)}: {', '.join(words)}"


def preview(photo: Photo, folder: Path) -> Path:
    """Write what the page shows of a photograph before it is restored."""
    return _picture(folder / "given.png", photo)


@contextmanager
def _until(stop: threading.Event) -> Iterator[None]:
    """Inside, a network raises `StoppedError` soon after `stop` is set, also in the middle of a large tile."""

    def check(module: nn.Module, inputs: object) -> None:
        if stop.is_set():
            raise StoppedError("stopped")

    handle = register_module_forward_pre_hook(check)
    try:
        yield
    finally:
        handle.remove()


def _check_tile(deblurrer: Deblurrer, pixels: Pixels) -> None:
    """Refuse tiles that do not fit into the memory: whoever uses the page does not know it.

    Raises:
        ValueError: if they do not.
    """
    if deblurrer.tile == "auto":
        return
    height, width = pixels.shape[:2]
    if deblurrer.tile != "off":
        side = deblurrer.tile + 2 * (deblurrer.backend.needs.margin or 0)
        height, width = min(height, side), min(width, side)
    if height * width > deblurrer.backend.pixels(deblurrer.memory, 2 * pixels.nbytes):
        raise ValueError(f"tiles of {width} × {height} pixels do not fit into the memory; choose smaller ones, or auto")


def _picture(path: Path, photo: Photo) -> Path:
    """Write a photograph as a browser shows it: upright, 8 bit, with its colour profile; returns the path."""
    samples = photo.samples()
    if samples.dtype == np.uint16:
        samples = ((samples + np.uint32(128)) // 257).astype(np.uint8)
    image = Image.fromarray(samples[:, :, 0] if samples.shape[2] == 1 else samples)
    factor = int(np.ceil((image.width * image.height / SHOWN) ** 0.5))
    if factor > 1:
        image = image.reduce(factor)
    if photo.carried.exif:
        image.info["exif"] = b"Exif\0\0" + photo.carried.exif
        with suppress(Exception):  # Pillow raises anything for a damaged one, which the download keeps as it is
            ImageOps.exif_transpose(image, in_place=True)
    image.save(path, "PNG", compress_level=1, icc_profile=photo.carried.icc, exif=b"")
    return path
