"""From pairs on disk to samples and batches: random crops to train on, whole frames to score."""

from typing import TypedDict

import numpy as np
import torch
from torch.utils.data import Dataset

from deblur_lit.data.images import RGB, ImageError
from deblur_lit.data.pairs import PairList
from deblur_lit.data.sampler import Failure, Key
from deblur_lit.data.transforms import PairTransform, crop_offset
from deblur_lit.tensors import Batch


class Sample(TypedDict):
    """One pair before it is collated: (H, W, 3) uint8 RGB."""

    blur: RGB
    sharp: RGB
    name: str


class Crops(Dataset[Sample | Failure]):
    """Augmented random crops; a sample depends on (seed, epoch, index) and on nothing else.

    An index beyond the data set starts over with other draws, which makes several passes in one epoch.
    """

    def __init__(self, pairs: PairList, crop_size: int, augment: PairTransform, seed: int) -> None:
        self.pairs = pairs
        self.crop_size = crop_size
        self.augment = augment
        self.seed = seed

    def __getitem__(self, key: Key) -> Sample | Failure:
        epoch, draw = key
        index = draw % len(self.pairs)
        generator = np.random.default_rng([self.seed, epoch, draw])
        try:
            height, width = self._checked_size(index)
            top, left = crop_offset(generator, height, width, self.crop_size)
            blur, sharp = self.pairs.read(index, top, left, self.crop_size, self.crop_size)
        except (ImageError, OSError) as error:
            return Failure(error)
        blur, sharp = self.augment(blur, sharp, generator)
        return Sample(blur=blur, sharp=sharp, name=self.pairs.names[index])

    def _checked_size(self, index: int) -> tuple[int, int]:
        height, width = self.pairs.size(index)
        if min(height, width) < self.crop_size:
            raise ImageError(
                f"{self.pairs.pairs[index].blur} is {width}x{height} (width x height), smaller than "
                f"data.crop_size={self.crop_size}; set it to {min(height, width)} or less, or remove the pair"
            )
        return height, width


class Frames(Dataset[Sample | Failure]):
    """Whole frames, for validation and test."""

    def __init__(self, pairs: PairList) -> None:
        self.pairs = pairs

    def __getitem__(self, index: int) -> Sample | Failure:
        try:
            blur, sharp = self.pairs.read(index)
        except (ImageError, OSError) as error:
            return Failure(error)
        return Sample(blur=blur, sharp=sharp, name=self.pairs.names[index])


def collate(samples: list[Sample | Failure]) -> Batch | Failure:
    """Stack samples of one size; the first failure stands for the batch it is in.

    Returns:
        `blur` and `sharp` as (B, 3, H, W) uint8 views of (B, H, W, 3) memory, so that the conversion to float
        gives channels_last for nothing, and `name`.
    """
    good: list[Sample] = []
    for sample in samples:
        if isinstance(sample, Failure):
            return sample
        good.append(sample)
    blur = torch.from_numpy(np.stack([sample["blur"] for sample in good]))
    sharp = torch.from_numpy(np.stack([sample["sharp"] for sample in good]))
    name = [sample["name"] for sample in good]
    return Batch(blur=blur.permute(0, 3, 1, 2), sharp=sharp.permute(0, 3, 1, 2), name=name)
