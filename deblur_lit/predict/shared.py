"""Means over a whole image that all of its tiles use, where a network pools or normalises by its image."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deblur_lit.networks.blocks import GlobalPool, ImageNorm

Statistics = tuple[Tensor, Tensor]  # mean and biased variance, each (1, C, 1, 1)


def shares(network: nn.Module) -> bool:
    """Tell whether a network takes means of whole images."""
    return bool(takers(network))


@contextmanager
def recorded(network: nn.Module, margin: int, size: Sequence[int]) -> Iterator[list[Statistics]]:
    """Inside, a batch is pooled as the one image that it is a sample of; gives what was pooled, in order of use.

    Every pool sees what the pools before it gave, so that one pass settles them all.

    Args:
        network: to watch.
        margin: pixels at the ends of the parts of the image that do not count, since they were cut off there; a side
            of less than four margins counts in all.
        size: height and width of the parts.
    """
    found: list[Statistics] = []

    def record(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        features = inputs[0].float() if inputs[0].dtype != torch.float64 else inputs[0]
        top, left = (
            inner * margin // outer if outer >= 4 * margin else 0
            for inner, outer in zip(features.shape[-2:], size, strict=True)
        )
        inner = features[..., top : features.shape[-2] - top, left : features.shape[-1] - left]
        mean = inner.mean(dim=(0, 2, 3), keepdim=True)
        spread = inner.var(dim=(0, 2, 3), keepdim=True, correction=0) if isinstance(module, ImageNorm) else mean
        found.append((mean, spread))
        return applied(module, inputs[0], found[-1])

    with hooked(network, record):
        yield found


@contextmanager
def given(network: nn.Module, statistics: Sequence[Statistics]) -> Iterator[None]:
    """Inside, a network uses what `recorded` gave."""
    left = iter(statistics)

    def give(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return applied(module, inputs[0], next(left))

    with hooked(network, give):
        yield


@contextmanager
def hooked(network: nn.Module, hook: Any) -> Iterator[None]:
    """Inside, a forward hook of (module, inputs, output) is on all that takes means of whole images."""
    handles = [module.register_forward_hook(hook) for module in takers(network)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def takers(network: nn.Module) -> list[nn.Module]:
    """Return the parts of a network that take means of whole images."""
    return [
        module
        for module in network.modules()
        if (isinstance(module, GlobalPool) and module.kernel is None)
        or (isinstance(module, ImageNorm) and module.statistics == "image")
    ]


def applied(module: nn.Module, features: Tensor, statistics: Statistics) -> Tensor:
    """Return what such a part makes of features (B, C, H, W) with the statistics given."""
    mean, spread = statistics
    if isinstance(module, ImageNorm):
        return F.batch_norm(features, mean.flatten(), spread.flatten(), module.weight, module.bias, eps=module.eps)
    return mean.to(features.dtype).expand(features.shape[0], -1, -1, -1)
