"""Which images are shown, and their pixels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deblur_lit.data.images import RGB, read_rgb
from deblur_lit.data.pairs import PairList, nearest
from deblur_lit.figure.systems import BLURRED, SHARP, System
from deblur_lit.metrics.levels import LevelPair
from deblur_lit.metrics.measure import measure
from deblur_lit.pictures import busiest

_EXACT = "psnr_uint8"  # what can be measured again on saved images, since nothing is lost in 8 bits
_SAME = 1e-4  # dB


@dataclass(frozen=True)
class Crop:
    """A part of a frame, in pixels of the frame."""

    left: int
    top: int
    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.left},{self.top},{self.width},{self.height}"

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(left, top, right, bottom), the last two one beyond."""
        return self.left, self.top, self.left + self.width, self.top + self.height


@dataclass(frozen=True)
class Scene:
    """One frame as every system shows it.

    Attributes:
        name: `<sequence>/<frame>`.
        note: why it is shown, or "".
        pictures: by label, in the order of the paper: blurred, sharp, the systems; (H, W, 3) uint8 of one size.
        psnr: by label, in dB, of the full frame; the sharp one has none.
    """

    name: str
    note: str
    pictures: dict[str, RGB]
    psnr: dict[str, float]


def ranked(system: System) -> list[str]:
    """Return the images by the gain of a system over the blurred input, the worst first."""
    return sorted(system.rows, key=system.gain)


def typical(system: System) -> dict[str, str]:
    """Return the images with the median, the best and the worst gain, each once, and what they are."""
    images = ranked(system)
    chosen: dict[str, str] = {}
    for image, what in ((images[len(images) // 2], "median"), (images[-1], "best"), (images[0], "worst")):
        chosen.setdefault(image, f"{what} gain of {len(images)} images")
    return chosen


def load(pairs: PairList, name: str, note: str, systems: Sequence[System]) -> Scene:
    """Read one frame.

    Raises:
        ValueError: if data set or a system has no such image, a restored frame has another size than the sharp
            one, or is not the one whose PSNR the table holds.
        OSError: if a file cannot be read.
    """
    if name not in pairs.names:
        raise ValueError(f"the data has no image {name!r}{nearest(name, pairs.names)}")
    blur, sharp = pairs.read(pairs.names.index(name))
    pictures, psnr = {BLURRED: blur, SHARP: sharp}, {}
    for system in systems:
        if name not in system.rows:
            raise ValueError(f"{system.folder} has no values of {name!r}{nearest(name, system.rows)}")
        psnr[BLURRED] = system.psnr_blurred(name)
        psnr[system.label] = system.psnr(name)
        pictures[system.label] = _restored(system, name, sharp)
        _check(system.folder, name, system.protocol, blur, sharp, psnr[BLURRED])
        _check(system.picture(name), name, system.protocol, pictures[system.label], sharp, psnr[system.label])
    return Scene(name, note, pictures, psnr)


def _restored(system: System, name: str, sharp: RGB) -> RGB:
    path = system.picture(name)
    if not path.is_file():
        raise FileNotFoundError(f"{system.label} lacks the image {path}: run its `deblur-lit evaluate` with save=true")
    picture = read_rgb(path)
    if picture.shape != sharp.shape:
        ours, theirs = (f"{image.shape[1]}x{image.shape[0]}" for image in (picture, sharp))
        raise ValueError(f"{path} is {ours}, but its sharp frame {theirs} (width x height); evaluate on this data")
    return picture


def _check(where: Path, name: str, protocol: str, picture: RGB, sharp: RGB, expected: float) -> None:
    """Refuse a frame that is not the one that was scored."""
    if protocol != _EXACT or math.isnan(expected):
        return
    found = measure(LevelPair(picture.transpose(2, 0, 1), sharp.transpose(2, 0, 1)), [_EXACT])[_EXACT]
    if not math.isclose(found, expected, rel_tol=0, abs_tol=_SAME):
        told = f"{_EXACT} of {name} is {found:.4f} dB here, {expected:.4f} dB in the table"
        raise ValueError(f"{where}: {told}; the images are not those that were scored, evaluate again on this data")


def place_crops(scenes: Sequence[Scene], given: Sequence[Sequence[Crop]], number: int) -> list[list[Crop]]:
    """Return the crops of each scene: those given, or the ninths of the frame with the most contrast in sharp.

    Args:
        scenes: at least one.
        given: for each scene, empty where they are to be chosen. Chosen ones have the size of the given, or else a
            third of the width and height of the smallest frame.
        number: how many are chosen where none are given.

    Raises:
        ValueError: if a crop leaves its frame, or sizes or numbers of crops differ.
    """
    if len({len(crops) for crops in given if crops}) > 1:
        raise ValueError("images of one figure have one number of crops; give as many --crop behind each --image")
    sizes = {(crop.width, crop.height) for crops in given for crop in crops}
    if len(sizes) > 1:
        listed = ", ".join(sorted(f"{width}x{height}" for width, height in sizes))
        raise ValueError(f"crops of one figure have one size, these have {listed}; the columns would not line up")
    shapes = np.array([scene.pictures[SHARP].shape[:2] for scene in scenes])
    width, height = sizes.pop() if sizes else (max(1, int(side) // 3) for side in shapes.min(axis=0)[::-1])
    number = max(map(len, given)) or number
    return [
        [_inside(scene, crop) for crop in crops] or _most_contrast(scene, width, height, number)
        for scene, crops in zip(scenes, given, strict=True)
    ]


def _most_contrast(scene: Scene, width: int, height: int, number: int) -> list[Crop]:
    places = busiest(scene.pictures[SHARP], height, width, number)
    return [_inside(scene, Crop(left, top, width, height)) for top, left in places]


def _inside(scene: Scene, crop: Crop) -> Crop:
    height, width = scene.pictures[SHARP].shape[:2]
    left, top, right, bottom = crop.box
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise ValueError(f"--crop {crop} (left, top, width, height) leaves {scene.name}, which is {width}x{height}")
    return crop
