"""WebP: a lossless one stays lossless, and EXIF, profile and XMP are kept byte for byte."""

from io import BytesIO
from typing import NamedTuple

import numpy as np
from PIL import Image

from deblur_lit.predict.photo import Carried, Photo, PhotoError, check_size, unpack

_KEPT = {b"ICCP": 0x20, b"EXIF": 0x08, b"XMP ": 0x04}  # and the flag that announces it
_ALPHA = 0x10


class Kept(NamedTuple):
    """The chunks beside the picture."""

    chunks: tuple[tuple[bytes, bytes], ...]


def read_webp(data: bytes, most: int) -> Photo:
    """Read a still WebP.

    Args:
        data: the file.
        most: pixels that it may have.

    Raises:
        PhotoError: if it is animated, damaged or too large.
    """
    chunks = _chunks(data)
    if any(kind in (b"ANIM", b"ANMF") for kind, _ in chunks):
        raise PhotoError("an animated WebP; restore its frames one by one, or a video")
    with Image.open(BytesIO(data), formats=("WEBP",)) as image:
        check_size(image.width, image.height, most)
        samples = np.asarray(image)
    kept = tuple(chunk for chunk in chunks if chunk[0] in _KEPT)
    lossy = any(kind == b"VP8 " for kind, _ in chunks)
    found = dict(reversed(kept))
    exif = found.get(b"EXIF")
    return Photo(
        *unpack(samples), "WebP", Kept(kept),
        Carried(exif.removeprefix(b"Exif\0\0") if exif else None, found.get(b"ICCP"), found.get(b"XMP ")),
        ("it was a lossy WebP and is written as a lossless one, to add no loss",) if lossy else (),
    )  # fmt: skip


def encode_webp(photo: Photo) -> bytes:
    """Return a lossless WebP with the chunks of the one that was read."""
    if not isinstance(photo.kept, Kept):
        raise TypeError(f"{photo.format} is no WebP")  # `encode` has refused it
    file = BytesIO()
    samples = photo.samples()
    Image.fromarray(samples).save(file, "WEBP", lossless=True, exact=True, method=4, quality=60)
    if not photo.kept.chunks:
        return file.getvalue()
    flags = sum({_KEPT[kind] for kind, _ in photo.kept.chunks}) | (_ALPHA if photo.alpha is not None else 0)
    height, width, _ = samples.shape
    header = bytes([flags, 0, 0, 0]) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    picture = [chunk for chunk in _chunks(file.getvalue()) if chunk[0] != b"VP8X"]
    before = [chunk for chunk in photo.kept.chunks if chunk[0] == b"ICCP"]
    behind = [chunk for chunk in photo.kept.chunks if chunk[0] != b"ICCP"]
    body = b"WEBP" + b"".join(_bytes(*chunk) for chunk in [(b"VP8X", header), *before, *picture, *behind])
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    chunks = []
    place, end = 12, min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    while place + 8 <= end:
        length = int.from_bytes(data[place + 4 : place + 8], "little")
        if place + 8 + length > len(data):
            raise PhotoError("truncated WebP; copy or download it again")
        chunks.append((data[place : place + 4], data[place + 8 : place + 8 + length]))
        place += 8 + length + length % 2
    return chunks


def _bytes(kind: bytes, data: bytes) -> bytes:
    return kind + len(data).to_bytes(4, "little") + data + b"\0" * (len(data) % 2)
