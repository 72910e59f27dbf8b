"""The network that comes with the package does no harm: flat colours, sharp photographs, text, noise and night.

Skipped while `deblur_lit/weights/photo` is absent. Photographs are those of the embedded benchmark's test split, which
the network has never seen.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from deblur_lit.data.mini import read_scene
from deblur_lit.nodes import conf_dir
from deblur_lit.predict.deblurrer import Deblurrer
from deblur_lit.pretrained import SHIPPED, WEIGHTS

pytestmark = pytest.mark.filterwarnings("ignore:the tile at")  # a tile that falls back: their number is bounded

Picture = NDArray[np.uint8]  # (H, W, 3)

SIDE = 192
SHARP_KEEPS, SECOND_PASS_KEEPS = 38.0, 35.0  # dB
MOST_LOST = 0.3  # dB
MOST_SHIFT = 1  # of 255
MOST_FALLBACKS = 0.05  # of tiles
MINI = yaml.safe_load((conf_dir() / "data" / "mini.yaml").read_text(encoding="utf-8"))
TEST_SCENES: list[str] = MINI["splits"]["test"]
FLAT = [
    (0, 0, 0), (1, 1, 1), (2, 1, 3), (5, 5, 5), (8, 3, 12), (33, 25, 23), (40, 0, 0), (0, 0, 60), (64, 64, 64),
    (128, 128, 128), (30, 200, 60), (250, 10, 120), (255, 255, 0), (254, 254, 254), (255, 255, 255),
]  # fmt: skip


@pytest.fixture(scope="module")
def deblurrer() -> Deblurrer:
    if not (SHIPPED / WEIGHTS).is_file():
        pytest.skip(f"the package has no weights yet: {SHIPPED}")
    return Deblurrer(device="cpu")


@pytest.fixture
def restore(deblurrer: Deblurrer) -> Callable[[Picture], Picture]:
    return lambda picture: deblurrer.restore(picture).image


def psnr(one: Picture, other: Picture) -> float:
    """dB, of 8 bit."""
    mean = float(np.mean((one.astype(float) - other) ** 2))
    return float(10 * np.log10(255**2 / max(mean, 1e-9)))


def photograph(scene: str) -> Picture:
    """The middle of a sharp photograph."""
    whole = read_scene(scene)[0]
    top, left = ((length - SIDE) // 2 for length in whole.shape[:2])
    return np.ascontiguousarray(whole[top : top + SIDE, left : left + SIDE])


def text(dark: bool) -> Picture:
    """Lines of text of several sizes, black on white or the reverse."""
    ink, paper = ((255, 255, 255), (0, 0, 0)) if dark else ((0, 0, 0), (255, 255, 255))
    image = Image.new("RGB", (SIDE, SIDE), paper)
    draw = ImageDraw.Draw(image)
    top = 4.0
    for size in (10, 12, 14, 18, 24, 32):
        draw.text((4, top), "The quick brown fox 0123", ink, ImageFont.load_default(size))
        top += 1.5 * size
    return np.array(image)


def night(scene: str) -> NDArray[Any]:
    """A photograph at a twentieth of its light, with lamps that are forty times brighter than white; linear light."""
    light = (photograph(scene) / 255.0) ** 2.2 * 0.05
    draw = np.random.default_rng(len(scene))
    for row, column in draw.integers(20, SIDE - 20, (6, 2)):
        light[row - 1 : row + 2, column - 1 : column + 2] = 40 * draw.uniform(0.5, 1, 3)
    return light


def exposed(light: NDArray[Any], noise: float, seed: int = 0) -> Picture:
    """What a camera makes of linear light: noise, saturation, the curve of 1/2.2."""
    noisy = light + np.random.default_rng(seed).normal(0, noise, light.shape)
    return np.round(noisy.clip(0, 1) ** (1 / 2.2) * 255).astype(np.uint8)


def moved(light: NDArray[Any], length: int) -> NDArray[Any]:
    """Linear light with the camera moved along a slope while it exposed."""
    steps = [np.roll(light, (step // 2, step), (0, 1)) for step in range(-(length // 2), length // 2 + 1)]
    return np.mean(steps, axis=0)


def light_of(picture: Picture) -> NDArray[Any]:
    return (picture / 255.0) ** 2.2


@pytest.mark.parametrize("colour", FLAT, ids=str)
def test_a_flat_patch_stays_as_it_is(colour: tuple[int, int, int], restore: Callable[[Picture], Picture]) -> None:
    flat = np.full((SIDE, SIDE, 3), colour, np.uint8)
    assert np.abs(restore(flat).astype(int) - flat).max() <= MOST_SHIFT


@pytest.mark.parametrize("scene", TEST_SCENES)
def test_a_sharp_photograph_stays_as_it_is(scene: str, restore: Callable[[Picture], Picture]) -> None:
    sharp = photograph(scene)
    assert psnr(restore(sharp), sharp) >= SHARP_KEEPS


@pytest.mark.parametrize("dark", [False, True], ids=["black on white", "white on black"])
@pytest.mark.parametrize("length", [1, 5, 11])
def test_text_loses_nothing(length: int, dark: bool, restore: Callable[[Picture], Picture]) -> None:
    sharp = text(dark)
    blur = exposed(moved(light_of(sharp), length), 0.0)
    assert psnr(restore(blur), sharp) >= min(psnr(blur, sharp) - MOST_LOST, SHARP_KEEPS)


@pytest.mark.parametrize("scene", TEST_SCENES[:3])
@pytest.mark.parametrize("length", [1, 5, 11])
def test_night_loses_nothing(length: int, scene: str, restore: Callable[[Picture], Picture]) -> None:
    light = night(scene)
    sharp, blur = exposed(light, 0.0), exposed(moved(light, length), 0.001)
    assert psnr(restore(blur), sharp) >= min(psnr(blur, sharp) - MOST_LOST, SHARP_KEEPS)


@pytest.mark.parametrize("level", [0.002, 0.2])
@pytest.mark.parametrize("noise", [0.001, 0.01])
def test_noise_is_not_amplified(noise: float, level: float, restore: Callable[[Picture], Picture]) -> None:
    light = np.full((SIDE, SIDE, 3), level)
    clean, noisy = exposed(light, 0.0), exposed(light, noise)
    assert psnr(restore(noisy), clean) >= psnr(noisy, clean) - MOST_LOST


@pytest.mark.parametrize("length", [1, 9])
@pytest.mark.parametrize("scene", TEST_SCENES)
def test_a_second_pass_changes_little(scene: str, length: int, restore: Callable[[Picture], Picture]) -> None:
    once = restore(exposed(moved(light_of(photograph(scene)), length), 0.0))
    assert psnr(restore(once), once) >= SECOND_PASS_KEEPS


def test_tiles_fall_back_seldom(deblurrer: Deblurrer) -> None:
    pictures = [photograph(scene) for scene in TEST_SCENES] + [exposed(night(scene), 0.001) for scene in TEST_SCENES]
    fallbacks = sum(len(deblurrer.restore(picture).fallbacks) for picture in [*pictures, text(True), text(False)])
    assert fallbacks <= MOST_FALLBACKS * (len(pictures) + 2)
