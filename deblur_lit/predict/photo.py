"""One photograph: its pixels for a network, and everything else as the file had it."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deblur_lit.predict.system import beside, quiet, read_regular

Pixels = NDArray[Any]  # uint8 or uint16
Format = Literal["JPEG", "PNG", "TIFF", "WebP"]

SUFFIXES: dict[str, Format] = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".png": "PNG",
    ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WebP",
}  # fmt: skip
MOST_PIXELS = 500_000_000  # of one photograph: its pixels, 8 bit, take 1.5 GB

_BEGINNINGS = {  # of files that are told by content and not by suffix
    "GIF": (b"GIF87a", b"GIF89a"),
    "BMP": (b"BM",),
    "PDF": (b"%PDF",),
    "JPEG 2000": (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"),
    "JPEG XL": (b"\xff\x0a", b"\0\0\0\x0cJXL "),
    "OpenEXR": (b"\x76\x2f\x31\x01",),
    "Radiance HDR": (b"#?RADIANCE", b"#?RGBE"),
    "Photoshop": (b"8BPS",),
}


class PhotoError(ValueError):
    """A file cannot be restored. The message says why and what to do, but leaves the file's name to the caller."""


class Carried(NamedTuple):
    """What a photograph says of itself, in the terms of every format; None where it does not."""

    exif: bytes | None = None  # a TIFF structure, without `Exif\0\0`
    icc: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None  # horizontal, vertical


