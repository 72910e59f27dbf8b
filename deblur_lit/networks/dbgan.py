"""DBGAN's deblurring generator: residual-in-residual dense blocks at full size."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deblur_lit.networks.blocks import DeblurNetwork, Renaming, rename
from deblur_lit.tensors import Pyramid

SLOPE = 0.2  # of every leaky ReLU
RESIDUAL = 0.2  # share of every block that is added to its input
CONVOLUTIONS = 5  # of a dense block
DENSE_BLOCKS = 3  # of a residual-in-residual dense block


class DBGAN(DeblurNetwork):
    """Deblurring generator of DBGAN: a trunk of residual-in-residual dense blocks, no normalisation, no downscaling.

    Args:
        channels: width of the trunk.
        num_blocks: residual-in-residual dense blocks, of three dense blocks each.
        growth: channels that each convolution of a dense block adds.
        padding_mode: see `DeblurNetwork`; any side fits, so nothing is padded.

    Raises:
        ValueError: for fewer than 1 channel, block, or channel of growth.

    Source: Zhang et al., CVPR 2020, arXiv:2004.01860; the blocks are those of Wang et al., arXiv:1809.00219.

    Example:
        >>> network = DBGAN(channels=4, num_blocks=1, growth=2)
        >>> network(torch.zeros(1, 3, 5, 9)).full.shape
        torch.Size([1, 3, 5, 9])
    """

    def __init__(
        self, channels: int = 64, num_blocks: int = 16, growth: int = 32, padding_mode: str = "reflect"
    ) -> None:
        super().__init__(padding_mode)
        if min(channels, num_blocks, growth) < 1:
            raise ValueError(
                f"channels, num_blocks and growth must be at least 1, got {channels}, {num_blocks} and {growth}"
            )
        self.enter = nn.Conv2d(3, channels, 3, padding=1)
        self.trunk = nn.Sequential(*(RRDB(channels, growth) for _ in range(num_blocks)))
        self.close = nn.Conv2d(channels, channels, 3, padding=1)
        self.refine = nn.Conv2d(channels, channels, 3, padding=1)
        self.leave = nn.Conv2d(channels, 3, 3, padding=1)

    def restore(self, blur: Tensor) -> Pyramid:
        """Restore (B, 3, H, W); see `forward`."""
        features = self.enter(blur)
        features = features + self.close(self.trunk(features))
        return Pyramid(blur + self.leave(F.leaky_relu(self.refine(features), SLOPE)))

    def from_published(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the weights that the authors publish under our names."""
        return {rename(key, PUBLISHED): value for key, value in weights.items()}


class RRDB(nn.Module):
    """Residual-in-residual dense block: dense blocks in a row, a fifth of which is added to the input.

    Source: Wang et al., ECCV workshops 2018, arXiv:1809.00219, section 3.1.
    """

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(DenseBlock(channels, growth) for _ in range(DENSE_BLOCKS)))

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, channels, H, W) to the same shape."""
        return features + RESIDUAL * self.blocks(features)


class DenseBlock(nn.Module):
    """Convolutions that each see the input and all before them; a fifth of the last is added to the input.

    Source: Wang et al., ECCV workshops 2018, arXiv:1809.00219, section 3.1.
    """

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(channels + index * growth, growth, 3, padding=1) for index in range(CONVOLUTIONS - 1)
        )
        self.fuse = nn.Conv2d(channels + (CONVOLUTIONS - 1) * growth, channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, channels, H, W) to the same shape."""
        seen = features
        for conv in self.convs:
            seen = torch.cat([seen, F.leaky_relu(conv(seen), SLOPE)], dim=1)
        return features + RESIDUAL * self.fuse(seen)


# Parameter names of the published checkpoint.
PUBLISHED: Renaming = [
    (r"model\.0", lambda: "enter"),
    (
        r"model\.1\.sub1\.(\d+)\.RDB([1-3])\.conv([1-4])\.0",
        lambda block, dense, conv: f"trunk.{block}.blocks.{int(dense) - 1}.convs.{int(conv) - 1}",
    ),
    (
        r"model\.1\.sub1\.(\d+)\.RDB([1-3])\.conv5\.0",
        lambda block, dense: f"trunk.{block}.blocks.{int(dense) - 1}.fuse",
    ),
    (r"model\.1\.sub2\.0", lambda: "close"),
    (r"model\.2", lambda: "refine"),
    (r"model\.4", lambda: "leave"),
]
