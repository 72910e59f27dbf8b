"""One training pair as a photographer's camera would take it: light, highlights, motion, noise, response, JPEG."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from deblur_lit.data.collage import collage
from deblur_lit.data.images import RGB
from deblur_lit.data.synthesis import Camera, draw_blob, draw_path

Light = NDArray[np.float32]  # (H, W, C), linear where the response is; above 1 where a sensor would be full

SHORT = 8.0  # pixels
DARKEST = 2.0 / 255  # light added to a flat patch at least, so that its colour is not all black


@dataclass(frozen=True)
class PhotoRecipe:
    """Ranges from which a pair is drawn; lengths are pixels of the pair.

    Args:
        side: of the square pair.
        margin: pixels around it that only the moving camera sees.
        tilt: largest turn of a piece of a photograph in degrees, beside quarter turns.
        stretch: largest ratio of the scales of the two axes of a piece.
        frames: (fewest, most) frames of an exposure, odd: GoPro's M.
        extent: (shortest, longest) path during the exposure, uniform in its logarithm.
        short_share: share of pairs whose path is at most `SHORT`.
        substeps: poses that are averaged for each frame, odd: the shutter is open between frames too.
        bend: how far a path is from a straight line at one speed. Much of it moves the sharp frame away from the middle
            of the blur.
        rotation: largest turn in degrees.
        zoom: largest relative change of scale.
        linear_share: share of pairs whose encoded values are averaged (GoPro's `blur`); others average light.
        gamma: (least, most) exponent of the response of the others.
        foreground_share: share of pairs with an object that moves by itself.
        collage_share: share of pairs that show overlapping pieces of photographs, flat shapes and letters.
        shaded_share: share of the shapes of a collage that run softly from one colour to another, as blur does, and
            are sharp at their rim.
        highlight_share: share of pairs whose bright parts are brighter than the sensor can tell.
        dark_share: share of pairs taken in little light.
        noise_share: share of pairs with noise of the sensor.
        noise: largest variance of shot noise at full light, in squared light; read noise is a tenth of its deviation.
        jpeg_share: share of pairs whose blurred side went through JPEG.
        jpeg: (least, most) quality.
        sharp_share: share of pairs that show no blur: input and target are the same, a third of them flat.
        sharp_collage_share: share of the others of these that show a collage.
        vivid_share: share of the flat ones whose channels differ freely: pure colours and white among them.

    Raises:
        ValueError: if a range is empty, a share is not in [0, 1], a number of frames or substeps is even, or a tilt or
            stretch is impossible.
    """

    side: int = 256
    margin: int = 32
    tilt: float = 0.0
    stretch: float = 1.0
    frames: tuple[int, int] = (7, 13)
    extent: tuple[float, float] = (2.0, 40.0)
    short_share: float = 0.0
    substeps: int = 3
    bend: float = 0.15
    rotation: float = 1.5
    zoom: float = 0.008
    linear_share: float = 0.5
    gamma: tuple[float, float] = (1.8, 2.4)
    foreground_share: float = 0.25
    collage_share: float = 0.3
    shaded_share: float = 0.0
    highlight_share: float = 0.25
    dark_share: float = 0.1
    noise_share: float = 0.5
    noise: float = 2.0e-4
    jpeg_share: float = 0.3
    jpeg: tuple[int, int] = (60, 98)
    sharp_share: float = 0.1
    sharp_collage_share: float = 0.0
    vivid_share: float = 0.0

    def __post_init__(self) -> None:
        for name in ("frames", "extent", "gamma", "jpeg"):
            least, most = getattr(self, name)
            if not 0 < least <= most:
                raise ValueError(f"{name}={[least, most]} must be (least, most) with 0 < least <= most")
        for name in [name for name in self.__dataclass_fields__ if name.endswith("_share")]:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)} must be a share from 0 to 1")
        if self.tilt < 0 or self.stretch < 1:
            raise ValueError(f"tilt={self.tilt} must be 0 degrees or more, stretch={self.stretch} 1 or more")
        if not (self.frames[0] % 2 and self.frames[1] % 2 and self.substeps % 2):
            raise ValueError(f"frames={list(self.frames)} and substeps={self.substeps} must be odd")

    @property
    def seen(self) -> int:
        """Side of the piece of photograph that one pair needs, in pixels."""
        return self.side + 2 * self.margin


def expose_photo(piece: RGB, others: list[RGB], recipe: PhotoRecipe, draw: np.random.Generator) -> tuple[RGB, RGB]:
    """Return the blurred and the sharp image of one exposure of a piece of a photograph.

    Args:
        piece: (S, S, 3) uint8 with S = `recipe.seen`, sharp at pixel level.
        others: pieces of the same shape of other photographs, at least one; they lend foregrounds and collages.
        recipe: ranges of the draws.
        draw: source of the numbers.

    Returns:
        (blur, sharp), both (side, side, 3) uint8, contiguous. The sharp side is free of noise and JPEG.

    Raises:
        ValueError: if a piece has another shape.
    """
    for image in (piece, *others):
        if image.shape != (recipe.seen, recipe.seen, 3):
            raise ValueError(f"a piece is {image.shape}, but the recipe needs {(recipe.seen, recipe.seen, 3)}")
    if draw.random() < recipe.sharp_share:
        return _still(piece, others, recipe, draw)
    if draw.random() < recipe.collage_share:
        piece = collage([piece, *others], recipe.shaded_share, draw)
    gamma = 1.0 if draw.random() < recipe.linear_share else float(draw.uniform(*recipe.gamma))
    gain = float(draw.uniform(0.1, 0.5)) if draw.random() < recipe.dark_share else 1.0
    boost = float(draw.uniform(1, 8)) if draw.random() < recipe.highlight_share else 0.0
    light = gain * brighten(decode(piece, gamma), boost)
    foreground = gain * decode(others[0], gamma) if draw.random() < recipe.foreground_share else None
    blurred, sharp = _move(light, foreground, recipe, draw)
    if draw.random() < recipe.noise_share:
        blurred = add_noise(blurred, float(draw.uniform(0, recipe.noise)), draw)
    blur = encode(blurred, gamma)
    if draw.random() < recipe.jpeg_share:
        blur = jpeg(blur, int(draw.integers(recipe.jpeg[0], recipe.jpeg[1] + 1)))
    return blur, encode(sharp, gamma)


def decode(image: RGB, gamma: float) -> Light:
    """Return the light of encoded values: x^gamma with x in [0, 1]."""
    levels: Light = (np.arange(256, dtype=np.float32) / np.float32(255)) ** np.float32(gamma)
    return levels[image]


def encode(light: Light, gamma: float) -> RGB:
    """Return what a sensor stores of light: clipped at 1, x^(1/gamma), rounded to 8 bits.

    Example:
        >>> encode(np.array([[[0.5, 1.0, 3.0]]], np.float32), 1.0).tolist()
        [[[128, 255, 255]]]
    """
    encoded = np.clip(light, 0, 1) ** np.float32(1 / gamma)
    return np.ascontiguousarray((encoded * 255).round().astype(np.uint8))


def brighten(light: Light, boost: float) -> Light:
    """Make the brightest tenths up to 1 + `boost` times brighter, beyond what a sensor can tell; others stay.

    Example:
        >>> brighten(np.array([[[0.5, 0.5, 0.5], [1.0, 1.0, 1.0]]], np.float32), 3.0).tolist()
        [[[0.5, 0.5, 0.5], [4.0, 4.0, 4.0]]]
    """
    if not boost:
        return light
    above = np.clip((light.max(axis=2, keepdims=True) - 0.75) / 0.25, 0, 1)
    return light * (1 + np.float32(boost) * above**2)


def add_noise(light: Light, variance: float, draw: np.random.Generator) -> Light:
    """Add shot noise of a variance that grows with the light, `variance` at 1, and read noise of a tenth of that."""
    deviation = np.sqrt(variance * np.clip(light, 0, 1) + variance / 100)
    noisy: Light = light + deviation.astype(np.float32) * draw.standard_normal(light.shape, np.float32)
    return noisy


def jpeg(image: RGB, quality: int) -> RGB:
    """Return an image after JPEG at a quality from 1 to 100."""
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.ascontiguousarray(decoded[..., ::-1].astype(np.uint8, copy=False))


def warp(light: Light, pose: NDArray[np.float64], margin: int) -> Light:
    """Return what the camera sees of a flat image from one pose.

    Args:
        light: (H, W, C) float32.
        pose: x and y translation in pixels, turn in degrees, natural logarithm of the scale.
        margin: pixels cut from each side.

    Returns:
        (H - 2 margin, W - 2 margin, C), sampled bicubically. The pose of zeros is a cut, bit for bit.
    """
    height, width = light.shape[:2]
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    turn, scale = np.deg2rad(pose[2]), np.exp(-pose[3])
    matrix = scale * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    offset = centre + matrix @ (margin - centre) - pose[:2]
    seen = cv2.warpAffine(
        light,
        np.column_stack([matrix, offset]),
        (width - 2 * margin, height - 2 * margin),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return seen.reshape(height - 2 * margin, width - 2 * margin, -1).astype(np.float32, copy=False)


def _move(
    light: Light, foreground: Light | None, recipe: PhotoRecipe, draw: np.random.Generator
) -> tuple[Light, Light]:
    """Return the light averaged over the exposure, and that of its middle."""
    frames = recipe.frames[0] + 2 * int(draw.integers((recipe.frames[1] - recipe.frames[0]) // 2 + 1))
    poses = frames * recipe.substeps
    generator = torch.Generator().manual_seed(int(draw.integers(2**53)))
    path = _path(poses, recipe, draw, generator)
    cover = own = None
    if foreground is not None:
        cover = draw_blob(recipe.seen, recipe.seen, generator).permute(1, 2, 0).numpy()
        own = _path(poses, recipe, draw, generator)
    total: Light = np.zeros((recipe.side, recipe.side, 3), np.float32)
    middle = total
    for index in range(poses):
        view = warp(light, path[index], recipe.margin)
        if foreground is not None and cover is not None and own is not None:
            over = warp(np.concatenate([foreground * cover, cover], axis=2), own[index], recipe.margin)
            view = over[..., :3] + (1 - over[..., 3:]) * view
        total = total + view
        if index == poses // 2:
            middle = view
    return total / np.float32(poses), middle


def _path(
    poses: int, recipe: PhotoRecipe, draw: np.random.Generator, generator: torch.Generator
) -> NDArray[np.float64]:
    shortest, longest = recipe.extent
    if recipe.short_share and draw.random() < recipe.short_share:
        longest = min(longest, max(shortest, SHORT))
    extent = float(np.exp(draw.uniform(*np.log((shortest, longest)))))
    speed = extent / (poses - 1)
    camera = replace(Camera(margin=recipe.margin), rotation=recipe.rotation, zoom=recipe.zoom)
    path = draw_path(poses, (speed, speed), camera, (recipe.seen, recipe.seen), generator, recipe.bend)
    return path.double().numpy()


def _still(piece: RGB, others: list[RGB], recipe: PhotoRecipe, draw: np.random.Generator) -> tuple[RGB, RGB]:
    """Return a pair without blur: a sharp photograph or collage, a dark one, or a flat patch or slope."""
    kind = draw.random()
    if recipe.sharp_collage_share and draw.random() < recipe.sharp_collage_share:
        piece = collage([piece, *others], recipe.shaded_share, draw)
    sharp = piece[recipe.margin : -recipe.margin, recipe.margin : -recipe.margin]
    if kind < 1 / 3:
        if recipe.vivid_share and draw.random() < recipe.vivid_share:
            ends = draw.uniform(0, 1.3, (2, 3)) * draw.choice([0.0, 0.3, 1.0], (2, 3))
        else:
            ends = draw.uniform(0, draw.choice([0.05, 0.3, 1.0]), (2, 3))
        ends += DARKEST
        slope = np.linspace(0, draw.choice([0.0, 1.0]), recipe.side)[None, :, None]
        sharp = encode(np.repeat(ends[0] + (ends[1] - ends[0]) * slope, recipe.side, axis=0).astype(np.float32), 1.0)
    elif kind < 1 / 2:
        sharp = encode(np.float32(draw.uniform(0.05, 0.5)) * decode(sharp, 2.2), 2.2)
    sharp = np.ascontiguousarray(sharp)
    return sharp, sharp.copy()
