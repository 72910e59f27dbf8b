"""Pairs to look at: frames, the crop that training could draw, and where blurred and sharp differ."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from deblur_lit.data.images import RGB
from deblur_lit.data.pairs import PairList
from deblur_lit.data.transforms import crop_offset
from deblur_lit.pictures import GAP

ROW = 180  # pixels, height of a row
LABEL = 16  # pixels, height of the line of text above it
GAIN = 4  # of differences, which lie around middle grey
COLUMNS = ("blur", "sharp", f"difference x{GAIN}", "blur, crop", "sharp, crop", f"difference x{GAIN}")


def contact_sheet(pairs: PairList, indices: Sequence[int], crop_size: int, seed: int) -> RGB:
    """Draw one row for each pair.

    Args:
        pairs: a split.
        indices: of the pairs to show.
        crop_size: side of the crop in pixels; images smaller than it are shown whole.
        seed: of the places of the crops.

    Returns:
        (H, W, 3) uint8; rows are scaled to ROW pixels, nothing in them is scaled up but crops.

    Raises:
        ImageError: if a pair cannot be read.
    """
    return np.concatenate(_same_width([_row(pairs, index, crop_size, seed) for index in indices]))


def _row(pairs: PairList, index: int, crop_size: int, seed: int) -> RGB:
    blur, sharp = pairs.read(index)
    height, width = blur.shape[:2]
    side = min(crop_size, height, width)
    top, left = crop_offset(np.random.default_rng([seed, index]), height, width, side)
    window = np.s_[top : top + side, left : left + side]
    frames = [Image.fromarray(image) for image in (blur, sharp, _difference(blur, sharp))]
    crops = [frame.crop((left, top, left + side, top + side)) for frame in frames]
    scale = ROW / height
    small = [frame.resize((max(1, round(width * scale)), ROW), Image.Resampling.BOX) for frame in frames]
    for frame in small[:2]:
        corners = (left * scale, top * scale, (left + side) * scale - 1, (top + side) * scale - 1)
        ImageDraw.Draw(frame).rectangle(corners, outline="yellow")
    large = [crop.resize((ROW, ROW), Image.Resampling.NEAREST) for crop in crops]
    pictures = small + large
    total = sum(picture.width + GAP for picture in pictures)
    row = Image.new("RGB", (total, LABEL + ROW + GAP), "white")
    draw = ImageDraw.Draw(row)
    x = 0
    for picture, label in zip(pictures, COLUMNS, strict=True):
        row.paste(picture, (x, LABEL))
        draw.text((x + 2, 2), f"{pairs.names[index]}  {label}" if x == 0 else label, fill="black")
        x += picture.width + GAP
    error = np.abs(blur[window].astype(int) - sharp[window]).mean()
    draw.text((x - ROW + 96, 2), f"mean {error:.1f}", fill="black")
    return np.asarray(row)


def _difference(blur: RGB, sharp: RGB) -> RGB:
    return (128 + GAIN * (blur.astype(np.int16) - sharp)).clip(0, 255).astype(np.uint8)


def _same_width(rows: Sequence[RGB]) -> list[RGB]:
    width = max(row.shape[1] for row in rows)
    return [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
