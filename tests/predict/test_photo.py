"""Photographs come out as they went in: with an identity in place of a network, pixels and metadata are the same."""

import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from photo_files import HEIGHT, ICC, LOSSLESS, LOSSY, REFUSED, WIDE, WIDTH, XMP, pillow, scene
from PIL import Image

from deblur_lit.predict import ifd, photo, system
from deblur_lit.predict.photo import PhotoError, encode, read_photo, write_photo

PICTURE_CHUNKS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
LAYOUT_TAGS = {256, 257, 258, 259, 262, 273, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325, 338, 339, 254, 266}


def made(folder: Path, name: str) -> Path:
    """The fixture file of a name."""
    path = folder / name
    {**LOSSLESS, **LOSSY, **{key: make for key, (make, _) in REFUSED.items()}}[name](path)
    return path


def through(path: Path) -> Path:
    """The file read and written again, pixels passed on as a network would be given them."""
    read = read_photo(path)
    out = path.with_name(f"out_{path.name}")
    write_photo(out, read.restored(read.pixels.copy()))
    return out


def decoded(path: Path) -> NDArray[Any]:
    """The samples (H, W, C) as others decode them: tifffile where it can, OpenCV those of 16 bit, Pillow the rest."""
    if path.suffix == ".tif":
        with tifffile.TiffFile(path) as file:
            if file.pages[0].compression in (1, 8, 32946) and file.pages[0].photometric != 3:
                data = file.pages[0].asarray()
                return data.transpose(1, 2, 0) if file.pages[0].planarconfig == 2 else data.reshape(*data.shape[:2], -1)
    if "16_bit" in path.name:
        data = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        return data[:, :, None] if data.ndim == 2 else data[:, :, [2, 1, 0, 3][: data.shape[2]]]
    with Image.open(path) as image:
        keyed = "transparency" in image.info
        mode = {"1": "L", "P": "RGB"}.get(image.mode, image.mode)
        if keyed:
            mode = "LA" if image.mode == "L" else "RGBA"
            if "4_bit" in path.name and mode == "LA" and image.info["transparency"] < 16:
                image.info["transparency"] *= 17  # Pillow takes the key for one of 8 bit
        data = np.array(image.convert(mode))
    return data.reshape(*data.shape[:2], -1)


def chunks(path: Path) -> list[tuple[bytes, bytes]]:
    data, place, found = path.read_bytes(), 8, []
    while place < len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        found.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += 12 + length
    return [chunk for chunk in found if chunk[0] not in PICTURE_CHUNKS]


def segments(path: Path) -> list[bytes]:
    data, place, found = path.read_bytes(), 2, []
    while data[place + 1] != 0xDA:
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        if (data[place + 1] >= 0xE0 and data[place + 1] != 0xEE) and data[place + 4 : place + 8] != b"MPF\0":
            found.append(data[place:end])
        place = end
    return found


def tags(path: Path) -> dict[int, ifd.Tag]:
    """All tags but those of the layout, pointers followed and without their places."""

    def plain(directory: ifd.Directory) -> dict[int, Any]:
        return {
            number: plain(tag.directory) if tag.directory is not None else tag
            for number, tag in directory.items()
            if number not in LAYOUT_TAGS
        }

    data = path.read_bytes()
    return plain(ifd.read_directories(data, ifd.layout_of(data))[0])


def metadata(path: Path) -> Any:
    """All that a file holds beside its picture."""
    kind = photo.format_of(path.read_bytes())
    if kind == "PNG":
        return chunks(path)
    if kind == "JPEG":
        return segments(path)
    if kind == "TIFF":
        return tags(path)
    with Image.open(path) as image:
        return {key: image.info.get(key) for key in ("exif", "icc_profile", "xmp")}


def test_there_are_thirty_kinds_of_photographs_or_more() -> None:
    assert len(LOSSLESS) >= 30


@pytest.mark.parametrize("name", LOSSLESS)
def test_pixels_and_metadata_of_lossless_files_are_the_same_behind_an_identity(name: str, tmp_path: Path) -> None:
    path = made(tmp_path, name)
    out = through(path)
    before, after = decoded(path), decoded(out)
    assert before.dtype == after.dtype
    np.testing.assert_array_equal(before, after)
    assert metadata(out) == metadata(path)


