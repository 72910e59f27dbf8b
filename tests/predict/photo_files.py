"""Photographs of every kind that is read, written by Pillow, OpenCV and tifffile; and files that are none."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms, PngImagePlugin

HEIGHT, WIDTH = 37, 53
XMP = b'<?xpacket begin=""?><x:xmpmeta xmlns:x="adobe:ns:meta/"><a>1</a></x:xmpmeta>'
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
WIDE = ICC.replace("sRGB".encode("utf-16-be"), "Wide".encode("utf-16-be"))  # of another name


def scene(channels: int, top: int = 255, size: tuple[int, int] = (HEIGHT, WIDTH)) -> NDArray[Any]:
    """A smooth picture with some noise, (H, W, C) uint8 or uint16."""
    draw = np.random.default_rng(channels)
    rows, columns = np.mgrid[: size[0], : size[1]]
    waves = [np.sin(rows / (4 + k)) + np.cos(columns / (5 + 2 * k)) for k in range(channels)]
    picture = (np.stack(waves, -1) + 2) / 4 * 0.9 + draw.uniform(0, 0.1, (*size, channels))
    return np.round(picture * top).clip(0, top).astype(np.uint8 if top < 256 else np.uint16)


def exif(orientation: int = 6) -> bytes:
    """EXIF of a camera, with a directory of its own, GPS and an orientation."""
    tags = Image.Exif()
    tags[271], tags[272], tags[274] = "Maker", "Model Ä", orientation
    tags[34665] = {33434: (1, 50), 36867: "2024:05:06 07:08:09", 37500: b"maker's note" * 5}
    tags[34853] = {1: "N", 2: (50.0, 6.0, 7.5)}
    return tags.tobytes()


def pillow(mode: str, kind: str, **options: Any) -> Callable[[Path], None]:
    """A maker of a file by Pillow."""
    channels = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "P": 3, "1": 1, "CMYK": 4}[mode]
    picture = Image.fromarray(scene(channels).squeeze())

    def make(path: Path) -> None:
        converted = picture.quantize(61) if mode == "P" else picture.convert(mode) if mode != "CMYK" else picture
        if mode == "CMYK":
            converted = Image.frombytes("CMYK", picture.size, scene(4).tobytes())
        converted.save(path, kind, **options)

    return make


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(colour_type: int, depth: int, *chunks: tuple[bytes, bytes]) -> Callable[[Path], None]:
    """A maker of a PNG from its specification: rows without a filter, chunks before them."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour_type]

    def make(path: Path) -> None:
        samples = scene(channels, top=2**depth - 1 if depth < 16 else 65535)[:, :, :channels]
        if depth < 8:
            bits = np.unpackbits(samples.astype(np.uint8).reshape(HEIGHT, -1, 1), axis=2)[:, :, 8 - depth :]
            rows = np.packbits(bits.reshape(HEIGHT, -1), axis=1)
        else:
            rows = np.ascontiguousarray(samples, f">u{depth // 8}").view(np.uint8).reshape(HEIGHT, -1)
        header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, colour_type, 0, 0, 0)
        body = zlib.compress(np.pad(rows, ((0, 0), (1, 0))).tobytes())
        parts = [(b"IHDR", header), *chunks, (b"IDAT", body[:100]), (b"IDAT", body[100:]), (b"IEND", b"")]
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*part) for part in parts))

    return make


def tiff(channels: int, top: int = 255, **options: Any) -> Callable[[Path], None]:
    """A maker of a TIFF by tifffile."""

    def make(path: Path) -> None:
        settings = {"photometric": "rgb" if channels > 2 else "minisblack", "metadata": None} | options
        big, order = settings.pop("bigtiff", False), settings.pop("byteorder", "<")
        data = settings.pop("data", scene(channels, top).squeeze())
        with tifffile.TiffWriter(path, bigtiff=big, byteorder=order) as file:
            file.write(data, **settings)

    return make


def cv2_file(channels: int, *options: int) -> Callable[[Path], None]:
    """A maker of a file of 16 bit by OpenCV."""
    return lambda path: path.write_bytes(cv2.imencode(path.suffix, scene(channels, 65535), list(options))[1].tobytes())


