import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from deblur_lit.data.images import RGB, ImageError, image_size, read_rgb, write_png


@pytest.fixture
def image() -> RGB:
    return np.random.default_rng(0).integers(0, 256, (33, 47, 3), dtype=np.uint8)


def test_a_png_survives_a_round_trip(tmp_path: Path, image: RGB) -> None:
    write_png(tmp_path / "a.png", image)
    assert np.array_equal(read_rgb(tmp_path / "a.png"), image)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), image)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.jpg"])
def test_pixels_and_size_are_those_that_pillow_reads(tmp_path: Path, image: RGB, name: str) -> None:
    Image.fromarray(image).save(tmp_path / name)
    pixels = read_rgb(tmp_path / name)
    assert np.array_equal(pixels, np.asarray(Image.open(tmp_path / name)))
    assert pixels.flags.c_contiguous
    assert image_size(tmp_path / name) == (33, 47)


def test_the_content_says_what_a_file_is_not_its_suffix(tmp_path: Path, image: RGB) -> None:
    write_png(tmp_path / "a.png", image)
    shutil.move(tmp_path / "a.png", tmp_path / "a.jpg")
    assert np.array_equal(read_rgb(tmp_path / "a.jpg"), image)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("grey", "8-bit grey"),
        ("rgba", "8-bit RGBA"),
        ("palette", "palette"),
        ("16-bit", "16-bit RGB"),
        ("cmyk", "CMYK"),
    ],
)
@pytest.mark.parametrize("read", [read_rgb, image_size])
def test_what_is_not_8_bit_rgb_is_refused_by_name(tmp_path: Path, image: RGB, kind: str, says: str, read) -> None:
    path = tmp_path / ("odd.jpg" if kind == "cmyk" else "odd.png")
    if kind == "16-bit":
        cv2.imwrite(str(path), image.astype(np.uint16) * 257)
    else:
        modes = {"grey": "L", "rgba": "RGBA", "palette": "P", "cmyk": "CMYK"}
        Image.fromarray(image).convert(modes[kind]).save(path)
    with pytest.raises(ImageError, match=rf"odd\.\w+: .*{says}.*convert it to 8-bit RGB"):
        read(path)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
@pytest.mark.parametrize("share", [0.4, 0.9])
def test_a_truncated_file_is_an_error_that_names_it(tmp_path: Path, image: RGB, name: str, share: float) -> None:
    path = tmp_path / name
    Image.fromarray(image).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ImageError, match=rf"{name}: truncated or damaged"):
        read_rgb(path)


def test_a_flipped_bit_inside_a_png_is_an_error(tmp_path: Path, image: RGB) -> None:
    write_png(tmp_path / "a.png", image)
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ImageError, match=r"a\.png: truncated or damaged image"):
        read_rgb(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty file"),
        (b"hello", "neither PNG, JPEG nor WebP"),
        (b"\x89PNG\r\n\x1a\n\0\0", "its header is cut off"),
    ],
)
@pytest.mark.parametrize("read", [read_rgb, image_size])
def test_what_is_no_image_is_refused_by_name(tmp_path: Path, content: bytes, says: str, read) -> None:
    (tmp_path / "no.png").write_bytes(content)
    with pytest.raises(ImageError, match=rf"no\.png: .*{says}"):
        read(tmp_path / "no.png")


def test_a_missing_file_is_a_file_not_found_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent"):
        read_rgb(tmp_path / "absent.png")


def test_write_png_refuses_what_is_not_uint8_rgb(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.png: expected .* got \(4, 4\) float64"):
        write_png(tmp_path / "a.png", np.zeros((4, 4)))  # type: ignore[arg-type]


def test_a_full_disk_leaves_the_old_file_and_no_part(
    tmp_path: Path, image: RGB, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_png(tmp_path / "a.png", image)

    def full(self: Path, data: bytes) -> int:
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=r"No space left.*free some space.*a\.png"):
        write_png(tmp_path / "a.png", 255 - image)
    assert np.array_equal(read_rgb(tmp_path / "a.png"), image)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