@pytest.mark.parametrize("name", [name for name in LOSSLESS if "16_bit" in name])
def test_16_bit_files_stay_16_bit(name: str, tmp_path: Path) -> None:
    path = made(tmp_path, name)
    assert read_photo(path).pixels.dtype == np.uint16
    assert decoded(through(path)).dtype == np.uint16
    assert decoded(path).max() > 255


@pytest.mark.parametrize("name", LOSSY)
def test_lossy_files_lose_nothing_visible_and_keep_their_metadata(name: str, tmp_path: Path) -> None:
    path = made(tmp_path, name)
    out = through(path)
    before, after = (decoded(file).astype(float) for file in (path, out))
    assert 10 * np.log10(255**2 / max(np.mean((before - after) ** 2), 1e-9)) >= 45
    assert metadata(out) == metadata(path)
    with Image.open(path) as given, Image.open(out) as written:
        assert given.size == written.size
        assert given.info.get("icc_profile") == written.info.get("icc_profile")
        assert given.getexif() == written.getexif()


def test_a_jpeg_is_never_written_more_coarsely_than_it_was(tmp_path: Path) -> None:
    with Image.open(made(tmp_path, "fine.jpg")) as given, Image.open(through(tmp_path / "fine.jpg")) as written:
        assert all((np.array(written.quantization[k]) <= np.array(given.quantization[k])).all() for k in (0, 1))