def texts() -> PngImagePlugin.PngInfo:
    """Text of every kind that PNG has, and a chunk of nobody's."""
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "plain")
    info.add_text("Comment", "long " * 50, zip=True)
    info.add_itxt("Author", "Ä Ö Ü", lang="de")
    info.add_itxt("XML:com.adobe.xmp", XMP.decode())
    info.add(b"vpAg", b"12345")
    info.add(b"tIME", struct.pack(">HBBBBB", 2024, 5, 6, 7, 8, 9), after_idat=True)
    return info


def mpo() -> Callable[[Path], None]:
    """A maker of a JPEG with a second picture behind the first, as phones write it."""

    def make(path: Path) -> None:
        first = Image.fromarray(scene(3))
        first.save(path, "MPO", save_all=True, append_images=[first.reduce(2)], exif=exif())

    return make


KEYED = (b"tRNS", struct.pack(">HHH", *map(int, scene(3)[0, 0])))
PALETTE = (b"PLTE", bytes(range(48)))

LOSSLESS: dict[str, Callable[[Path], None]] = {
    "rgb.png": pillow("RGB", "PNG"),
    "grey.png": pillow("L", "PNG"),
    "rgba.png": pillow("RGBA", "PNG", icc_profile=WIDE),
    "grey_alpha.png": pillow("LA", "PNG", dpi=(300, 300)),
    "palette.png": pillow("P", "PNG"),
    "palette_transparent.png": pillow("P", "PNG", transparency=3),
    "bilevel.png": pillow("1", "PNG"),
    "metadata.png": pillow("RGB", "PNG", pnginfo=texts(), exif=exif(8), icc_profile=WIDE, dpi=(300, 200)),
    "grey_metadata.png": pillow("L", "PNG", pnginfo=texts(), exif=exif(3)),
    "gamma.png": png(2, 8, (b"gAMA", struct.pack(">I", 45455)), (b"cHRM", bytes(32)), (b"bKGD", bytes(6))),
    "keyed.png": png(2, 8, KEYED),
    "keyed_4_bit.png": png(0, 4, (b"tRNS", struct.pack(">H", int(scene(1, 15)[0, 0, 0])))),
    "grey_2_bit.png": png(0, 2),
    "palette_4_bit.png": png(3, 4, PALETTE, (b"tRNS", bytes([0, 128, 255]))),
    "rgb_16_bit.png": png(2, 16, (b"sBIT", bytes([12, 12, 12])), (b"tEXt", b"Title\0sixteen")),
    "rgba_16_bit.png": png(6, 16, (b"iCCP", b"wide\0\0" + zlib.compress(WIDE)), (b"eXIf", exif()[6:])),
    "grey_16_bit.png": png(0, 16, (b"pHYs", struct.pack(">IIB", 11811, 11811, 1))),
    "grey_alpha_16_bit.png": png(4, 16),
    "rgb_16_bit_by_opencv.png": cv2_file(3),
    "lossless.webp": pillow("RGB", "WEBP", lossless=True, exif=exif(), icc_profile=WIDE, xmp=XMP),
    "lossless_alpha.webp": pillow("RGBA", "WEBP", lossless=True, exact=True),
    "rgb.tif": pillow("RGB", "TIFF", icc_profile=WIDE, dpi=(300, 300)),
    "exif.tif": pillow("RGB", "TIFF", exif=exif(5), description="of a lake"),
    "grey.tif": pillow("L", "TIFF", compression="tiff_lzw"),
    "palette.tif": pillow("P", "TIFF"),
    "bilevel.tif": pillow("1", "TIFF", compression="group4"),
    "rgba.tif": pillow("RGBA", "TIFF", compression="packbits"),
    "lzw.tif": pillow("RGB", "TIFF", compression="tiff_lzw"),
    "deflate.tif": tiff(3, compression="zlib", predictor=True, extratags=[(700, 1, len(XMP), XMP, False)]),
    "rgb_16_bit.tif": tiff(3, 65535, resolution=(300, 200), iccprofile=WIDE, description="ä".encode(), software="me"),
    "big_endian_16_bit.tif": tiff(3, 65535, byteorder=">", extratags=[(315, 2, 6, "Author", False)]),
    "deflate_16_bit.tif": tiff(3, 65535, compression="zlib", predictor=True),
    "tiles_16_bit.tif": tiff(3, 65535, tile=(16, 16), compression="zlib"),
    "big_16_bit.tif": tiff(3, 65535, bigtiff=True, iccprofile=WIDE),
    "rgba_16_bit.tif": tiff(4, 65535, extrasamples=["unassalpha"]),
    "associated_alpha_16_bit.tif": tiff(4, 65535, extrasamples=["assocalpha"]),
    "associated_alpha.tif": tiff(4, extrasamples=["assocalpha"]),
    "turned_16_bit.tif": tiff(3, 65535, extratags=[(274, 3, 1, 6, True)]),
    "turned_deflate.tif": tiff(4, compression="zlib", byteorder=">", extratags=[(274, 3, 1, 8, True)]),
    "grey_16_bit.tif": tiff(1, 65535, byteorder=">"),
    "white_is_zero.tif": tiff(1, photometric="miniswhite"),
    "white_is_zero_16_bit.tif": tiff(1, 65535, photometric="miniswhite"),
    "planes.tif": tiff(3, data=np.ascontiguousarray(scene(3).transpose(2, 0, 1)), planarconfig="separate"),
    "lzw_16_bit_by_opencv.tif": cv2_file(3),
}  # fmt: skip
LOSSY: dict[str, Callable[[Path], None]] = {
    "rgb.jpg": pillow("RGB", "JPEG", quality=80, exif=exif(6), icc_profile=WIDE, dpi=(240, 240), comment="of a lake"),
    "grey.jpg": pillow("L", "JPEG", quality=90, exif=exif(1), xmp=XMP),
    "progressive.jpg": pillow("RGB", "JPEG", quality=60, progressive=True, subsampling=2),
    "fine.jpg": pillow("RGB", "JPEG", quality=100, subsampling=0),
    "phone.jpg": mpo(),
    "lossy.webp": pillow("RGB", "WEBP", quality=80, exif=exif(3)),
}  # fmt: skip


