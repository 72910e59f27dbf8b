"""A picture as a PDF of one page without loss; Pillow's own PDF holds RGB as JPEG."""

import struct

SIGNATURE = 8  # bytes before the first chunk of a PNG


def pdf_of_png(png: bytes, width: float, title: str) -> bytes:
    """Return a PDF of one page that shows a PNG; its compressed pixels are copied as they are.

    Args:
        png: 8-bit RGB, not interlaced.
        width: of the page in points (1/72 inch); the height follows.
        title: ASCII.

    Returns:
        PDF 1.4. The same PNG gives the same bytes.

    Source: ISO 32000-1, 7.4.4.4: Flate streams with predictor 15 are the IDAT chunks of a PNG.
    """
    columns, rows = struct.unpack(">II", png[SIGNATURE + 8 : SIGNATURE + 16])
    pixels = _chunks(png, b"IDAT")
    height = width * rows / columns
    shown = f"q {width:.3f} 0 0 {height:.3f} 0 0 cm /Picture Do Q".encode()
    picture = (
        f"/Type /XObject /Subtype /Image /Width {columns} /Height {rows} /ColorSpace /DeviceRGB /BitsPerComponent 8 "
        f"/Filter /FlateDecode /DecodeParms << /Predictor 15 /Colors 3 /BitsPerComponent 8 /Columns {columns} >>"
    )
    text = title.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
    page = f"/MediaBox [0 0 {width:.3f} {height:.3f}] /Resources << /XObject << /Picture 5 0 R >> >> /Contents 4 0 R"
    return _join(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            f"<< /Type /Page /Parent 2 0 R {page} >>".encode(),
            _stream("", shown),
            _stream(picture, pixels),
            f"<< /Title ({text}) >>".encode("ascii", "replace"),
        ]
    )


def _chunks(png: bytes, kind: bytes) -> bytes:
    """Return the data of all chunks of one kind, joined."""
    found, place = [], SIGNATURE
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4])
        if png[place + 4 : place + 8] == kind:
            found.append(png[place + 8 : place + 8 + length])
        place += length + 12  # with length, kind and checksum
    return b"".join(found)


def _stream(entries: str, data: bytes) -> bytes:
    return f"<< {entries} /Length {len(data)} >>\nstream\n".encode() + data + b"\nendstream"


def _join(objects: list[bytes]) -> bytes:
    """Return a file of numbered objects with their places: the first is the catalogue, the last the information."""
    file = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")  # the second line says that bytes follow
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(file))
        file += f"{number} 0 obj\n".encode() + body + b"\nendobj\n"
    start = len(file)
    file += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    file += "".join(f"{place:010d} 00000 n \n" for place in places).encode()
    size = len(objects) + 1
    file += f"trailer\n<< /Size {size} /Root 1 0 R /Info {len(objects)} 0 R >>\nstartxref\n{start}\n%%EOF\n".encode()
    return bytes(file)
