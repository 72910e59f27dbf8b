"""TLC, the test-time local converter: global pools become local ones of about the training size, weights unchanged."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from deblur_lit.networks.blocks import DeblurNetwork, GlobalPool

WINDOW = 1.5  # side of the window in units of the training crop, as its authors and NAFNet's choose


def pools(network: torch.nn.Module) -> list[GlobalPool]:
    """Return every pool of a network that `use_local_pools` converts."""
    return [module for module in network.modules() if isinstance(module, GlobalPool)]


def use_local_pools(network: DeblurNetwork, crop_size: int = 256) -> int:
    """Make the global pools of a network local, in place, and return their number.

    One forward pass of a black crop shows how large the features of each pool are in training; its window is 1.5
    times that. On images of up to 1.5 crops the network stays what it was.

    Args:
        network: in evaluation mode.
        crop_size: side of the training crops in pixels.

    Raises:
        ValueError: if the network pools nothing, so that nothing would change.

    Source: Chu et al., ECCV 2022, arXiv:2112.04491.
    """
    found = pools(network)
    if not found:
        raise ValueError(f"{type(network).__name__} has no global pool: TLC would change nothing, leave tlc out")
    use_global_pools(network)
    parameter = next(network.parameters())
    crop = torch.zeros(1, 3, crop_size, crop_size, device=parameter.device, dtype=parameter.dtype)
    sizes: dict[GlobalPool, tuple[int, int]] = {}

    def note(pool: GlobalPool, inputs: tuple[Any, ...], output: Tensor) -> None:
        sizes[pool] = tuple(inputs[0].shape[-2:])

    handles = [pool.register_forward_hook(note) for pool in found]
    try:
        with torch.inference_mode():
            network(crop)
    finally:
        for handle in handles:
            handle.remove()
    base = int(WINDOW * crop_size)
    for pool, (height, width) in sizes.items():
        pool.kernel = height * base // crop_size, width * base // crop_size
    return len(sizes)


def use_global_pools(network: torch.nn.Module) -> None:
    """Make all pools global again, in place."""
    for pool in pools(network):
        pool.kernel = None


@contextmanager
def local_pools(network: DeblurNetwork, crop_size: int = 256) -> Iterator[int]:
    """Use local pools inside; gives their number. See `use_local_pools`."""
    try:
        yield use_local_pools(network, crop_size)
    finally:
        use_global_pools(network)
