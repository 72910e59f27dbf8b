"""MobileNetV2 as a backbone: five maps of 1/2 to 1/32 of the image."""

from collections.abc import Sequence

from torch import Tensor, nn

from deblur_lit.networks.blocks import Backbone, ImageNorm

STEM = 32  # channels of the first convolution
WIDTHS = (16, 24, 32, 64, 96, 160)  # channels of the groups of blocks
STRIDES = (1, 2, 2, 2, 1, 2)  # of the first block of each group
STAGES = (0, 1, 2, 3, 4, 4)  # the stage that each group belongs to
EXPANSION = 6  # of all groups but the first


class MobileNetV2(Backbone):
    """MobileNetV2 up to its blocks of 160 channels.

    Args:
        width: what all channels are multiplied by.
        blocks: inverted residual blocks in each of the groups of 16, 24, 32, 64, 96 and 160 channels.
        statistics: see `ImageNorm`.

    Raises:
        ValueError: for other than six numbers of blocks, or a group without any.

    Source: Sandler et al., CVPR 2018, arXiv:1801.04381.
    """

    def __init__(
        self, width: float = 1.0, blocks: Sequence[int] = (1, 2, 3, 4, 3, 2), statistics: str = "image"
    ) -> None:
        if len(blocks) != len(WIDTHS) or min(blocks) < 1:
            raise ValueError(f"blocks must be {len(WIDTHS)} numbers of at least 1, got {list(blocks)}")
        into = _scaled(STEM, width)
        stem = nn.Sequential(
            nn.Conv2d(3, into, 3, stride=2, padding=1, bias=False), ImageNorm(into, statistics, affine=True), nn.ReLU6()
        )
        stages: list[list[nn.Module]] = [[stem], [], [], [], []]
        channels = [0] * len(stages)
        for stage, base, stride, number in zip(STAGES, WIDTHS, STRIDES, blocks, strict=True):
            channels[stage] = _scaled(base, width)
            expansion = 1 if stage == 0 else EXPANSION
            for index in range(number):
                block = InvertedResidual(into, channels[stage], stride if index == 0 else 1, expansion, statistics)
                stages[stage].append(block)
                into = channels[stage]
        super().__init__([nn.Sequential(*modules) for modules in stages], channels)


class InvertedResidual(nn.Module):
    """1x1 convolution up, depthwise 3x3, 1x1 down without activation; plus the input where the shape is kept.

    Args:
        into: channels of the input.
        out: channels of the output.
        stride: of the depthwise convolution.
        expansion: hidden channels / into; 1 leaves the first convolution out.
        statistics: see `ImageNorm`.

    Source: Sandler et al., CVPR 2018, arXiv:1801.04381, section 3.
    """

    def __init__(self, into: int, out: int, stride: int, expansion: int, statistics: str) -> None:
        super().__init__()
        hidden = into * expansion

        def norm(channels: int) -> ImageNorm:
            return ImageNorm(channels, statistics, affine=True)

        expand = [] if expansion == 1 else [nn.Conv2d(into, hidden, 1, bias=False), norm(hidden), nn.ReLU6()]
        self.layers = nn.Sequential(
            *expand,
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False),
            norm(hidden),
            nn.ReLU6(),
            nn.Conv2d(hidden, out, 1, bias=False),
            norm(out),
        )
        self.keeps_shape = stride == 1 and into == out

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, into, H, W) to (B, out, H / stride, W / stride)."""
        return features + self.layers(features) if self.keeps_shape else self.layers(features)


def _scaled(channels: int, width: float) -> int:
    return max(1, round(channels * width))
