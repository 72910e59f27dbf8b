"""MSRM, the multi-scale residual module: fills the block slot of the U-Net."""

import torch
from torch import Tensor, nn

from deblur_lit.networks.blocks import ChannelAttention, ChannelNorm

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "none": nn.Identity}


class MSRM(nn.Module):
    r"""Multi-scale residual (attention) module.

    .. math::
        x_1, x_2, x_3, x_4 &= \mathrm{split}(\mathrm{DSConv}_{3 \times 3}(x)) \\
        y_1 &= \mathrm{conv}_{3 \times 3}(x_1), \quad
        y_i = \mathrm{conv}_{3 \times 3}(x_i + y_{i-1}), \; i = 2..4 \\
        y &= \mathrm{CA}(\mathrm{conv}_{1 \times 1}([y_1, y_2, y_3, y_4])) + x

    DSConv is a depthwise 3x3 and a pointwise 1x1 convolution without activation; it widens C to
    `expansion` C, so that the closing 1x1 convolution reduces. Each branch has ceil(expansion C / 4)
    channels. The paper leaves expansion, activation and reduction open; the defaults are ours.

    Args:
        channels: C, of the input and the output.
        expansion: width of the four branches together, in units of C.
        activation: after each 3x3 convolution of a branch: "relu", "gelu" or "none".
        reduction: channel ratio inside the channel attention.
        norm: whether the block normalises what it reads (`ChannelNorm`) and begins with keeping its input, as NAFNet's
            do; not in the paper.

    Raises:
        ValueError: for an unknown activation, or an expansion or reduction below 1.

    Source: Wan et al., Infrared 44(4), 2023, equations 1-3.

    Example:
        >>> MSRM(channels=8)(torch.zeros(1, 8, 6, 5)).shape
        torch.Size([1, 8, 6, 5])
    """

    def __init__(
        self, channels: int, expansion: int = 2, activation: str = "relu", reduction: int = 4, norm: bool = False
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {sorted(ACTIVATIONS)}, got {activation!r}")
        if expansion < 1 or reduction < 1:
            raise ValueError(f"expansion and reduction must be at least 1, got {expansion} and {reduction}")
        width = -(-expansion * channels // 4)
        self.norm = ChannelNorm(channels) if norm else nn.Identity()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.pointwise = nn.Conv2d(channels, 4 * width, 1)
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 3, padding=1), ACTIVATIONS[activation]()) for _ in range(4)
        )
        self.reduce = nn.Conv2d(4 * width, channels, 1)
        if norm:
            nn.init.zeros_(self.reduce.weight)
            nn.init.zeros_(self.reduce.bias)  # type: ignore[arg-type]
        self.attention = ChannelAttention(channels, reduction)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        groups = self.pointwise(self.depthwise(self.norm(features))).chunk(4, dim=1)
        scales: list[Tensor] = []
        for branch, group in zip(self.branches, groups, strict=True):
            scales.append(branch(group + scales[-1] if scales else group))
        return self.attention(self.reduce(torch.cat(scales, dim=1))) + features
