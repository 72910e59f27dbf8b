"""How much of the blurred image one restored pixel sees."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from deblur_lit.networks.blocks import DeblurNetwork, GlobalPool, ImageNorm
from deblur_lit.nodes import build

WIDTHS = (512, 1024, 2048, 4096)  # of the images that are tried, in pixels
CANDIDATES = 4  # that one pass decides between
CHANNELS = 8  # enough to look at: what a pixel depends on does not change with the width of the network


def receptive_field(config: Any) -> int | None:
    """Return how many columns of the image the restored pixel in its middle depends on, in pixels.

    Marks columns as not-a-number and looks whether the mark arrives. What a convolution does with a mark follows from
    its kernel size, stride and dilation alone.

    Args:
        config: a network node of a configuration, with its `_target_`.

    Returns:
        The side of the receptive field; None where it spans any image (or 4096 pixels): through pooling of whole
        images, through statistics of them, or through recurrence.
    """
    narrow = {"channels": min(config.channels, CHANNELS)} if "channels" in config else {}
    with torch.device("meta"):
        network: DeblurNetwork = build(config, narrow)
    network.to_empty(device="cpu").eval()
    for tensor in (*network.parameters(), *network.buffers()):
        nn.init.zeros_(tensor)
    unseen = _unseen_columns(network)
    return unseen and unseen[0] - unseen[1] - unseen[2]


def margin(network: DeblurNetwork) -> int | None:
    """Return how far on each side a restored pixel sees at most, in pixels, where means over the image are given.

    Args:
        network: on the CPU, in evaluation mode; its weights are neither used nor changed.

    Returns:
        At least half the receptive field; None where a pixel sees any image (or 4096 pixels) even so.
    """
    handles = [
        module.register_forward_hook(_give_means)
        for module in network.modules()
        if isinstance(module, GlobalPool | ImageNorm)
    ]
    try:
        unseen = _unseen_columns(network, pools=False)
    finally:
        for handle in handles:
            handle.remove()
    if unseen is None:
        return None
    width, before, after = unseen
    sides = width // 2 - before, width - after - 1 - width // 2
    return max(sides) + network.multiple - 1  # the pixel in the middle is the first of its cell of the coarsest grid


def _give_means(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return torch.zeros_like(output) if isinstance(module, GlobalPool) else inputs[0]


def _unseen_columns(network: DeblurNetwork, pools: bool = True) -> tuple[int, int, int] | None:
    """Return the width of a strip, and how many columns at its left and right edge its middle does not depend on.

    Args:
        network: to look at.
        pools: whether what it pools counts.
    """
    marking = _MarkedConvolutions()  # type: ignore[no-untyped-call]
    for width in WIDTHS:
        before, after = (_unseen(network, marking, width, mirrored) for mirrored in (False, True))
        if before and after:
            return width, before, after
        if pools and marking.pooled:
            break
    return None


def _unseen(network: DeblurNetwork, marking: "_MarkedConvolutions", width: int, mirrored: bool) -> int:
    """Return how many columns at the left (mirrored: right) edge the middle of a strip does not depend on."""
    if _arrives(network, marking, width, [1], mirrored)[0]:
        return 0
    unseen, seen = 1, width // 2 + 1  # columns, counted from that edge
    while seen - unseen > 1:
        step = -(-(seen - unseen) // CANDIDATES)
        tried = list(range(unseen + step, seen, step))
        for columns, arrived in zip(tried, _arrives(network, marking, width, tried, mirrored), strict=True):
            if arrived:
                seen = columns
                break
            unseen = columns
    return unseen


def _arrives(
    network: DeblurNetwork, marking: "_MarkedConvolutions", width: int, columns: Sequence[int], mirrored: bool
) -> list[bool]:
    """Tell for each number of marked columns at an edge whether the middle of a strip gets marked."""
    height = network.padded_side(1)
    places = torch.arange(width)
    marked = (places.flip(0) if mirrored else places) < torch.tensor(columns)[:, None]
    image = torch.zeros(len(columns), 3, height, width).masked_fill(marked[:, None, None], torch.nan)
    with torch.no_grad(), marking:
        restored = network(image).full
    return restored[..., width // 2].isnan().flatten(1).any(dim=1).tolist()


class _MarkedConvolutions(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Inside, a convolution gives zeros, marked where its kernel touches a mark in any channel.

    Attributes:
        pooled: whether something took the mean or the statistics of a whole image.
    """

    pooled = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is torch.ops.aten.native_group_norm.default:
            self.pooled = True
        if func is torch.ops.aten.mean.dim:
            self.pooled |= {2, 3} <= {dim % args[0].dim() for dim in args[1]}
        if func is not torch.ops.aten.convolution.default:
            return func(*args, **(kwargs or {}))
        features, weight, _, stride, padding, dilation, transposed, output_padding, groups = args
        marks = features.sum(dim=1, keepdim=True).isnan().float()
        kernel = torch.ones(1, 1, *weight.shape[2:])
        touched: Tensor = func(marks, kernel, None, stride, padding, dilation, transposed, output_padding, 1)
        channels = weight.shape[1] * groups if transposed else weight.shape[0]
        return torch.zeros_like(touched).masked_fill(touched > 0.5, torch.nan).repeat(1, channels, 1, 1)
