"""A protocol on tensors: each image of a batch is scored by itself."""

import math
import warnings
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from deblur_lit.metrics.levels import LevelPair, Planes

if TYPE_CHECKING:
    from torch import Tensor

Measure = Callable[[LevelPair, Collection[str], int], dict[str, float]]  # pair, protocols, threads


def score_batch(measure: Measure, protocol: str, restored: "Tensor", sharp: "Tensor") -> "Tensor":
    """Return one score per image. The arithmetic runs on the CPU, wherever the images are.

    Args:
        measure: the function that knows `protocol`.
        protocol: its name.
        restored: (B, 3, H, W), float nominally in [0, 1], or uint8.
        sharp: same shape, float or uint8.

    Returns:
        (B,) float64 on the device of `restored`; NaN for an image with a NaN. What a protocol remarks of an image,
        such as that it could not be aligned, is a RuntimeWarning.

    Raises:
        ValueError: if the shapes differ, are not (B, 3, H, W), or an image is neither float nor uint8.
    """
    import torch  # not above: files are scored without it

    if restored.shape != sharp.shape or restored.ndim != 4 or restored.shape[1] != 3:
        shapes = f"restored is {tuple(restored.shape)}, sharp is {tuple(sharp.shape)}"
        raise ValueError(f"{shapes}: give two images of the same shape (B, 3, H, W)")
    threads = torch.get_num_threads()
    images = zip(to_planes("restored", restored), to_planes("sharp", sharp), strict=True)
    pairs = [LevelPair(*pair) for pair in images]
    scores = [math.nan if pair.has_nan else measure(pair, [protocol], threads)[protocol] for pair in pairs]
    for remark in dict.fromkeys(remark for pair in pairs for remark in pair.remarks):
        warnings.warn(f"{protocol}: {remark}", RuntimeWarning, stacklevel=3)
    return torch.tensor(scores, dtype=torch.float64, device=restored.device)


def to_planes(name: str, images: "Tensor") -> Planes:
    """Return a tensor as an array of the same shape, bfloat16 as float32.

    Raises:
        ValueError: if it is neither float nor uint8; the message has its `name`.
    """
    import torch

    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise ValueError(f"{name} is {images.dtype}: give floats in [0, 1] or uint8")
    images = images.detach().cpu()
    planes: Planes = (images.float() if images.dtype == torch.bfloat16 else images).numpy()
    return planes
