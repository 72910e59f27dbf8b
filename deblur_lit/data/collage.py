"""Overlapping pieces of photographs, flat and shaded shapes, and letters: the sharp edges that landscapes lack."""

import string

import cv2
import numpy as np
from numpy.typing import NDArray

from deblur_lit.data.images import RGB

SHAPES = (3, 12)  # fewest and most
WORDS = (0, 4)
_LETTERS = np.array(list(string.ascii_letters + string.digits))


def collage(pieces: list[RGB], shaded_share: float, draw: np.random.Generator) -> RGB:
    """Return the first piece covered by shapes that are cut from all pieces, of one colour or shaded, and by words.

    Args:
        pieces: (H, W, 3) uint8, all of one shape.
        shaded_share: share of the shapes that run from one colour to another.
        draw: source of the numbers.

    Returns:
        (H, W, 3) uint8, contiguous.
    """
    image = pieces[0].astype(np.float32)
    height, width = image.shape[:2]
    for _ in range(draw.integers(SHAPES[0], SHAPES[1] + 1)):
        mask = _shape(height, width, draw)[..., None]
        image += mask * (_filling(pieces, shaded_share, draw) - image)
    for _ in range(draw.integers(WORDS[0], WORDS[1] + 1)):
        mask = _word(height, width, draw)[..., None]
        image += mask * (draw.uniform(0, 255, 3).astype(np.float32) - image)
    return np.ascontiguousarray(image.round().clip(0, 255).astype(np.uint8))


def _filling(pieces: list[RGB], shaded_share: float, draw: np.random.Generator) -> NDArray[np.float32]:
    if shaded_share and draw.random() < shaded_share:  # a share of 0 draws nothing: recipes without it keep their pairs
        height, width = pieces[0].shape[:2]
        return _shade(height, width, draw)
    if draw.random() < 0.4:
        return draw.uniform(0, 255, 3).astype(np.float32)
    piece = pieces[int(draw.integers(len(pieces)))]
    turned = np.rot90(piece, int(draw.integers(4))) if piece.shape[0] == piece.shape[1] else piece[:, ::-1]
    return turned.astype(np.float32)


def _shade(height: int, width: int, draw: np.random.Generator) -> NDArray[np.float32]:
    """Return (H, W, 3) that runs in waves from one colour to another and back, often from or to black."""
    ends = draw.uniform(0, 255, (2, 3)) * draw.choice([0.0, 0.3, 1.0], (2, 1))
    turn, length = draw.uniform(0, 2 * np.pi), np.exp(draw.uniform(np.log(8), np.log(200)))
    rows, columns = np.mgrid[:height, :width]
    wave = (np.cos(turn) * columns + np.sin(turn) * rows) / length + draw.uniform(0, 2)
    part = (0.5 - 0.5 * np.cos(np.pi * wave)) ** np.exp(draw.uniform(-1, 1))
    shade: NDArray[np.float32] = (ends[0] + (ends[1] - ends[0]) * part[..., None]).astype(np.float32)
    return shade


def _shape(height: int, width: int, draw: np.random.Generator) -> NDArray[np.float32]:
    """Draw an ellipse, a bar or a polygon; returns (H, W) opacity in [0, 1] with a smooth edge."""
    mask = np.zeros((height, width), np.uint8)
    centre = draw.uniform(0, 1, 2) * (width, height)
    size = np.exp(draw.uniform(np.log(0.02), np.log(0.4), 2)) * min(height, width)
    kind = draw.integers(3)
    if kind == 0:
        axes, turn = tuple(int(side) + 1 for side in size), float(draw.uniform(0, 180))
        cv2.ellipse(mask, tuple(int(x) for x in centre), axes, turn, 0, 360, 255, -1, cv2.LINE_AA)
    else:
        corners = 4 if kind == 1 else int(draw.integers(3, 7))
        turns = np.sort(draw.uniform(0, 2 * np.pi, corners)) if kind == 2 else np.pi / 4 + np.arange(4) * np.pi / 2
        turn = draw.uniform(0, np.pi) if draw.random() < 0.6 else 0.0
        points = np.stack([np.cos(turns), np.sin(turns)], axis=1) * size
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        cv2.fillPoly(mask, [(points @ rotation.T + centre).round().astype(np.int32)], 255, cv2.LINE_AA)
    return mask.astype(np.float32) / np.float32(255)


def _word(height: int, width: int, draw: np.random.Generator) -> NDArray[np.float32]:
    mask = np.zeros((height, width), np.uint8)
    word = "".join(draw.choice(_LETTERS, int(draw.integers(1, 12))))
    place = (int(draw.integers(-20, width // 2)), int(draw.integers(10, height)))
    font, scale, weight = int(draw.integers(8)), float(draw.uniform(0.4, 2.5)), int(draw.integers(1, 5))
    cv2.putText(mask, word, place, font, scale, 255, weight, cv2.LINE_AA)
    return mask.astype(np.float32) / np.float32(255)
