"""All protocols of one pair of images at once."""

import math
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deblur_lit import runs
from deblur_lit.metrics import psnr, realblur, ssim
from deblur_lit.metrics.batch import to_planes
from deblur_lit.metrics.levels import LevelPair, Planes
from deblur_lit.metrics.protocols import choose

if TYPE_CHECKING:
    from torch import Tensor

Family = Callable[[LevelPair, Collection[str], int], dict[str, float]]


def score(
    restored: "NDArray[Any] | Tensor",
    sharp: "NDArray[Any] | Tensor",
    protocols: Sequence[str] | None = None,
    threads: int | None = None,
) -> dict[str, float]:
    """Score one image by several protocols.

    Args:
        restored: a numpy array (H, W, 3) or a tensor (3, H, W), RGB, uint8 or float in [0, 1].
        sharp: same shape and kind of container, uint8 or float in [0, 1].
        protocols: names, or "all" among them for every one; None for all that need no alignment.
        threads: cores that one image is spread over, by default all.

    Returns:
        One value for each protocol, in the order asked; PSNR in dB, infinite for identical images.

    Raises:
        ValueError: for an unknown protocol, images of different shapes or other kinds, smaller than a window, and
            for floats outside [0, 1] or NaN: they would be clamped without a word.

    Example:
        >>> black = np.zeros((16, 16, 3))
        >>> score(black + 0.1, black, ["psnr_float"])
        {'psnr_float': 20.0}
    """
    names = choose(protocols)
    pair = LevelPair(_planes("restored", restored), _planes("sharp", sharp))
    return measure(pair, names, threads or runs.cores())


def measure(pair: LevelPair, names: Sequence[str], threads: int = 1) -> dict[str, float]:
    """Return the scores of a pair without NaN; `names` are known protocols."""
    measured = list(dict.fromkeys(realblur.UNALIGNED.get(name, name) for name in names))
    found: dict[str, float] = {}
    for family in (psnr.measure, ssim.measure, realblur.measure):
        if members := [name for name in measured if _family(name) is family]:
            found |= family(pair, members, threads)
    return {name: found[realblur.UNALIGNED.get(name, name)] for name in names}


def _family(name: str) -> Family:
    """Return who measures a protocol: what goes there together shares work."""
    if "_realblur" in name:
        return realblur.measure
    return psnr.measure if name.startswith("psnr_") else ssim.measure


def _planes(name: str, image: "NDArray[Any] | Tensor") -> Planes:
    if isinstance(image, np.ndarray):
        if image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"{name} is an array of shape {image.shape}: give an RGB image (H, W, 3)")
        planes = image.transpose(2, 0, 1)
    else:
        if image.ndim != 3 or image.shape[0] != 3:
            raise ValueError(f"{name} is a tensor of shape {tuple(image.shape)}: give an RGB image (3, H, W)")
        planes = to_planes(name, image)
    check_range(name, planes)
    return planes


def check_range(name: str, image: NDArray[Any]) -> None:
    """Refuse a float image with NaN or with values outside [0, 1]; a ValueError names it and says what it found."""
    if image.dtype.kind != "f":
        return
    low, high = float(image.min(initial=0)), float(image.max(initial=0))
    if math.isnan(low) or math.isnan(high):
        raise ValueError(
            f"{name} has {int(np.isnan(image).sum())} values that are NaN; a score of it would mean nothing"
        )
    if low < 0 or high > 1:
        raise ValueError(f"{name} has values from {low:g} to {high:g}; give floats in [0, 1]: clamp or rescale it")
