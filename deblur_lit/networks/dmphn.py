"""The multi-patch hierarchical network: the image in 1, 2, 4, 8 patches, restored from the smallest patches up."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from deblur_lit.networks.blocks import DeblurNetwork, Renaming, ResidualBlock, rename
from deblur_lit.tensors import Pyramid

STRIDE = 4  # pixels per feature of an encoder
HEIGHT, WIDTH = 2, 3  # dimensions of an image
MIDDLE_GREY = 0.5  # the network's own zero


class DMPHN(DeblurNetwork):
    """One encoder and decoder per level of an image that is cut into ever smaller patches.

    Level 0 is the whole image; each further level halves every patch, first its height, then its width, then its
    height. From the last level to level 0, the encoder sees the patches plus what the level below restored, its
    features are added to those from below, and the decoder restores two patches at a time. Level 0's decoder leaves
    the image itself, not a residual.

    Args:
        levels: of the hierarchy: 4 is 1-2-4-8 patches, 3 is 1-2-4.
        channels: C, the width at full size of a patch; 2C and 4C below.
        num_blocks: residual blocks per size of an encoder or decoder.
        padding_mode: see `DeblurNetwork`; heights must be multiples of 4 in every patch, and so must widths.

    Raises:
        ValueError: for fewer than 1 level, channel or block.

    Source: Zhang et al., CVPR 2019, arXiv:1904.03468.

    Example:
        >>> network = DMPHN(channels=4, num_blocks=1)
        >>> network.padded_size(17, 17)
        (32, 24)
        >>> network(torch.zeros(1, 3, 7, 10)).full.shape
        torch.Size([1, 3, 7, 10])
    """

    padding_value = MIDDLE_GREY

    def __init__(self, levels: int = 4, channels: int = 32, num_blocks: int = 2, padding_mode: str = "reflect") -> None:
        super().__init__(padding_mode)
        if min(levels, channels, num_blocks) < 1:
            raise ValueError(f"need levels, channels, num_blocks >= 1, got {levels}, {channels}, {num_blocks}")
        self.halved = [(WIDTH, HEIGHT)[level % 2] for level in range(1, levels)]  # what each further level halves
        self.multiple = STRIDE * 2 ** self.halved.count(HEIGHT)
        self.encoders = nn.ModuleList(Encoder(channels, num_blocks) for _ in range(levels))
        self.decoders = nn.ModuleList(Decoder(channels, num_blocks) for _ in range(levels))

    def padded_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the next size whose smallest patches have sides that are multiples of 4: widths are halved less."""
        columns = STRIDE * 2 ** self.halved.count(WIDTH)
        return self.padded_side(height), width + -width % columns

    def restore(self, blur: Tensor) -> Pyramid:
        """Restore (B, 3, H, W) of a `padded_size`; see `forward`."""
        images = [blur - MIDDLE_GREY]  # by level, patches along the batch
        for dim in self.halved:
            images.append(_split(images[-1], dim))
        features = self.encoders[-1](images[-1])
        for level in reversed(range(len(self.halved))):
            features = _join(features, self.halved[level])
            restored = self.decoders[level + 1](features)
            features = features + self.encoders[level](images[level] + restored)
        return Pyramid(self.decoders[0](features) + MIDDLE_GREY)

    def from_published(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the weights that the authors publish, one file per encoder and decoder, under our names."""
        return {rename(key, PUBLISHED): value for key, value in weights.items()}


def _split(patches: Tensor, dim: int) -> Tensor:
    """Halve patches (N, C, H, W) along `dim`: all first halves, then all second halves."""
    return torch.cat(_halves(patches, dim), dim=0)


def _join(halves: Tensor, dim: int) -> Tensor:
    """Undo `_split`."""
    return torch.cat(_halves(halves, 0), dim=dim)


def _halves(tensor: Tensor, dim: int) -> list[Tensor]:
    """Return the halves of an even dimension; `chunk` would not export for a size that is not known."""
    half = tensor.shape[dim] // 2
    return [tensor.narrow(dim, start, half) for start in (0, half)]


def _blocks(channels: int, num_blocks: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(channels) for _ in range(num_blocks)))


class Encoder(nn.Module):
    """Image to features of a quarter of its size: conv3x3 to C, 2C (stride 2), 4C (stride 2), blocks after each.

    No activation outside of the blocks.
    """

    def __init__(self, channels: int, num_blocks: int) -> None:
        super().__init__()
        widths = [channels, 2 * channels, 4 * channels]
        self.enter = nn.ModuleList([nn.Conv2d(3, channels, 3, padding=1)])
        self.enter.extend(nn.Conv2d(width, 2 * width, 3, stride=2, padding=1) for width in widths[:-1])
        self.blocks = nn.ModuleList(_blocks(width, num_blocks) for width in widths)

    def forward(self, image: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, 4C, H/4, W/4)."""
        features = image
        for enter, blocks in zip(self.enter, self.blocks, strict=True):
            features = blocks(enter(features))
        return features


class Decoder(nn.Module):
    """Features to an image of four times their size: blocks at 4C, 2C, C, transposed convolutions between them.

    No activation outside of the blocks.
    """

    def __init__(self, channels: int, num_blocks: int) -> None:
        super().__init__()
        widths = [4 * channels, 2 * channels, channels]
        self.blocks = nn.ModuleList(_blocks(width, num_blocks) for width in widths)
        self.leave = nn.ModuleList(nn.ConvTranspose2d(width, width // 2, 4, 2, 1) for width in widths[:-1])
        self.leave.append(nn.Conv2d(channels, 3, 3, padding=1))

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, 4C, H/4, W/4) to (N, 3, H, W)."""
        for blocks, leave in zip(self.blocks, self.leave, strict=True):
            features = leave(blocks(features))
        return features


def _published_block(part: str, level: str, block: int, conv: str) -> str:
    return f"{part}coders.{int(level) - 1}.blocks.{block // 4}.{block % 4}.{('first', 'second')[int(conv) // 2]}"


# The published files number the layers of both parts in one row of 24, four per size, of which some do not exist.
PUBLISHED: Renaming = [
    (r"encoder_lv(\d)\.layer([159])", lambda level, n: f"encoders.{int(level) - 1}.enter.{int(n) // 4}"),
    (r"decoder_lv(\d)\.layer(16|20|24)", lambda level, n: f"decoders.{int(level) - 1}.leave.{int(n) // 4 - 4}"),
    (
        r"encoder_lv(\d)\.layer([2367]|10|11)\.([02])",
        lambda level, n, conv: _published_block("en", level, int(n) - 2, conv),
    ),
    (
        r"decoder_lv(\d)\.layer(13|14|17|18|21|22)\.([02])",
        lambda level, n, conv: _published_block("de", level, int(n) - 13, conv),
    ),
]
