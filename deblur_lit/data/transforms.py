"""Crop and augmentation of a pair: one draw for both images, from the generator of the sample."""

import os
import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from deblur_lit.data.images import RGB

# albumentations asks the package index for a newer version when it is imported. Set here, since Hydra imports
# this module before the transforms that it hands to PairTransform.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")


def crop_offset(generator: np.random.Generator, height: int, width: int, crop_size: int) -> tuple[int, int]:
    """Draw (top, left) of a square crop, uniform over every position inside the image.

    Args:
        generator: source of the draw.
        height: of the image, in pixels.
        width: of the image, in pixels.
        crop_size: side of the crop, in pixels.

    Raises:
        ValueError: if the image is smaller than the crop.

    Example:
        >>> crop_offset(np.random.default_rng(0), 256, 256, 256)
        (0, 0)
    """
    if min(height, width) < crop_size:
        raise ValueError(f"a {width}x{height} image is smaller than crop_size={crop_size}")
    return int(generator.integers(height - crop_size + 1)), int(generator.integers(width - crop_size + 1))


class PairTransform:
    """Apply albumentations transforms to blur and sharp with the same draws, photometric ones included.

    Args:
        transforms: albumentations transforms that keep the size, in order; none leaves the pair as it is.
    """

    def __init__(self, transforms: Sequence[Any]) -> None:
        self.compose: Any = None
        if transforms:
            import albumentations  # 2 s, and not needed to score

            self.compose = albumentations.Compose(list(transforms), additional_targets={"sharp": "image"})

    def __call__(self, blur: RGB, sharp: RGB, generator: np.random.Generator) -> tuple[RGB, RGB]:
        """Return (blur, sharp), (H, W, 3) uint8; every draw comes from `generator`.

        Raises:
            ValueError: if a transform changes the size or the type of the images.
        """
        if self.compose is None:
            return blur, sharp
        # Not `set_random_seed`: it seeds every transform alike, so that two of them draw the same numbers.
        self.compose.set_random_state(generator, random.Random(int(generator.integers(2**63))))
        moved = self.compose(image=blur, sharp=sharp)
        before, after = (blur.shape, blur.dtype), (moved["image"].shape, moved["image"].dtype)
        if after != before:
            raise ValueError(
                f"data.augment turns {before} into {after}; leave out transforms that resize, crop or convert"
            )
        return moved["image"], moved["sharp"]
