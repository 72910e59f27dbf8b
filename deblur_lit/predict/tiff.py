"""TIFF: 8 and 16 bit, grey or RGB, with or without alpha; EXIF, profile, XMP and other tags are kept byte for byte."""

import struct
import zlib
from contextlib import suppress
from io import BytesIO
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from PIL import Image

from deblur_lit.predict.ifd import (
    POINTERS,
    Directory,
    Layout,
    Tag,
    integers,
    layout_of,
    read_directories,
    upright,
    write_directory,
)
from deblur_lit.predict.photo import Carried, Photo, PhotoError, Pixels, check_size, unpack

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIPS, _SAMPLES, _ROWS, _LENGTHS, _PLANAR, _PREDICTOR = 273, 277, 278, 279, 284, 317
_EXTRA, _FORMAT, _KIND = 338, 339, 254
_XMP, _ICC = 700, 34675
_DESCRIBING = (270, 271, 272, 274, 305, 306, 315, 33432, 34665, 34853)  # what EXIF takes of them
# How pixels are stored, what belongs to other pictures in the file, and Photoshop's layers, which show the old pixels.
_DROPPED = {
    _KIND, 255, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, 266, _STRIPS, _SAMPLES, _ROWS, 280, 281, _LENGTHS,
    _PLANAR, 288, 289, 292, 293, _PREDICTOR, 320, 321, 322, 323, 324, 325, 330, _EXTRA, _FORMAT, 340, 341, 347,
    *range(512, 522), 529, 530, 531, 532, 37724,
}  # fmt: skip
_WHITE_IS_ZERO, _GREY, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
_REFUSED = {5: "CMYK", 8: "CIELab", 9: "ICCLab", 10: "ITULab", 32803: "raw sensor data", 34892: "raw sensor data"}
_SIMPLER = {"1": "L", "P": "RGB", "PA": "RGBA", "YCbCr": "RGB"}  # of Pillow's modes
_NONE, _DEFLATE, _DIFFERENCES = 1, 8, 2
_ASSOCIATED = 1
_STRIP_BYTES = 1 << 18


class Kept(NamedTuple):
    """Tags beside the picture, and how the picture was stored."""

    layout: Layout
    tags: Directory
    compressed: bool
    white_is_zero: bool
    extra: int  # kind of the alpha


def read_tiff(data: bytes, most: int) -> Photo:
    """Read a TIFF of one page; pages that are smaller copies of the first do not count.

    Args:
        data: the file.
        most: pixels that it may have.

    Raises:
        PhotoError: if it has several pages, is float, CMYK, Lab or raw, damaged or too large.
    """
    layout = layout_of(data)
    pages = read_directories(data, layout)
    full = [page for page in pages if not (integers(layout, page.get(_KIND)) or (0,))[0] & 1]
    if len(full) > 1:
        raise PhotoError(f"a TIFF of {len(full)} pages; save them one by one")
    page = pages[0]
    _check(layout, page, most)
    [photometric] = integers(layout, page[_PHOTOMETRIC])
    compression = (*integers(layout, page.get(_COMPRESSION)), _NONE)[0]
    samples = _decode(upright(data, layout), layout, page, photometric)
    extra = integers(layout, page.get(_EXTRA))
    kept = Kept(
        layout, {number: tag for number, tag in page.items() if number not in _DROPPED},
        compression != _NONE, photometric == _WHITE_IS_ZERO, extra[0] if extra else 0,
    )  # fmt: skip
    notes = ["its small copies of the picture are left out"] if len(pages) > 1 or 330 in page else []
    notes += ["Photoshop's layers are left out"] if 37724 in page else []
    return Photo(*unpack(samples), "TIFF", kept, _carried(data, page), tuple(notes))


