"""NAFNet: a U-Net of blocks without activation functions, with slots for the block and the skip fusion."""

import re
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deblur_lit.networks.blocks import BlockFactory, ChannelNorm, DeblurNetwork, GlobalPool, Renaming, rename
from deblur_lit.networks.line_filter import LineFilter, spread
from deblur_lit.tensors import Pyramid


class NAFNet(DeblurNetwork):
    """Nonlinear-activation-free network: encoder, middle and decoder at widths C to 16C, plus the image.

    Args:
        channels: C, the width at full size; it doubles with each halving.
        encoder_blocks: number of blocks per encoder stage, from full size.
        middle_blocks: at the smallest size.
        decoder_blocks: number of blocks per decoder stage, from the smallest.
        block: gives a block for a number of channels; None is NAFNet's own. It should begin with keeping its input.
        fusion: gives the skip fusion for the widths (C, 2C, ...) of all stages and of the middle, whose features it
            fuses; None keeps plain skips. Either way a skip is added to what comes from below.
        prefilter: filters the image before the U-Net, which is told the description of the blur; None filters nothing.
        padding_mode: see `DeblurNetwork`; the authors' code pads by "constant".

    Raises:
        ValueError: for fewer than 1 channel, or stages that do not match.

    Source: Chen et al., ECCV 2022, arXiv:2204.04676.

    Example:
        >>> NAFNet(channels=2, encoder_blocks=[1], decoder_blocks=[1])(torch.zeros(1, 3, 9, 5)).full.shape
        torch.Size([1, 3, 9, 5])
    """

    def __init__(
        self,
        channels: int = 32,
        encoder_blocks: Sequence[int] = (1, 1, 1, 28),
        middle_blocks: int = 1,
        decoder_blocks: Sequence[int] = (1, 1, 1, 1),
        block: BlockFactory | None = None,
        fusion: Callable[[Sequence[int]], nn.Module] | None = None,
        prefilter: LineFilter | None = None,
        padding_mode: str = "reflect",
    ) -> None:
        super().__init__(padding_mode)
        if channels < 1:
            raise ValueError(f"need channels >= 1, got {channels}")
        if len(encoder_blocks) != len(decoder_blocks):
            raise ValueError(
                f"encoder_blocks {list(encoder_blocks)} and decoder_blocks {list(decoder_blocks)} must be of one length"
            )
        halvings = max(len(encoder_blocks), prefilter.scales - 1 if prefilter else 0)
        self.multiple = self.minimum = 2**halvings
        widths = [channels * 2**stage for stage in range(len(encoder_blocks) + 1)]

        def stage(width: int, number: int) -> nn.Sequential:
            make = block or NAFBlock
            return nn.Sequential(*(make(width) for _ in range(number)))

        self.prefilter = prefilter
        self.hint = nn.Conv2d(prefilter.hidden, widths[-1], 1) if prefilter else None
        if self.hint:
            nn.init.zeros_(self.hint.weight)
            nn.init.zeros_(self.hint.bias)  # type: ignore[arg-type]
        self.enter = nn.Conv2d(3, channels, 3, padding=1)
        self.encode = nn.ModuleList(stage(*pair) for pair in zip(widths, encoder_blocks, strict=False))
        self.down = nn.ModuleList(nn.Conv2d(width, 2 * width, 2, stride=2) for width in widths[:-1])
        self.middle = stage(widths[-1], middle_blocks)
        self.fusion = fusion(widths) if fusion else None
        self.up = nn.ModuleList(nn.Conv2d(width, 2 * width, 1, bias=False) for width in reversed(widths[1:]))
        self.decode = nn.ModuleList(stage(*pair) for pair in zip(reversed(widths[:-1]), decoder_blocks, strict=True))
        self.leave = nn.Conv2d(channels, 3, 3, padding=1)

    def restore(self, blur: Tensor) -> Pyramid:
        """Restore (B, 3, H, W) whose sides are multiples of 2 per stage; see `forward`."""
        if self.prefilter:
            blur, description = self.prefilter(blur)
        features = self.enter(blur)
        skips: list[Tensor] = []
        for encode, down in zip(self.encode, self.down, strict=True):
            skips.append(encode(features))
            features = down(skips[-1])
        if self.hint:
            features = features + spread(self.hint(description), features)
        features = self.middle(features)
        if self.fusion:
            skips = list(self.fusion([*skips, features]))
        for up, decode in zip(self.up, self.decode, strict=True):
            features = decode(F.pixel_shuffle(up(features), 2) + skips.pop())
        return Pyramid(blur + self.leave(features))

    def from_published(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the weights that the authors publish under our names."""
        return {rename(key, PUBLISHED): value for key, value in weights.items()}


class NAFBlock(nn.Module):
    """A depthwise convolution with channel attention, then a pointwise pair; each gated, scaled and added.

    A gate is the product of the two halves of the channels. The scales `beta` and `gamma` start at zero, so a new
    block keeps its input.

    Source: Chen et al., ECCV 2022, arXiv:2204.04676, figure 3 (d).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.widen = nn.Conv2d(channels, 2 * channels, 1)
        self.depthwise = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, groups=2 * channels)
        self.pool = GlobalPool()
        self.attend = nn.Conv2d(channels, channels, 1)
        self.narrow = nn.Conv2d(channels, channels, 1)
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))

        self.norm_pointwise = ChannelNorm(channels)
        self.widen_pointwise = nn.Conv2d(channels, 2 * channels, 1)
        self.narrow_pointwise = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        gated = _gate(self.depthwise(self.widen(self.norm(features))))
        features = features + self.beta * self.narrow(gated * self.attend(self.pool(gated)))
        gated = _gate(self.widen_pointwise(self.norm_pointwise(features)))
        return features + self.gamma * self.narrow_pointwise(gated)


def _gate(features: Tensor) -> Tensor:
    first, second = features.chunk(2, dim=1)
    return first * second


BLOCK = {
    "norm1": "norm",
    "conv1": "widen",
    "conv2": "depthwise",
    "sca.1": "attend",
    "conv3": "narrow",
    "norm2": "norm_pointwise",
    "conv4": "widen_pointwise",
    "conv5": "narrow_pointwise",
}


def _in_block(stage: str, block: str, layer: str | None) -> str:
    return f"{stage}.{block}.{BLOCK[layer]}" if layer else f"{stage}.{block}"  # beta and gamma are the block's own


LAYER = r"(\d+)(?:\.(" + "|".join(map(re.escape, BLOCK)) + r"))?"

# Parameter names of the published checkpoints.
PUBLISHED: Renaming = [
    (r"intro", lambda: "enter"),
    (r"ending", lambda: "leave"),
    (r"downs\.(\d)", lambda stage: f"down.{stage}"),
    (r"ups\.(\d)\.0", lambda stage: f"up.{stage}"),
    (r"encoders\.(\d)\." + LAYER, lambda stage, *rest: _in_block(f"encode.{stage}", *rest)),
    (r"middle_blks\." + LAYER, lambda *rest: _in_block("middle", *rest)),
    (r"decoders\.(\d)\." + LAYER, lambda stage, *rest: _in_block(f"decode.{stage}", *rest)),
]
