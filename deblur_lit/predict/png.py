"""PNG: every chunk that is not the picture itself is kept byte for byte, in its place."""

import struct
import zlib
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import NamedTuple

import numpy as np
from PIL import Image

from deblur_lit.predict.photo import Carried, Photo, PhotoError, Pixels, check_size, unpack

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PICTURE = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_OF_COLOUR_TYPE = {b"bKGD", b"sBIT", b"hIST"}  # their length depends on it
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a colour type
_COLOUR_TYPE = {1: 0, 2: 4, 3: 2, 4: 6}  # of a number of channels
_XMP = b"XML:com.adobe.xmp\0"
_ROWS = 64  # filtered at once


class Chunk(NamedTuple):
    """A chunk and whether it stands behind the picture."""

    kind: bytes
    data: bytes
    behind: bool


class Kept(NamedTuple):
    """The chunks beside the picture, and the depth and colour type for which they were made."""

    chunks: tuple[Chunk, ...]
    depth: int
    colour_type: int


def read_png(data: bytes, most: int) -> Photo:
    """Read a PNG of any depth and colour type; a palette is resolved, transparency by key or palette becomes alpha.

    Args:
        data: the file.
        most: pixels that it may have.

    Raises:
        PhotoError: if it is animated, damaged or too large.
    """
    chunks, notes = _chunks(data)
    header = next((chunk.data for chunk in chunks if chunk.kind == b"IHDR"), b"")
    if len(header) != 13 or header != chunks[0].data:
        raise PhotoError("damaged PNG (no header); copy or download it again")
    width, height, depth, colour_type = struct.unpack(">IIBB", header[:10])
    check_size(width, height, most)
    if any(chunk.kind == b"acTL" for chunk in chunks):
        raise PhotoError("an animated PNG; restore its frames one by one, or a video")
    kept = tuple(chunk for chunk in chunks if chunk.kind not in _PICTURE)
    samples = _decode(chunks, depth, colour_type)
    return Photo(*unpack(samples), "PNG", Kept(kept, depth, colour_type), _carried(kept), tuple(notes))


def encode_png(photo: Photo) -> bytes:
    """Return a PNG with the chunks of the one that was read, or of another format with its EXIF, ICC, XMP and dpi."""
    samples = photo.samples()
    height, width, channels = samples.shape
    depth, colour_type = 8 * samples.itemsize, _COLOUR_TYPE[channels]
    if isinstance(photo.kept, Kept):
        same = (photo.kept.depth, photo.kept.colour_type) == (depth, colour_type)
        kept = [chunk for chunk in photo.kept.chunks if same or chunk.kind not in _OF_COLOUR_TYPE]
    else:
        kept = _chunks_of(photo.carried)
    parts = [Chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0), False)]
    parts += [chunk for chunk in kept if not chunk.behind]
    parts += [Chunk(b"IDAT", part, False) for part in _compressed(samples)]
    parts += [chunk for chunk in kept if chunk.behind]
    parts += [Chunk(b"IEND", b"", True)]
    return SIGNATURE + b"".join(_bytes(chunk) for chunk in parts)


def _bytes(chunk: Chunk) -> bytes:
    body = chunk.kind + chunk.data
    return struct.pack(">I", len(chunk.data)) + body + struct.pack(">I", zlib.crc32(body))


def _chunks(data: bytes) -> tuple[list[Chunk], list[str]]:
    """Return the chunks of a file, and notes on damaged ones that the picture can do without."""
    chunks: list[Chunk] = []
    notes: list[str] = []
    place, behind = len(SIGNATURE), False
    while not chunks or chunks[-1].kind != b"IEND":
        head = data[place : place + 8]
        length = int.from_bytes(head[:4], "big")
        end = place + 12 + length
        if len(head) < 8 or end > len(data):
            raise PhotoError("truncated PNG; copy or download it again")
        kind, body = head[4:], data[place + 8 : end - 4]
        behind = behind or kind == b"IDAT"
        if zlib.crc32(kind + body) == int.from_bytes(data[end - 4 : end], "big"):
            chunks.append(Chunk(kind, body, behind))
        elif kind[:1].isupper():
            raise PhotoError(f"damaged PNG ({kind.decode('latin-1')} has a wrong checksum); copy or download it again")
        else:
            notes.append(f"its chunk {kind.decode('latin-1')} is damaged and left out")
        place = end
    return chunks, notes


