"""Pictures to look at: blur | restored | sharp, each above an enlarged detail."""

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw
from torch import Tensor

ZOOM = 3  # enlargement of the detail; it shows 1/9 of the frame
GAP = 4  # pixels between pictures
Picture = npt.NDArray[np.uint8]


def to_picture(image: Tensor) -> Picture:
    """Turn one image (3, H, W), uint8 or float in [0, 1] (clamped, rounded), into uint8 (H, W, 3)."""
    if image.dtype != torch.uint8:
        image = image.detach().float().clamp(0, 1).mul(255).round().to(torch.uint8)
    return image.permute(1, 2, 0).contiguous().cpu().numpy()


def comparison(blur: Picture, restored: Picture, sharp: Picture) -> Picture:
    """Put three pictures side by side, each above its enlarged detail.

    The detail is the ninth of the frame with the most contrast in `sharp`, so that it is the same for every
    network and step.

    Args:
        blur: uint8 (H, W, 3).
        restored: likewise, of the same size.
        sharp: likewise.

    Returns:
        uint8 (2 H + gap, 3 W + 2 gaps, 3).
    """
    height, width = sharp.shape[:2]
    rows, columns = height // ZOOM, width // ZOOM
    [(top, left)] = busiest(sharp, rows, columns, 1)
    sheet = Image.new("RGB", (3 * width + 2 * GAP, 2 * height + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for place, (label, picture) in enumerate((("blur", blur), ("restored", restored), ("sharp", sharp))):
        x = place * (width + GAP)
        frame = Image.fromarray(picture)
        detail = frame.crop((left, top, left + columns, top + rows)).resize((width, height), Image.Resampling.NEAREST)
        sheet.paste(frame, (x, 0))
        sheet.paste(detail, (x, height + GAP))
        draw.rectangle((x + left, top, x + left + columns - 1, top + rows - 1), outline="yellow")
        draw.text((x + 4, 2), label, fill="white", stroke_width=2, stroke_fill="black")
    return np.asarray(sheet)


def panels(height: int, width: int, top: int = 0) -> dict[str, dict[str, tuple[int, int, int, int]]]:
    """Return where `comparison` puts its pictures, so that they can be cut out again.

    Args:
        height: of each picture in pixels.
        width: likewise.
        top: where the sheet itself lies on a larger one.

    Returns:
        For "frame" and "detail", by "blur", "restored" and "sharp": (left, top, right, bottom).
    """
    return {
        kind: {
            label: (x := place * (width + GAP), top + y, x + width, top + y + height)
            for place, label in enumerate(("blur", "restored", "sharp"))
        }
        for kind, y in (("frame", 0), ("detail", height + GAP))
    }


def busiest(sharp: Picture, height: int, width: int, number: int) -> list[tuple[int, int]]:
    """Return (top, left) of the windows with the most contrast, the first with most, none over another.

    Args:
        sharp: uint8 (H, W, 3).
        height: of a window in pixels, at most H.
        width: likewise, at most W.
        number: of windows. There are fewer where no more fit beside the chosen.
    """
    contrast = {
        (top, left): float(sharp[top : top + height, left : left + width].std())
        for top in range(0, sharp.shape[0] - height + 1, max(1, height // 2))
        for left in range(0, sharp.shape[1] - width + 1, max(1, width // 2))
    }
    chosen: list[tuple[int, int]] = []
    for top, left in sorted(contrast, key=lambda corner: contrast[corner], reverse=True):
        if len(chosen) < number and all(abs(top - y) >= height or abs(left - x) >= width for y, x in chosen):
            chosen.append((top, left))
    return chosen