def _animated(kind: str) -> Callable[[Path], None]:
    frames = [Image.fromarray(scene(3) // (k + 1)) for k in range(3)]
    return lambda path: frames[0].save(path, kind, save_all=True, append_images=frames[1:])


def _cut(make: Callable[[Path], None], share: float) -> Callable[[Path], None]:
    def cut(path: Path) -> None:
        make(path)
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])

    return cut


def _bomb(path: Path) -> None:
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(10_000))), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*part) for part in parts))


def _text(path: Path) -> None:
    path.write_text("<html>not found</html>", encoding="utf-8")


def _gif(path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(scene(3)).save(buffer, "GIF")
    path.write_bytes(buffer.getvalue())


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {  # and what the message says
    "empty.jpg": (lambda path: path.write_bytes(b"") and None, "empty file"),
    "page.jpg": (_text, "no picture that is known"),
    "gif.gif": (_gif, "GIF is not read"),
    "heic.heic": (lambda path: path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(40)) and None, "HEIC is not read"),
    "cut.jpg": (_cut(pillow("RGB", "JPEG"), 0.6), "truncated"),
    "cut_early.jpg": (_cut(pillow("RGB", "JPEG"), 0.02), "truncated"),
    "cut.png": (_cut(pillow("RGB", "PNG"), 0.6), "truncated PNG"),
    "cut_16_bit.png": (_cut(png(2, 16), 0.6), "truncated PNG"),
    "cut.webp": (_cut(pillow("RGB", "WEBP"), 0.6), "truncated"),
    "cut.tif": (_cut(pillow("RGB", "TIFF", compression="tiff_lzw"), 0.6), "truncated"),
    "cut_16_bit.tif": (_cut(tiff(3, 65535), 0.6), "truncated"),
    "bomb.png": (_bomb, "100000x100000 pixels, above the limit of 500 million"),
    "cmyk.jpg": (pillow("CMYK", "JPEG"), "its colours are CMYK"),
    "cmyk.tif": (pillow("CMYK", "TIFF"), "a TIFF in CMYK"),
    "float.tif": (tiff(3, data=scene(3).astype(np.float32)), "32-bit floats"),
    "integers.tif": (tiff(1, data=scene(1).astype(np.uint32).squeeze()), "32-bit numbers"),
    "signed.tif": (tiff(1, data=scene(1).astype(np.int16).squeeze()), "signed 16-bit numbers"),
    "pages.tif": (tiff(1, data=scene(3).transpose(2, 0, 1).copy()), "3 pages"),
    "animated.png": (_animated("PNG"), "animated PNG"),
    "animated.webp": (_animated("WEBP"), "animated WebP"),
    "animated.gif": (_animated("GIF"), "GIF is not read"),
}
