"""The directories of a TIFF file: tags as raw bytes, in and out, in either byte order and in BigTIFF."""

import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from deblur_lit.predict.photo import PhotoError

POINTERS = (34665, 34853, 40965)  # EXIF, GPS, interoperability: their value is the place of a directory
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
ORIENTATION = 274
_SHORT = 3
_MOST_TAGS = 4096
_DEEPEST = 3


class Layout(NamedTuple):
    """Byte order as `struct` writes it, and whether places are of 8 bytes."""

    order: str
    big: bool

    @property
    def place(self) -> str:
        """Format of a place in the file."""
        return self.order + ("Q" if self.big else "I")

    @property
    def entries(self) -> str:
        """Format of the number of tags."""
        return self.order + ("Q" if self.big else "H")

    @property
    def head(self) -> str:
        """Format of what stands before the value of a tag: tag, type, number of values."""
        return self.order + ("HHQ" if self.big else "HHI")

    @property
    def inline(self) -> int:
        """Bytes of a value that stands in the tag itself."""
        return 8 if self.big else 4


class Tag(NamedTuple):
    """Type, number of values, and their bytes in the order of the file; a pointer has a directory instead."""

    type: int
    number: int
    data: bytes
    directory: "Mapping[int, Tag] | None" = None


Directory = Mapping[int, Tag]


def layout_of(data: bytes) -> Layout:
    """Return the layout that a file's first bytes name."""
    return Layout("<" if data[:2] == b"II" else ">", 43 in (data[2], data[3]))


def upright(data: bytes, layout: Layout) -> bytes:
    """Return a file whose first page says that it stands upright, for decoders that turn the pixels otherwise."""
    [page] = _unpack(layout.place, data, 8 if layout.big else 4)
    [number] = _unpack(layout.entries, data, page)
    size = struct.calcsize(layout.head) + layout.inline
    first = page + struct.calcsize(layout.entries)
    for at in range(first, first + number * size, size):
        tag, kind, _ = _unpack(layout.head, data, at)
        start = at + size - layout.inline
        if tag == ORIENTATION and kind == _SHORT and data[start : start + 2] != struct.pack(layout.order + "H", 1):
            return data[:start] + struct.pack(layout.order + "H", 1) + data[start + 2 :]
    return data


def integers(layout: Layout, tag: Tag | None) -> tuple[int, ...]:
    """Return the values of a tag of whole numbers; none where it is absent or of another type."""
    if tag is None or tag.type not in _INTEGERS:
        return ()
    return struct.unpack(f"{layout.order}{tag.number}{_INTEGERS[tag.type]}", tag.data)


def read_directories(data: bytes, layout: Layout) -> list[Directory]:
    """Return the directories of all pages; tags whose values are not in the file are left out.

    Raises:
        PhotoError: if a directory is outside of the file.
    """
    [place] = _unpack(layout.place, data, 8 if layout.big else 4)
    pages: list[Directory] = []
    seen: set[int] = set()
    while place and place not in seen:
        seen.add(place)
        directory, place = _read(data, layout, place, depth=0)
        pages.append(directory)
    if not pages:
        raise PhotoError("a TIFF without a picture; it is damaged")
    return pages


def _unpack(form: str, data: bytes, place: int) -> tuple[int, ...]:
    if place + struct.calcsize(form) > len(data):
        raise PhotoError("truncated TIFF; copy or download it again")
    return struct.unpack_from(form, data, place)


def _read(data: bytes, layout: Layout, place: int, depth: int) -> tuple[Directory, int]:
    """Return a directory and the place of the next one."""
    [number] = _unpack(layout.entries, data, place)
    if number > _MOST_TAGS:
        raise PhotoError(f"a TIFF directory of {number} tags; it is damaged")
    place += struct.calcsize(layout.entries)
    size = struct.calcsize(layout.head) + layout.inline
    found: dict[int, Tag] = {}
    for at in range(place, place + number * size, size):
        tag, kind, values = _unpack(layout.head, data, at)
        length = values * _SIZES.get(kind, 1)
        start = at + size - layout.inline
        if length > layout.inline:
            [start] = _unpack(layout.place, data, start)
        if start + length > len(data) or kind not in _SIZES:
            continue
        entry = Tag(kind, values, data[start : start + length])
        if tag in POINTERS:
            inner = integers(layout, entry)
            if len(inner) != 1 or depth == _DEEPEST:
                continue
            with suppress(PhotoError):
                found[tag] = entry._replace(directory=_read(data, layout, inner[0], depth + 1)[0])
        else:
            found[tag] = entry
    [following] = _unpack(layout.place, data, place + number * size)
    return found, following


def write_directory(directory: Directory, layout: Layout, place: int) -> bytes:
    """Return a directory and what it points to, for a given place in the file."""
    tags = sorted(directory.items())
    size = struct.calcsize(layout.head) + layout.inline
    end = place + struct.calcsize(layout.entries) + len(tags) * size + layout.inline
    head = struct.pack(layout.entries, len(tags))
    beyond = b""
    for number, tag in tags:
        values, data = tag.number, tag.data
        if tag.directory is not None:
            beyond += b"\0" * (len(beyond) % 2)
            inner = end + len(beyond)
            beyond += write_directory(tag.directory, layout, inner)
            values, data = 1, struct.pack(layout.order + _INTEGERS[tag.type], inner)
        head += struct.pack(layout.head, number, tag.type, values)
        if len(data) <= layout.inline:
            head += data.ljust(layout.inline, b"\0")
        else:
            beyond += b"\0" * (len(beyond) % 2)
            head += struct.pack(layout.place, end + len(beyond))
            beyond += data
    return head + struct.pack(layout.place, 0) + beyond
