"""Inception-ResNet-v2 as a backbone: five maps of 1/2 to 1/32 of the image."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deblur_lit.networks.blocks import Backbone, ImageNorm

# The convolutions of each branch: output channels, kernel, stride. Stride 1 keeps the size, stride 2 takes no padding.
# A pool stands in front of the last branch of MIX and of the reductions.
Plan = Sequence[Sequence[tuple[int, int | tuple[int, int], int]]]
MIX: Plan = [[(96, 1, 1)], [(48, 1, 1), (64, 5, 1)], [(64, 1, 1), (96, 3, 1), (96, 3, 1)], [(64, 1, 1)]]
BLOCK_A: Plan = [[(32, 1, 1)], [(32, 1, 1), (32, 3, 1)], [(32, 1, 1), (48, 3, 1), (64, 3, 1)]]
REDUCTION_A: Plan = [[(384, 3, 2)], [(256, 1, 1), (256, 3, 1), (384, 3, 2)], []]
BLOCK_B: Plan = [[(192, 1, 1)], [(128, 1, 1), (160, (1, 7), 1), (192, (7, 1), 1)]]
REDUCTION_B: Plan = [
    [(256, 1, 1), (384, 3, 2)],
    [(256, 1, 1), (288, 3, 2)],
    [(256, 1, 1), (288, 3, 1), (320, 3, 2)],
    [],
]
STEM = (32, 32, 64, 80, 192)
SCALE_A, SCALE_B = 0.17, 0.10  # of what the blocks add
EPS = 1e-3  # of the normalisation


class InceptionResNetV2(Backbone):
    """Inception-ResNet-v2 up to its reduction to 1/32.

    Its convolutions without padding make the maps 1 to 3 pixels smaller than 1/2, 1/4, ... 1/32 of the image.

    Args:
        width: what all channels are multiplied by.
        blocks: inception blocks at 1/8 (published: 10) and at 1/16 (published: 20).
        statistics: see `ImageNorm`.

    Raises:
        ValueError: for other than two numbers of blocks.

    Source: Szegedy et al., AAAI 2017, arXiv:1602.07261.
    """

    def __init__(self, width: float = 1.0, blocks: Sequence[int] = (10, 20), statistics: str = "image") -> None:
        if len(blocks) != 2:
            raise ValueError(f"blocks must be two numbers, at 1/8 and at 1/16, got {list(blocks)}")
        first, second, third, fourth, fifth = (_scaled(channels, width) for channels in STEM)
        conv = partial(_conv, statistics=statistics)
        branches = partial(Branches, width=width, statistics=statistics)
        block = partial(InceptionBlock, width=width, statistics=statistics)
        mean = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        mix = branches(fifth, MIX, pool=mean)
        reduction_a = branches(mix.out, REDUCTION_A, pool=_pool())
        reduction_b = branches(reduction_a.out, REDUCTION_B, pool=_pool())
        blocks_a = [block(mix.out, BLOCK_A, scale=SCALE_A) for _ in range(blocks[0])]
        blocks_b = [block(reduction_a.out, BLOCK_B, scale=SCALE_B) for _ in range(blocks[1])]
        stages = [
            conv(3, first, 3, stride=2, padding=0),
            nn.Sequential(conv(first, second, 3, padding=0), conv(second, third, 3), _pool()),
            nn.Sequential(conv(third, fourth, 1), conv(fourth, fifth, 3, padding=0), _pool()),
            nn.Sequential(mix, nn.Sequential(*blocks_a), reduction_a),
            nn.Sequential(nn.Sequential(*blocks_b), reduction_b),
        ]
        super().__init__(stages, [first, third, fifth, reduction_a.out, reduction_b.out])


class Branches(nn.Module):
    """Parallel chains of convolutions on the same features, concatenated.

    Args:
        channels: C of the features.
        plan: the convolutions of each branch.
        width: what the channels of the plan are multiplied by.
        statistics: see `ImageNorm`.
        pool: what the last branch does first.

    Attributes:
        out: channels of the output.
    """

    def __init__(self, channels: int, plan: Plan, width: float, statistics: str, pool: nn.Module | None = None) -> None:
        super().__init__()
        self.branches = nn.ModuleList()
        self.out = 0
        for number, convolutions in enumerate(plan):
            chain = [pool] if pool and number == len(plan) - 1 else []
            into = channels
            for base, kernel, stride in convolutions:
                out = _scaled(base, width)
                chain.append(_conv(into, out, kernel, stride, None if stride == 1 else 0, statistics))
                into = out
            self.branches.append(nn.Sequential(*chain))
            self.out += into

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, channels, H, W) to (B, out, H, W), or to half the size where the plan has strides."""
        return torch.cat([branch(features) for branch in self.branches], dim=1)


class InceptionBlock(Branches):
    """Branches brought back to the channels of their input by a 1x1 convolution, scaled, added, ReLU.

    Args:
        channels: C of the features.
        plan: see `Branches`.
        width: see `Branches`.
        statistics: see `ImageNorm`.
        scale: what the sum is multiplied by before it is added.

    Source: Szegedy et al., AAAI 2017, arXiv:1602.07261, section 3.3.
    """

    def __init__(self, channels: int, plan: Plan, width: float, statistics: str, scale: float) -> None:
        super().__init__(channels, plan, width, statistics)
        self.project = nn.Conv2d(self.out, channels, 1)
        self.scale = scale

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, channels, H, W) to the same shape."""
        return F.relu(features + self.scale * self.project(super().forward(features)))


def _scaled(channels: int, width: float) -> int:
    return max(1, round(channels * width))


def _pool() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, stride=2)


def _conv(
    into: int,
    out: int,
    kernel: int | tuple[int, int],
    stride: int = 1,
    padding: int | None = None,
    statistics: str = "image",
) -> nn.Sequential:
    """Convolution, normalisation, ReLU; without a padding, the one that keeps the size at stride 1."""
    height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
    margin = (height // 2, width // 2) if padding is None else (padding, padding)
    return nn.Sequential(
        nn.Conv2d(into, out, (height, width), stride, margin, bias=False),
        ImageNorm(out, statistics, affine=True, eps=EPS),
        nn.ReLU(),
    )