def test_the_loss_of_a_large_jpeg_is_measured_on_strips_of_it(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    Image.fromarray(scene(3, size=(1200, 3400))).save(path, quality=95)
    before, after = (decoded(file).astype(float) for file in (path, through(path)))
    assert 10 * np.log10(255**2 / np.mean((before - after) ** 2)) >= 44.9


def test_the_metadata_that_is_compared_is_there(tmp_path: Path) -> None:
    names = {kind for kind, _ in metadata(made(tmp_path, "metadata.png"))}
    assert names >= {b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"iCCP", b"pHYs", b"vpAg", b"tIME"}
    assert {segment[1] for segment in metadata(made(tmp_path, "rgb.jpg"))} >= {0xE0, 0xE1, 0xE2, 0xFE}
    found = metadata(made(tmp_path, "exif.tif"))
    assert found[34665][37500].data == b"maker's note" * 5
    assert found[34853][1].data[:1] == b"N"
    assert metadata(made(tmp_path, "lossless.webp"))["xmp"] == XMP
    assert ICC != WIDE


@pytest.mark.parametrize("name", ["rgb.jpg", "lossless.webp", "exif.tif", "metadata.png", "rgba_16_bit.png"])
def test_the_orientation_is_neither_applied_nor_changed(name: str, tmp_path: Path) -> None:
    path = made(tmp_path, name)
    with Image.open(path) as given, Image.open(through(path)) as written:
        assert given.getexif()[274] == written.getexif()[274] > 1
    assert read_photo(path).pixels.shape == read_photo(through(path)).pixels.shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("name", ["rgb.jpg", "lossless.webp", "exif.tif", "rgb.tif"])
def test_as_png_a_photograph_keeps_pixels_exif_profile_xmp_and_resolution(name: str, tmp_path: Path) -> None:
    path = made(tmp_path, name)
    read = read_photo(path)
    out = tmp_path / "out.png"
    write_photo(out, read, "PNG")
    with Image.open(path) as given, Image.open(out) as written:
        np.testing.assert_array_equal(read.pixels, np.array(written))
        assert given.info.get("icc_profile") == written.info.get("icc_profile")
        wanted = [271, 274, 36867] if "exif" in name or (given.getexif() and name != "rgb.tif") else []
        for number in wanted:
            found = [{**image.getexif(), **image.getexif().get_ifd(34665)}[number] for image in (given, written)]
            assert found[0] == found[1]
        if "dpi" in given.info and name != "exif.tif":
            assert written.info["dpi"] == pytest.approx(given.info["dpi"], abs=0.01)
        assert name != "lossless.webp" or written.info["xmp"] == XMP


def test_other_formats_are_not_converted_to(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="a JPEG is written as JPEG or PNG, not as WebP"):
        encode(read_photo(made(tmp_path, "rgb.jpg")), "WebP")


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_restored_is_refused_in_one_line_that_says_why(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(PhotoError, match=REFUSED[name][1]) as caught:
        read_photo(made(tmp_path, name))
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["rgb.jpg", "rgb.png", "rgb_16_bit.png", "lossless.webp", "lzw.tif", "rgb_16_bit.tif"])
def test_a_file_that_is_damaged_anywhere_is_read_or_refused(name: str, tmp_path: Path) -> None:
    whole = made(tmp_path, name).read_bytes()
    draw = np.random.default_rng(0)
    for _ in range(60):
        data = bytearray(whole)
        for place in draw.integers(len(data), size=3):
            data[place] = draw.integers(256)
        (tmp_path / "damaged").write_bytes(bytes(data[: draw.integers(1, len(data) + 1)]))
        with suppress(PhotoError):  # anything else fails
            read = read_photo(tmp_path / "damaged")
            assert encode(read, read.format)


def test_a_wrong_suffix_is_noted_and_the_file_stays_what_it_is(tmp_path: Path) -> None:
    path = shutil.copy(made(tmp_path, "rgb.png"), tmp_path / "wrong.jpg")
    assert "it is a PNG by its content" in read_photo(path).notes[0]
    assert photo.format_of(through(path).read_bytes()) == "PNG"


@pytest.mark.parametrize("size", [(1, 1), (3, 4097), (4097, 3)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_the_smallest_and_the_narrowest_are_read_and_written(kind: str, size: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind.lower()}"
    Image.fromarray(scene(3, size=size)).save(path, kind)
    assert read_photo(through(path)).pixels.shape == (*size, 3)


def test_limits_allow_a_photograph_of_a_hundred_megapixels_and_leave_those_of_pillow(tmp_path: Path) -> None:
    photo.check_size(12_288, 8_192)
    before = Image.MAX_IMAGE_PIXELS
    read_photo(made(tmp_path, "rgb.jpg"))
    assert before == Image.MAX_IMAGE_PIXELS
    with pytest.raises(PhotoError, match="0x5 pixels"):
        photo.check_size(0, 5)


@pytest.mark.parametrize("name", ["rgb.jpg", "rgb.png", "rgb.tif", "rgb_16_bit.tif", "lossless.webp"])
def test_a_lower_limit_is_kept_in_every_format(name: str, tmp_path: Path) -> None:
    (LOSSLESS | LOSSY)[name](tmp_path / name)
    pixels = photo.read_photo(tmp_path / name).pixels
    height, width = pixels.shape[:2]
    assert photo.read_photo(tmp_path / name, height * width).pixels.shape == pixels.shape
    with pytest.raises(photo.PhotoError, match=f"{width}x{height} pixels, above the limit of"):
        photo.read_photo(tmp_path / name, height * width - 1)


def test_alpha_and_grey_survive_a_network_that_changes_colours(tmp_path: Path) -> None:
    read = read_photo(made(tmp_path, "grey_alpha.png"))
    changed = read.pixels.copy()
    changed[:, :, 0] ^= 1
    write_photo(tmp_path / "out.png", read.restored(changed))
    with Image.open(tmp_path / "out.png") as written:
        assert written.mode == "LA"
        np.testing.assert_array_equal(np.array(written)[:, :, 1], read.alpha)
    with pytest.raises(ValueError, match=r"restored pixels are \(1, 1, 3\)"):
        read.restored(changed[:1, :1])


def test_a_write_that_fails_leaves_the_older_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    pillow("RGB", "PNG")(target)
    before = target.read_bytes()
    stopped = system.beside(target)
    stopped.__enter__().write_bytes(b"half")
    assert not stopped.__exit__(OSError, OSError("disk full"), None)
    assert target.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_photographs_are_read_without_torch() -> None:
    code = "from deblur_lit.predict import tiff, jpeg, png, webp\nimport sys\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "False\n"
