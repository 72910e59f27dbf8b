"""The geometry of the figure: order, equal gaps, untouched pixels, marks and labels."""

import io
import struct
import zlib
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from figure_data import Pixels
from PIL import Image

from deblur_lit.figure.pdf import pdf_of_png
from deblur_lit.figure.scenes import Crop, Scene
from deblur_lit.figure.sheet import COLOURS, ENLARGE, Box, Grid, draw, enlargement, lay_out, texts

LABELS = ("Blurred", "Sharp", "one", "two")
CROPS = [[Crop(3, 4, 12, 9), Crop(30, 20, 12, 9)], [Crop(0, 0, 12, 9), Crop(10, 19, 12, 9)]]
FACTOR = 8


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    """A wide and a tall frame."""
    draw = np.random.default_rng(0)
    psnr = {"Blurred": 21.125, "one": 27.0049, "two": np.inf}
    return [
        Scene(name, note, {label: draw.integers(0, 256, (*size, 3), np.uint8) for label in LABELS}, psnr)
        for name, note, size in (("a/000001", "best gain of 4 images", (36, 48)), ("b/1", "", (40, 24)))
    ]


@pytest.fixture(scope="module")
def grid(scenes: list[Scene]) -> Grid:
    return lay_out(scenes, CROPS, FACTOR)


@pytest.fixture(scope="module")
def sheet(scenes: list[Scene], grid: Grid) -> Pixels:
    return np.asarray(draw(scenes, CROPS, grid, "nearest"))


def part(sheet: Pixels, box: Box) -> Pixels:
    left, top, right, bottom = box
    return sheet[top:bottom, left:right]


def rgb(colour: str) -> list[int]:
    return list(bytes.fromhex(colour[1:]))


def cells(grid: Grid) -> list[tuple[int, int, int]]:
    return list(product(range(len(grid.frames)), range(grid.rows), range(grid.columns)))


def test_crops_are_enlarged_pixels_in_order(scenes: list[Scene], grid: Grid, sheet: Pixels) -> None:
    for number, row, column in cells(grid):
        left, top, right, bottom = CROPS[number][row].box
        crop = scenes[number].pictures[LABELS[column]][top:bottom, left:right]
        expected = crop.repeat(FACTOR, axis=0).repeat(FACTOR, axis=1)
        assert np.array_equal(part(sheet, grid.crop(number, row, column)), expected)


def test_lanczos_is_pillows(scenes: list[Scene], grid: Grid) -> None:
    smooth = np.asarray(draw(scenes, CROPS, grid, "lanczos"))
    crop = Image.fromarray(scenes[0].pictures["one"][4:13, 3:15]).resize(grid.cell, ENLARGE["lanczos"])
    assert np.array_equal(part(smooth, grid.crop(0, 0, 2)), np.asarray(crop))


def test_each_crop_has_a_border_in_the_colour_of_its_mark(scenes: list[Scene], grid: Grid, sheet: Pixels) -> None:
    for number, row, column in cells(grid):
        left, top, right, bottom = grid.crop(number, row, column)
        ring = part(sheet, (left - grid.border, top - grid.border, right + grid.border, bottom + grid.border)).copy()
        ring[grid.border : -grid.border, grid.border : -grid.border] = rgb(COLOURS[row])
        assert (ring == rgb(COLOURS[row])).all()
    for number, crops in enumerate(CROPS):
        frame = part(sheet, grid.frame(number))
        scale = grid.height / scenes[number].pictures["Sharp"].shape[0]
        for crop, colour in zip(crops, COLOURS, strict=True):
            left, top, right, bottom = (round(side * scale) for side in crop.box)
            corners = [frame[y, x].tolist() for y in (top, bottom - 1) for x in (left, right - 1)]
            assert corners == [rgb(colour)] * 4


def test_gaps_are_equal_and_white(grid: Grid, sheet: Pixels) -> None:
    columns = [grid.crop(0, 0, column) for column in range(grid.columns)]
    right_ends = [max(grid.frames), *(box[2] + grid.border for box in columns)]
    assert [box[0] - grid.border - end for box, end in zip(columns, right_ends, strict=False)] == [grid.gap] * 4
    assert right_ends[-1] == sheet.shape[1] == grid.width
    upper, lower = grid.crop(0, 0, 0), grid.crop(0, 1, 0)
    assert lower[1] - upper[3] - 2 * grid.border == grid.gap
    for left in right_ends[:-1]:
        assert (sheet[: grid.height, left : left + grid.gap] == 255).all()


def test_frames_are_as_high_as_their_crops_and_keep_their_shape(scenes: list[Scene], grid: Grid) -> None:
    for number, scene in enumerate(scenes):
        left, top, right, bottom = grid.frame(number)
        assert bottom - top == grid.height
        assert grid.crop(number, grid.rows - 1, 0)[3] + grid.border == bottom
        height, width = scene.pictures["Sharp"].shape[:2]
        assert abs((right - left) * height - (bottom - top) * width) <= height / 2
        assert abs(left - (max(grid.frames) - right)) <= 1