@dataclass(frozen=True)
class Photo:
    """A photograph as it is stored; an EXIF orientation is neither applied nor changed.

    Args:
        pixels: (H, W, 3) RGB, uint8 or uint16, not to be written to; a grey one has three equal channels.
        alpha: (H, W) of the same type, or None.
        grey: whether it is written as grey.
        format: of the file, told by its content.
        kept: what the writer of its format puts back unchanged; nobody else's business.
        carried: the same in the terms of every format.
        notes: what will not be as it was, each a phrase.
    """

    pixels: Pixels
    alpha: Pixels | None
    grey: bool
    format: Format
    kept: object
    carried: Carried
    notes: tuple[str, ...] = ()

    def restored(self, pixels: Pixels) -> "Photo":
        """Return the photograph with other pixels, of the same shape and type.

        Raises:
            ValueError: if they are of another shape or type.
        """
        if pixels.shape != self.pixels.shape or pixels.dtype != self.pixels.dtype:
            was = f"{self.pixels.shape} {self.pixels.dtype}"
            raise ValueError(f"restored pixels are {pixels.shape} {pixels.dtype}, not {was}")
        return replace(self, pixels=pixels)

    def samples(self) -> Pixels:
        """Return what is stored: (H, W, C) of grey, grey and alpha, RGB or RGBA."""
        planes = self.pixels
        if self.grey:
            total = self.pixels.sum(axis=2, dtype=np.uint32, keepdims=True)
            planes = ((total + 1) // 3).astype(self.pixels.dtype)
        return planes if self.alpha is None else np.dstack([planes, self.alpha])


def read_photo(path: Path, most: int = MOST_PIXELS) -> Photo:
    """Read a JPEG, PNG, TIFF or WebP file, told by its content.

    Args:
        path: of the file.
        most: pixels that it may have; a larger one is refused before it is decoded.

    Raises:
        OSError: if it cannot be read.
        PhotoError: if it is damaged or too large, or of a kind that is not restored: animated, of several pages, CMYK,
            float.
        MemoryError: if it does not fit.
    """
    data = read_regular(path)
    if not data:
        raise PhotoError("empty file (0 bytes); copy or download it again")
    chosen = format_of(data)
    with _decoding():
        if chosen == "JPEG":
            from deblur_lit.predict.jpeg import read_jpeg as read
        elif chosen == "PNG":
            from deblur_lit.predict.png import read_png as read
        elif chosen == "WebP":
            from deblur_lit.predict.webp import read_webp as read
        else:
            from deblur_lit.predict.tiff import read_tiff as read
        photo = read(data, most)
    named = SUFFIXES.get(path.suffix.lower())
    if named != chosen:
        photo = replace(photo, notes=(f"it is a {chosen} by its content, and stays one", *photo.notes))
    return photo


def encode(photo: Photo, wanted: Format) -> bytes:
    """Return the file of a photograph: in its own format, or as PNG.

    Raises:
        PhotoError: for another format.
    """
    if wanted == "PNG":
        from deblur_lit.predict.png import encode_png as encoder
    elif wanted != photo.format:
        raise PhotoError(
            f"a {photo.format} is written as {photo.format} or PNG, not as {wanted}: choose another suffix"
        )
    elif wanted == "JPEG":
        from deblur_lit.predict.jpeg import encode_jpeg as encoder
    elif wanted == "WebP":
        from deblur_lit.predict.webp import encode_webp as encoder
    else:
        from deblur_lit.predict.tiff import encode_tiff as encoder
    return encoder(photo)


def write_photo(path: Path, photo: Photo, wanted: Format | None = None) -> None:
    """Write a photograph; the file appears whole or not at all, in place of an older one.

    Args:
        path: file in a folder that exists.
        photo: what to write.
        wanted: format; by default its own.

    Raises:
        PhotoError: for a format that it cannot be written in.
        OSError: if it cannot be written.
    """
    data = encode(photo, wanted or photo.format)
    with beside(path) as part:
        part.write_bytes(data)


def format_of(data: bytes) -> Format:
    """Tell the format from the beginning of a file.

    Raises:
        PhotoError: if it is none that is read.

    Example:
        >>> format_of(b"\\x89PNG\\r\\n\\x1a\\n")
        'PNG'
    """
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "TIFF"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    brand = data[8:12] if data[4:8] == b"ftyp" else b""
    kinds = {b"avif": "AVIF", b"avis": "AVIF"} | dict.fromkeys((b"heic", b"heix", b"mif1", b"msf1", b"hevc"), "HEIC")
    names = [kinds[brand]] if brand in kinds else [n for n, starts in _BEGINNINGS.items() if data.startswith(starts)]
    if names:
        raise PhotoError(f"{names[0]} is not read; convert it to JPEG, PNG, TIFF or WebP")
    raise PhotoError("no picture that is known, or its beginning is damaged")


def unpack(samples: Pixels) -> tuple[Pixels, Pixels | None, bool]:
    """Return (H, W, 3) pixels, the alpha and whether it is grey, from samples as `Photo.samples` returns them."""
    channels = samples.shape[2]
    grey, has_alpha = channels < 3, channels in (2, 4)
    colours = samples[:, :, : channels - has_alpha]
    alpha = np.ascontiguousarray(samples[:, :, -1]) if has_alpha else None
    return (np.repeat(colours, 3, axis=2) if grey else np.ascontiguousarray(colours)), alpha, grey


def check_size(width: int, height: int, most: int = MOST_PIXELS) -> None:
    """Refuse what no camera makes, before memory is taken for it.

    Raises:
        PhotoError: for no pixels, or more than `most`.
    """
    if width < 1 or height < 1:
        raise PhotoError(f"{width}x{height} pixels; it is damaged")
    if width * height > most:
        raise PhotoError(f"{width}x{height} pixels, above the limit of {most / 1e6:g} million; cut it into parts")


@contextmanager
def _decoding() -> Iterator[None]:
    """Call whatever a decoder raises damage: they raise anything, from SyntaxError to struct.error."""
    from PIL import Image, ImageFile

    limit, tolerated = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = None, False  # ours is `check_size`
    try:
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (PhotoError, MemoryError):
        raise
    except Exception as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise PhotoError(f"truncated, damaged or of an unusual kind ({said}); copy or download it again") from error
    finally:
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = limit, tolerated
