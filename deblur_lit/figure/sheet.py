"""The figure: each frame with its marked crops, and the crops of every system enlarged beside it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from deblur_lit.figure.scenes import Crop, Scene
from deblur_lit.figure.systems import BLURRED, SHARP

COLOURS = ("#ff3b1f", "#ffd21f")  # of the marks, and of the borders of the crops
PAGE = 7.0  # inches, width in print: two columns of a journal
FONT = 7.5  # points in print
LEADING = 1.3  # line height in font sizes
LEAST_WIDTH = 400  # pixels of an enlarged crop, where the enlargement is chosen
ENLARGE = {"nearest": Image.Resampling.NEAREST, "lanczos": Image.Resampling.LANCZOS}

Box = tuple[int, int, int, int]  # left, top, right, bottom, the last two one beyond


@dataclass(frozen=True)
class Grid:
    """Where everything stands, in pixels.

    Attributes:
        cell: width and height of an enlarged crop, without its border.
        rows: crops of one frame.
        columns: pictures of one crop.
        frames: width of each frame as it is shown, all as high as the rows of its crops.
    """

    cell: tuple[int, int]
    rows: int
    columns: int
    frames: tuple[int, ...]

    @property
    def gap(self) -> int:
        """Between neighbours, everywhere."""
        return max(4, self.cell[0] // 40)

    @property
    def border(self) -> int:
        """Width of the coloured line around a crop, outside of its pixels."""
        return max(2, self.cell[0] // 100)

    @property
    def height(self) -> int:
        """Of a frame, and of its rows of crops."""
        return self.rows * (self.cell[1] + 2 * self.border) + (self.rows - 1) * self.gap

    @property
    def width(self) -> int:
        """Of the whole figure."""
        return max(self.frames) + self.columns * (self.cell[0] + 2 * self.border + self.gap)

    @property
    def font(self) -> int:
        """Size of the text at most."""
        return max(8, round(FONT / 72 / PAGE * self.width))

    @property
    def total_height(self) -> int:
        """Of the whole figure."""
        return self.top(len(self.frames)) - self.gap

    def top(self, scene: int) -> int:
        """Return where the pictures of a scene begin; two lines of text stand below them."""
        return scene * (self.height + round(2 * LEADING * self.font) + 2 * self.gap)

    def frame(self, scene: int) -> Box:
        """Return the place of a frame, in the middle of its column."""
        left, top = (max(self.frames) - self.frames[scene]) // 2, self.top(scene)
        return left, top, left + self.frames[scene], top + self.height

    def crop(self, scene: int, row: int, column: int) -> Box:
        """Return the place of an enlarged crop, without its border."""
        width, height = self.cell
        left = max(self.frames) + self.gap + self.border + column * (width + 2 * self.border + self.gap)
        top = self.top(scene) + self.border + row * (height + 2 * self.border + self.gap)
        return left, top, left + width, top + height


def enlargement(crop: Crop) -> int:
    """Return the factor, at least 2, that makes a crop wide enough to look at."""
    return max(2, -(-LEAST_WIDTH // crop.width))


def lay_out(scenes: Sequence[Scene], crops: Sequence[Sequence[Crop]], factor: int) -> Grid:
    """Place the crops of all scenes, equal in size and number, enlarged by a factor."""
    crop, rows = crops[0][0], len(crops[0])
    grid = Grid((factor * crop.width, factor * crop.height), rows, len(scenes[0].pictures), ())
    shapes = [scene.pictures[SHARP].shape for scene in scenes]
    return replace(grid, frames=tuple(round(grid.height * shape[1] / shape[0]) for shape in shapes))


def draw(
    scenes: Sequence[Scene], crops: Sequence[Sequence[Crop]], grid: Grid, enlarge: str, font: Path | None = None
) -> Image.Image:
    """Draw the figure.

    Args:
        scenes: one or more, of the same systems.
        crops: of each scene, all of one size and number.
        grid: their places.
        enlarge: how crops are enlarged: nearest or lanczos. Frames are scaled by lanczos.
        font: TrueType file in place of Pillow's own, which has Western letters alone.

    Returns:
        RGB; the pixels of the crops are changed by nothing but the enlargement.

    Raises:
        ValueError: if the font lacks a letter of a label.
        OSError: if the font cannot be read.
    """
    below = [texts(scene) for scene in scenes]
    letters = _fit(below, grid, font)
    sheet = Image.new("RGB", (grid.width, grid.total_height), "white")
    pen = ImageDraw.Draw(sheet)
    for number, scene in enumerate(scenes):
        sheet.paste(_marked(scene, crops[number], grid, number), grid.frame(number)[:2])
        for column, picture in enumerate(scene.pictures.values()):
            for row, crop in enumerate(crops[number]):
                place = grid.crop(number, row, column)
                pen.rectangle(_around(place, grid.border), fill=COLOURS[row])
                part = Image.fromarray(picture[crop.top : crop.box[3], crop.left : crop.box[2]])
                sheet.paste(part.resize(grid.cell, ENLARGE[enlarge]), place[:2])
        boxes = [(0, max(grid.frames)), *(grid.crop(number, 0, column)[::2] for column in range(grid.columns))]
        for (left, right), text in zip(boxes, below[number], strict=True):
            top = grid.top(number) + grid.height + grid.gap
            pen.multiline_text(
                ((left + right) / 2, top), text, "black", letters, "ma", letters.size * (LEADING - 1), "center"
            )
    return sheet


def _marked(scene: Scene, crops: Sequence[Crop], grid: Grid, number: int) -> Image.Image:
    """Return the blurred frame as large as it is shown, with a mark around each crop."""
    picture = Image.fromarray(scene.pictures[BLURRED])
    scale = grid.height / picture.height
    frame = picture.resize((grid.frames[number], grid.height), Image.Resampling.LANCZOS)
    pen = ImageDraw.Draw(frame)
    for crop, colour in zip(crops, COLOURS, strict=False):
        left, top, right, bottom = (round(side * scale) for side in crop.box)
        corners = left, top, min(right, frame.width) - 1, min(bottom, frame.height) - 1
        pen.rectangle(corners, outline=colour, width=grid.border)
    return frame


def _around(box: Box, border: int) -> Box:
    """Return the corners of a rectangle around a box, as ImageDraw wants them: the last pixel is in it."""
    left, top, right, bottom = box
    return left - border, top - border, right + border - 1, bottom + border - 1


def texts(scene: Scene) -> list[str]:
    """Return what stands below the frame and below each column."""
    values = [f"{scene.psnr[label]:.2f} dB" if label in scene.psnr else "PSNR" for label in scene.pictures]
    columns = [f"{label}\n{value}" for label, value in zip(scene.pictures, values, strict=True)]
    return [f"{scene.name}\n{scene.note}", *columns]


def _fit(texts: Sequence[Sequence[str]], grid: Grid, path: Path | None) -> ImageFont.FreeTypeFont:
    """Return the largest font up to the grid's in which every text is as wide as its column at most."""
    font = _font(path, grid.font)
    _check_letters(font, {letter for text in texts for line in text for letter in line} - {"\n"})
    widths = [max(grid.frames), *([grid.cell[0]] * grid.columns)]
    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    excess = max(
        pen.multiline_textbbox((0, 0), text, font)[2] / width
        for line in texts
        for text, width in zip(line, widths, strict=True)
    )
    return _font(path, max(6, int(grid.font / max(1.0, excess))))


def _font(path: Path | None, size: int) -> ImageFont.FreeTypeFont:
    if path is None:
        own = ImageFont.load_default(size)
        assert isinstance(own, ImageFont.FreeTypeFont)  # Pillow built without FreeType has a bitmap font alone
        return own
    try:
        return ImageFont.truetype(path, size)
    except OSError as error:
        raise OSError(f"--font {path}: {error}; give a TrueType or OpenType file") from error


def _check_letters(font: ImageFont.FreeTypeFont, letters: set[str]) -> None:
    """Refuse letters that would be drawn as empty boxes."""
    box = bytes(font.getmask("\uffff"))
    if lacking := sorted(letter for letter in letters if bytes(font.getmask(letter)) == box):
        raise ValueError(f"the font has no {' '.join(lacking)}; give --font a file that has, or another LABEL=FOLDER")