def encode_tiff(photo: Photo) -> bytes:
    """Return a TIFF with the tags of the one that was read, uncompressed if it was, else compressed without loss."""
    kept = photo.kept
    if not isinstance(kept, Kept):
        raise TypeError(f"{photo.format} is no TIFF")  # `encode` has refused it
    samples = photo.samples()
    if kept.white_is_zero:
        samples = np.iinfo(samples.dtype).max - samples
    height, width, channels = samples.shape
    rows = max(1, _STRIP_BYTES // (width * channels * samples.itemsize))
    strips = [_strip(samples[top : top + rows], kept) for top in range(0, height, rows)]
    lengths = [len(strip) for strip in strips]
    first = 16 if kept.layout.big else 8
    *places, end = accumulate(lengths, initial=first)
    tags = dict(kept.tags) | _tags(kept, samples, rows, places, lengths)
    end += end % 2
    header = (b"II" if kept.layout.order == "<" else b"MM") + struct.pack(
        kept.layout.order + ("HHHQ" if kept.layout.big else "HI"), *((43, 8, 0) if kept.layout.big else (42,)), end
    )
    filling = b"\0" * (end - first - sum(lengths))
    return b"".join([header, *strips, filling, write_directory(tags, kept.layout, end)])


def _check(layout: Layout, page: Directory, most: int) -> None:
    """Refuse what is not restored, before its pixels are read."""
    [[width], [height]] = (integers(layout, page.get(number)) or (0,) for number in (_WIDTH, _HEIGHT))
    check_size(width, height, most)
    if _PHOTOMETRIC not in page:
        raise PhotoError("a TIFF that does not say what its colours are; save it again")
    [photometric] = integers(layout, page[_PHOTOMETRIC])
    if photometric not in (_WHITE_IS_ZERO, _GREY, _RGB, _PALETTE, _YCBCR):
        kind = _REFUSED.get(photometric, f"of colours of kind {photometric}")
        raise PhotoError(f"a TIFF in {kind}; convert it to RGB of 8 or 16 bit first")
    bits = set(integers(layout, page.get(_BITS)) or (1,))
    kinds = set(integers(layout, page.get(_FORMAT)) or (1,))
    if 3 in kinds:
        raise PhotoError(f"a TIFF of {max(bits)}-bit floats (HDR); tone-map it to 8 or 16 bit first")
    if not kinds <= {1, 4} or len(bits) > 1 or not bits <= {1, 2, 4, 8, 16}:
        signed = "signed " if 2 in kinds else ""
        raise PhotoError(f"a TIFF of {signed}{'/'.join(map(str, sorted(bits)))}-bit numbers; convert it to 8 or 16 bit")


def _decode(data: bytes, layout: Layout, page: Directory, photometric: int) -> Pixels:
    """Return samples (H, W, C) as stored, black as 0; 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA."""
    bits = (integers(layout, page.get(_BITS)) or (1,))[0]
    number = (integers(layout, page.get(_SAMPLES)) or (1,))[0]
    if number not in (1, 2, 3, 4) or (number == 2 and (bits == 16 or photometric == _WHITE_IS_ZERO)):
        raise PhotoError(f"a TIFF of {number} channels of {bits} bit; save it as grey, RGB or RGBA")
    if bits == 16 and number > 2:
        return _decode_16(data, layout, page, number)
    with Image.open(BytesIO(data), formats=("TIFF",)) as image:
        if image.mode == "RGBA" and integers(layout, page.get(_EXTRA)) == (_ASSOCIATED,):  # as stored, not divided
            image.tile = [tile._replace(args=("RGBA", *tuple(tile.args or ())[1:])) for tile in image.tile]
        if image.mode == "RGBX":
            raise PhotoError("a TIFF with a fourth channel that is no alpha; save it as RGB")
        simpler = _SIMPLER.get(image.mode)
        samples: Pixels = np.asarray(image.convert(simpler) if simpler else image)
    samples = samples.reshape(*samples.shape[:2], -1)
    if samples.shape[2] != number and photometric != _PALETTE:
        raise PhotoError(f"a TIFF of {number} channels that is read as {samples.shape[2]}; save it as RGB")
    if bits == 16:
        samples = samples.astype(np.uint16)
        return np.iinfo(np.uint16).max - samples if photometric == _WHITE_IS_ZERO else samples
    return samples


def _decode_16(data: bytes, layout: Layout, page: Directory, number: int) -> Pixels:
    """Decode what Pillow would reduce to 8 bit."""
    import cv2

    if (*integers(layout, page.get(_PLANAR)), 1)[0] != 1:
        raise PhotoError("a 16-bit TIFF with its colours in planes; save it interleaved")
    for starts, lengths in ((_STRIPS, _LENGTHS), (324, 325)):
        parts = zip(integers(layout, page.get(starts)), integers(layout, page.get(lengths)), strict=False)
        if any(start + length > len(data) for start, length in parts):
            raise PhotoError("truncated TIFF; copy or download it again")
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    size = (*integers(layout, page[_HEIGHT]), *integers(layout, page[_WIDTH]), number)
    if decoded is None or decoded.dtype != np.uint16 or decoded.shape != size:
        raise PhotoError("truncated or damaged TIFF of 16 bit, or compressed in an unusual way; save it again")
    samples: Pixels = decoded
    return samples[:, :, [2, 1, 0, 3][:number]]


def _strip(samples: Pixels, kept: Kept) -> bytes:
    if kept.compressed:
        samples = np.concatenate([samples[:, :1], samples[:, 1:] - samples[:, :-1]], axis=1)
    raw = np.ascontiguousarray(samples, kept.layout.order + samples.dtype.str[1:]).tobytes()
    return zlib.compress(raw) if kept.compressed else raw


def _tags(kept: Kept, samples: Pixels, rows: int, places: list[int], lengths: list[int]) -> dict[int, Tag]:
    """Return the tags that say how the pixels are stored."""
    height, width, channels = samples.shape
    place = 16 if kept.layout.big else 4
    grey = _WHITE_IS_ZERO if kept.white_is_zero else _GREY
    values: dict[int, tuple[int, list[int]]] = {
        _WIDTH: (4, [width]),
        _HEIGHT: (4, [height]),
        _BITS: (3, [8 * samples.itemsize] * channels),
        _COMPRESSION: (3, [_DEFLATE if kept.compressed else _NONE]),
        _PHOTOMETRIC: (3, [grey if channels < 3 else _RGB]),
        _STRIPS: (place, places),
        _SAMPLES: (3, [channels]),
        _ROWS: (4, [rows]),
        _LENGTHS: (place, lengths),
        _PLANAR: (3, [1]),
    }
    if kept.compressed:
        values[_PREDICTOR] = (3, [_DIFFERENCES])
    if channels in (2, 4):
        values[_EXTRA] = (3, [kept.extra])
    forms = {3: "H", 4: "I", 16: "Q"}
    return {
        number: Tag(kind, len(numbers), struct.pack(f"{kept.layout.order}{len(numbers)}{forms[kind]}", *numbers))
        for number, (kind, numbers) in values.items()
    }


def _carried(data: bytes, page: Directory) -> Carried:
    xmp, icc = (page[number].data if number in page else None for number in (_XMP, _ICC))
    exif, dpi = None, None
    with suppress(Exception), Image.open(BytesIO(data), formats=("TIFF",)) as image:  # the picture does not need them
        dpi = image.info.get("dpi")
        given, kept = image.getexif(), Image.Exif()
        for number in _DESCRIBING:
            if number in given:
                kept[number] = given.get_ifd(number) if number in POINTERS else given[number]
        exif = kept.tobytes().removeprefix(b"Exif\0\0") if len(kept) else None
    return Carried(exif, icc, xmp, dpi)