def _decode(chunks: Sequence[Chunk], depth: int, colour_type: int) -> Pixels:
    """Return samples (H, W, C) of 1 grey, 2 grey and alpha, 3 RGB or 4 RGBA; depths below 8 are spread to 8."""
    parts = {kind: b"".join(c.data for c in chunks if c.kind == kind) for kind in _PICTURE}
    needed = [b"IHDR", *([b"PLTE", b"tRNS"] if colour_type == 3 else []), b"IDAT"]
    given = [Chunk(kind, parts[kind], False) for kind in needed if kind in (b"IDAT", b"IHDR") or parts[kind]]
    picture = SIGNATURE + b"".join(_bytes(chunk) for chunk in [*given, Chunk(b"IEND", b"", True)])
    samples: Pixels
    if depth == 16 and colour_type != 0:
        samples = _decode_16(picture, colour_type)
    else:
        with Image.open(BytesIO(picture), formats=("PNG",)) as image:
            mode = "L" if image.mode == "1" else image.mode
            if colour_type == 3:
                mode = "RGBA" if parts[b"tRNS"] else "RGB"
            samples = np.asarray(image if image.mode == mode else image.convert(mode))
    samples = samples.reshape(*samples.shape[:2], -1)
    if depth == 16:
        samples = samples.astype(np.uint16)
    if parts[b"tRNS"] and colour_type in (0, 2):
        samples = _with_keyed_alpha(samples, parts[b"tRNS"], depth)
    return samples


def _decode_16(picture: bytes, colour_type: int) -> Pixels:
    """Decode what Pillow would reduce to 8 bit."""
    import cv2

    size = struct.unpack(">II", picture[16:24])
    decoded = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype != np.uint16 or decoded.shape[1::-1] != size:
        raise PhotoError("truncated or damaged PNG of 16 bit; copy or download it again")
    samples: Pixels = decoded
    if colour_type == 4:
        return samples[:, :, [0, -1]]
    return samples[:, :, [2, 1, 0, 3][: _CHANNELS[colour_type]]]


def _with_keyed_alpha(samples: Pixels, key: bytes, depth: int) -> Pixels:
    """Add an alpha that is 0 where the pixel has the one transparent colour."""
    channels = samples.shape[2]
    colour = np.frombuffer(key[: 2 * channels], ">u2").astype(np.uint32)
    if depth < 8:
        colour = colour * (255 // (2**depth - 1))
    opaque = (samples != colour.astype(samples.dtype)).any(axis=2, keepdims=True)
    alpha = opaque.astype(samples.dtype) * np.iinfo(samples.dtype).max
    return np.dstack([samples, alpha])


def _compressed(samples: Pixels) -> Iterator[bytes]:
    """Give the compressed rows, each with the filter that leaves the least."""
    height, width, channels = samples.shape
    step = channels * samples.itemsize
    deflate = zlib.compressobj(6, zlib.DEFLATED, 15, 9, zlib.Z_FILTERED)
    above = np.zeros((1, width * step), np.uint8)
    for top in range(0, height, _ROWS):
        block = samples[top : top + _ROWS]
        rows = np.ascontiguousarray(block, block.dtype.newbyteorder(">")).view(np.uint8).reshape(len(block), -1)
        if part := deflate.compress(_filtered(rows, np.vstack([above, rows[:-1]]), step).tobytes()):
            yield part
        above = rows[-1:]
    yield deflate.flush()


def _filtered(rows: Pixels, up: Pixels, step: int) -> Pixels:
    """Return rows (N, L) with their filter type before them, (N, 1 + L). Source: PNG specification, section 9."""
    left, corner = (np.pad(part, ((0, 0), (step, 0)))[:, : rows.shape[1]] for part in (rows, up))
    a, b, c = (part.astype(np.int16) for part in (left, up, corner))
    towards = a + b - c
    to_a, to_b, to_c = np.abs(towards - a), np.abs(towards - b), np.abs(towards - c)
    paeth = np.where((to_a <= to_b) & (to_a <= to_c), a, np.where(to_b <= to_c, b, c)).astype(np.uint8)
    choices = np.stack([rows, rows - left, rows - up, rows - paeth])
    kinds = np.array([0, 1, 2, 4], np.uint8)
    cost = np.abs(choices.view(np.int8).astype(np.int16)).sum(axis=2, dtype=np.int64)
    best = cost.argmin(axis=0)
    return np.hstack([kinds[best][:, None], choices[best, np.arange(len(rows))]])


def _carried(chunks: Sequence[Chunk]) -> Carried:
    exif = next((chunk.data for chunk in chunks if chunk.kind == b"eXIf"), None)
    icc = next((chunk.data for chunk in chunks if chunk.kind == b"iCCP"), None)
    texts = [chunk.data for chunk in chunks if chunk.kind == b"iTXt" and chunk.data.startswith(_XMP)]
    xmp = texts[0].split(b"\0", 5)[-1] if texts else None
    return Carried(exif, zlib.decompress(icc.split(b"\0", 1)[1][1:]) if icc else None, xmp, None)


def _chunks_of(carried: Carried) -> list[Chunk]:
    """Return chunks for what a photograph of another format carried."""
    chunks = []
    if carried.icc:
        chunks.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(carried.icc)))
    if carried.dpi:
        x, y = (round(dpi / 0.0254) for dpi in carried.dpi)
        chunks.append((b"pHYs", struct.pack(">IIB", x, y, 1)))
    if carried.exif:
        chunks.append((b"eXIf", carried.exif))
    if carried.xmp:
        chunks.append((b"iTXt", _XMP + b"\0\0\0\0" + carried.xmp))
    return [Chunk(kind, data, False) for kind, data in chunks]
