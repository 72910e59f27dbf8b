"""Files to 8-bit RGB arrays and back, with one clear error for whatever cannot be one half of a pair."""

import os
import struct
from pathlib import Path

import cv2
import numpy as np
from kornia_rs.io import read_image_png_u8
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from deblur_lit.data.faults import DataError

RGB = NDArray[np.uint8]  # (H, W, 3), contiguous

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_COLOURS = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGBA"}
_PILLOW_MODES = {"L": "grey", "P": "palette", "LA": "grey with alpha"}
_PILLOW_FORMATS = ("JPEG", "WEBP")


class ImageError(DataError):
    """A file cannot be used as one half of a pair. The message names the file, what it is and the remedy."""


def read_rgb(path: str | Path) -> RGB:
    """Return the pixels of an 8-bit RGB file exactly as stored; an EXIF orientation is not applied.

    PNG is decoded by kornia_rs, twice as fast as OpenCV and bit-exact with it; JPEG and WebP by Pillow,
    because kornia_rs returns a truncated JPEG without an error.

    Args:
        path: PNG, JPEG or WebP, told by content and not by suffix.

    Returns:
        (H, W, 3) uint8, RGB, contiguous.

    Raises:
        FileNotFoundError: if there is no such file.
        ImageError: if it is empty, truncated, no image, or not 8-bit RGB (grey, palette, alpha, 16 bit).

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> write_png(folder / "red.png", np.full((2, 3, 3), (255, 0, 0), np.uint8))
        >>> read_rgb(folder / "red.png")[0, 0].tolist()
        [255, 0, 0]
    """
    path = Path(path)
    if _png_size(path) is None:
        return _read_with_pillow(path)
    try:
        return read_image_png_u8(str(path), "rgb")
    except Exception as error:  # kornia_rs raises bare Exception
        raise _damage(path, error) from error


def image_size(path: str | Path) -> tuple[int, int]:
    """Return (height, width) from the header of a file that `read_rgb` accepts, without decoding it.

    Raises:
        FileNotFoundError: if there is no such file.
        ImageError: as `read_rgb`, except that damage behind the header goes unnoticed.
    """
    path = Path(path)
    size = _png_size(path)
    if size is None:
        with _open_with_pillow(path) as image:
            size = image.height, image.width
    return size


def write_png(path: str | Path, image: RGB) -> None:
    """Write (H, W, 3) uint8 RGB losslessly; the file appears whole or not at all.

    Raises:
        ValueError: if `image` is not (H, W, 3) uint8.
        OSError: if the folder cannot be written or the disk is full; an older file then stays as it was.
    """
    path = Path(path)
    _check_image(path, image)
    _write(path, cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes())


def write_jpeg(path: str | Path, image: RGB, quality: int) -> None:
    """Write (H, W, 3) uint8 RGB as JPEG of a quality from 1 to 100; as `write_png` otherwise."""
    _check_image(Path(path), image)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    _write(Path(path), cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1].tobytes())


def _check_image(path: Path, image: RGB) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"{path}: expected a (H, W, 3) uint8 image, got {image.shape} {image.dtype}")


def _write(path: Path, data: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        beside.write_bytes(data)
        beside.replace(path)
    except OSError as error:
        remedy = f"{error.strerror}; free some space or choose another folder"
        raise OSError(error.errno, remedy, str(path)) from error
    finally:
        beside.unlink(missing_ok=True)


def _refusal(path: Path, what: str) -> ImageError:
    return ImageError(f"{path}: {what} image; pairs are 8-bit RGB, convert it to 8-bit RGB PNG", "format")


def _png_size(path: Path) -> tuple[int, int] | None:
    """Return (height, width) of an 8-bit RGB PNG and None for what is no PNG; refuse other kinds of PNG."""
    with path.open("rb") as file:
        header = file.read(26)
    if not header:
        raise ImageError(f"{path}: empty file (0 bytes); copy or download it again", "empty")
    if not header.startswith(_PNG_SIGNATURE):
        return None
    if len(header) < 26:
        cut = f"{path}: truncated PNG (its header is cut off); copy or download it again"
        raise ImageError(cut, "truncated")
    width, height, depth, colour = struct.unpack(">IIBB", header[16:])
    if (depth, colour) != (8, 2):
        raise _refusal(path, f"{depth}-bit {_PNG_COLOURS.get(colour, 'unknown')}")
    return height, width


def _read_with_pillow(path: Path) -> RGB:
    with _open_with_pillow(path) as image:
        try:
            return np.array(image)
        except OSError as error:
            raise _damage(path, error) from error


def _open_with_pillow(path: Path) -> Image.Image:
    try:
        image = Image.open(path, formats=_PILLOW_FORMATS)
    except UnidentifiedImageError as error:
        raise ImageError(f"{path}: neither PNG, JPEG nor WebP; replace it or remove it", "no image") from error
    except OSError as error:
        raise _damage(path, error) from error
    if image.mode != "RGB":
        image.close()
        raise _refusal(path, _PILLOW_MODES.get(image.mode, image.mode))
    return image


def _damage(path: Path, error: Exception) -> ImageError:
    return ImageError(f"{path}: truncated or damaged image ({error}); copy or download it again", "truncated")