def test_below_stand_name_and_psnr(scenes: list[Scene], grid: Grid, sheet: Pixels) -> None:
    frame, *columns = texts(scenes[0])
    assert frame == "a/000001\nbest gain of 4 images"
    assert columns == ["Blurred\n21.12 dB", "Sharp\nPSNR", "one\n27.00 dB", "two\ninf dB"]
    for number in range(2):
        top = grid.top(number) + grid.height
        strip = sheet[top : grid.top(number + 1)]
        assert (strip[: grid.gap] == 255).all()
        for column in range(grid.columns):
            left, _, right, _ = grid.crop(number, 0, column)
            lines = (strip[:, left:right] < 128).any(axis=(1, 2))
            assert np.count_nonzero(np.diff(lines.astype(int)) == 1) >= 2
            assert not lines[-1]


def test_another_psnr_is_another_picture(scenes: list[Scene], grid: Grid, sheet: Pixels) -> None:
    changed = Scene(scenes[0].name, scenes[0].note, scenes[0].pictures, {**scenes[0].psnr, "one": 27.01})
    other = np.asarray(draw([changed, scenes[1]], CROPS, grid, "nearest"))
    where = np.argwhere((other != sheet).any(axis=2))
    left, _, right, _ = grid.crop(0, 0, LABELS.index("one"))
    assert len(where)
    assert (where[:, 0] > grid.height).all()
    assert ((left <= where[:, 1]) & (where[:, 1] < right)).all()


def test_long_labels_stay_in_their_column(scenes: list[Scene]) -> None:
    name = "a network of a long name " * 3
    pictures = {label if label != "one" else name: image for label, image in scenes[0].pictures.items()}
    wide = Scene("a/1", "", pictures, {**scenes[0].psnr, name: 30.0})
    grid = lay_out([wide], CROPS[:1], 40)
    drawn = np.asarray(draw([wide], CROPS[:1], grid, "nearest"))
    left, _, right, _ = grid.crop(0, 0, 2)
    text = drawn[grid.height + grid.gap :]
    assert (text[:, left:right] < 128).any()
    for beside in (left - grid.gap, right):
        assert (text[:, beside : beside + grid.gap] == 255).all()


def test_letters_that_the_font_lacks_are_named(scenes: list[Scene], grid: Grid) -> None:
    foreign = Scene("模糊", "", scenes[0].pictures, scenes[0].psnr)
    with pytest.raises(ValueError, match="the font has no 模 糊; give --font"):
        draw([foreign, scenes[1]], CROPS, grid, "nearest")


def test_a_font_that_is_none_is_named(scenes: list[Scene], grid: Grid, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"--font .*none\.ttf"):
        draw(scenes, CROPS, grid, "nearest", tmp_path / "none.ttf")


@pytest.mark.parametrize(("width", "factor"), [(426, 2), (160, 3), (100, 4), (16, 25), (4000, 2)])
def test_enlarged_crops_are_wide_enough(width: int, factor: int) -> None:
    assert enlargement(Crop(0, 0, width, 10)) == factor


def test_the_pdf_has_one_page_with_the_pixels_of_the_png(sheet: Pixels, tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    Image.fromarray(sheet).save(path)
    pdf = pdf_of_png(path.read_bytes(), 504, "a (b) \\ c")
    assert pdf.startswith(b"%PDF-1.4\n")
    assert pdf.endswith(b"%%EOF\n")
    assert pdf.count(b"/Type /Page ") == 1
    assert b"/Count 1 " in pdf
    assert rb"/Title (a \(b\) \\ c)" in pdf
    start = int(pdf.rsplit(b"startxref\n", 1)[1].split()[0])
    lines = pdf[start:].splitlines()
    assert lines[:3] == [b"xref", b"0 7", b"0000000000 65535 f "]
    for number, line in enumerate(lines[3:9], 1):
        assert pdf[int(line[:10]) :].startswith(f"{number} 0 obj\n".encode())
    height, width = sheet.shape[:2]
    assert f"/MediaBox [0 0 504.000 {504 * height / width:.3f}]".encode() in pdf
    assert np.array_equal(picture_of(pdf, height, width), sheet)


def picture_of(pdf: bytes, height: int, width: int) -> Pixels:
    """Decode the picture of a PDF by making a PNG of it: its stream is filtered as one."""
    start = pdf.index(b"stream\n", pdf.index(b"/Subtype /Image")) + len(b"stream\n")
    length = int(pdf[:start].rsplit(b"/Length ", 1)[1].split()[0])
    assert pdf[start + length :].startswith(b"\nendstream")
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", pdf[start:][:length]), (b"IEND", b"")]
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return np.asarray(Image.open(io.BytesIO(png)))
