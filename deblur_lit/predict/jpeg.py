"""JPEG: all that stands before the picture is kept byte for byte, and writing it again adds no visible loss."""

from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, JpegImagePlugin

from deblur_lit.predict.photo import Carried, Photo, PhotoError, Pixels, check_size, unpack

LEAST_PSNR = 45.0  # dB between the pixels and what the file decodes to: one level and a half
_QUALITIES = (95, 97, 98, 99, 100)
_FULL_COLOUR = 0  # Pillow's name of 4:4:4
_STRIP = 16  # rows that are coded independently of the others, whatever the subsampling
_SAMPLE = 4_000_000  # pixels that the loss is measured on

_EXIF, _XMP, _ICC, _MULTI_PICTURE = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0", b"MPF\0"
_SOI, _SOS, _ADOBE = 0xD8, 0xDA, 0xEE
_TEXTS = {*range(0xE0, 0xF0), 0xFE} - {_ADOBE}  # APP0 to APP15 and comments; Adobe's says how colours are coded


class Kept(NamedTuple):
    """The segments beside the picture, and how finely it was coded."""

    segments: tuple[bytes, ...]
    tables: list[list[int]]  # of quantisation
    subsampling: int  # Pillow's number; 2 is 4:2:0
    progressive: bool


def read_jpeg(data: bytes, most: int) -> Photo:
    """Read a grey or colour JPEG; of a file with several pictures the first.

    Args:
        data: the file.
        most: pixels that it may have.

    Raises:
        PhotoError: if it is CMYK, damaged or too large.
    """
    parts = list(_segments(data))
    segments = [segment for marker, segment in parts if marker in _TEXTS and segment[4:8] != _MULTI_PICTURE]
    with Image.open(BytesIO(data), formats=("JPEG",)) as image:
        check_size(image.width, image.height, most)
        if image.mode not in ("L", "RGB"):
            raise PhotoError(f"its colours are {image.mode}, for print; convert it to RGB with its profile first")
        sampling = JpegImagePlugin.get_sampling(image)
        tables = [list(table) for table in image.quantization.values()]  # type: ignore[attr-defined]
        kept = Kept(tuple(segments), tables, 2 if sampling < 0 else sampling, "progressive" in image.info)
        dpi = image.info.get("dpi")
        pixels: Pixels = np.asarray(image)
    pixels, _, grey = unpack(pixels.reshape(*pixels.shape[:2], -1))
    several = any(segment[4:8] == _MULTI_PICTURE for _, segment in parts)
    notes = ("what its file holds behind the picture (a preview, depth or gain map) is left out",) if several else ()
    return Photo(pixels, None, grey, "JPEG", kept, _carried(segments, dpi), notes)


def encode_jpeg(photo: Photo) -> bytes:
    """Return a JPEG that decodes to the given pixels within `LEAST_PSNR`, never coarser than the one that was read.

    The lowest of a few qualities that reaches it is taken; noise may miss it at the highest. Loss is measured on strips
    spread over the picture.
    """
    if not isinstance(photo.kept, Kept):
        raise TypeError(f"{photo.format} is no JPEG")  # `encode` has refused it
    samples = photo.samples()
    sample = _strips(samples)
    for quality, full_colour in [(95, False), *((quality, True) for quality in _QUALITIES)]:
        settings = _settings(photo.kept, quality, full_colour, photo.grey)
        if quality == _QUALITIES[-1] or _psnr(sample, _encode(sample, settings)) >= LEAST_PSNR:
            break
    picture = _encode(samples, settings)
    body = b"".join(segment for marker, segment in _segments(picture) if marker not in _TEXTS)
    return picture[:2] + b"".join(photo.kept.segments) + body


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Give the marker and bytes of each segment behind the first two bytes; the last one is all from the scan on."""
    place = 2
    while True:
        while data[place : place + 2] == b"\xff\xff":  # filling
            place += 1
        if data[place : place + 1] != b"\xff" or place + 4 > len(data):
            raise PhotoError("truncated or damaged JPEG; copy or download it again")
        marker = data[place + 1]
        if marker == _SOS:
            yield marker, data[place:]
            return
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        yield marker, data[place:end]
        place = end


def _settings(kept: Kept, quality: int, full_colour: bool, grey: bool) -> dict[str, Any]:
    """Return Pillow's options: tables nowhere coarser than the given ones or those of a quality."""
    probe = BytesIO()
    Image.new("L" if grey else "RGB", (8, 8)).save(probe, "JPEG", quality=quality)
    with Image.open(probe) as image:
        finest = [list(table) for table in image.quantization.values()]  # type: ignore[attr-defined]
    given = (kept.tables * len(finest))[: len(finest)]
    tables = [[min(pair) for pair in zip(*both, strict=True)] for both in zip(finest, given, strict=True)]
    options: dict[str, Any] = {"qtables": tables, "optimize": True, "progressive": kept.progressive}
    if not grey:
        options["subsampling"] = _FULL_COLOUR if full_colour else kept.subsampling
    return options


def _encode(samples: Pixels, options: dict[str, Any]) -> bytes:
    file = BytesIO()
    Image.fromarray(samples[:, :, 0] if samples.shape[2] == 1 else samples).save(file, "JPEG", **options)
    return file.getvalue()


def _strips(samples: Pixels) -> Pixels:
    """Return the picture, or strips of it that are spread evenly."""
    height, width, _ = samples.shape
    step = max(1, height * width // _SAMPLE)
    whole = height // _STRIP * _STRIP
    if step == 1 or whole == 0:
        return samples
    strips = samples[:whole].reshape(-1, _STRIP, *samples.shape[1:])[::step]
    return strips.reshape(-1, *samples.shape[1:])


def _psnr(samples: Pixels, encoded: bytes) -> float:
    with Image.open(BytesIO(encoded)) as image:
        decoded = np.asarray(image).reshape(samples.shape)
    mean = float(np.mean(np.square(samples.astype(np.float32) - decoded), dtype=np.float64))
    return float(10 * np.log10(255**2 / max(mean, 1e-10)))


def _carried(segments: Sequence[bytes], dpi: Any) -> Carried:
    bodies = [segment[4:] for segment in segments if segment[1] in (0xE1, 0xE2)]
    exif = next((body[len(_EXIF) :] for body in bodies if body.startswith(_EXIF)), None)
    xmp = next((body[len(_XMP) :] for body in bodies if body.startswith(_XMP)), None)
    parts = sorted(body[len(_ICC) :] for body in bodies if body.startswith(_ICC))  # each begins with its number
    return Carried(exif, b"".join(part[2:] for part in parts) or None, xmp, dpi)
