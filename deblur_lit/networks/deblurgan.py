"""DeblurGAN's generator: a residual network at a quarter of the size."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from deblur_lit.networks.blocks import DeblurNetwork, ImageNorm, Renaming, rename
from deblur_lit.tensors import Pyramid


class DeblurGAN(DeblurNetwork):
    """Generator of DeblurGAN: two convolutions down, residual blocks, two transposed convolutions up, tanh.

    Args:
        channels: width at full size; twice and four times as wide at half and quarter size.
        num_blocks: residual blocks at quarter size.
        convolutions: of a residual block: 2 in the published weights, 1 in the published code.
        dropout: share of values that training drops inside of each block.
        residual: whether tanh gives a correction, of at most half the range, or the image itself.
        statistics: "image", as the published code is tested: each image's own; "running": the recorded ones.
        padding_mode: see `DeblurNetwork`, where "constant" is mid-grey.

    Raises:
        ValueError: for fewer than 1 channel or block, or a number of convolutions other than 1 and 2.

    Source: Kupyn et al., CVPR 2018, arXiv:1711.07064.

    Example:
        >>> network = DeblurGAN(channels=4, num_blocks=1)
        >>> network(torch.zeros(1, 3, 5, 9)).full.shape
        torch.Size([1, 3, 5, 9])
    """

    multiple = 4
    minimum = 8  # a map of one pixel can neither be mirrored at its border nor has it a variance
    padding_value = 0.5  # zero in the range of the generator

    def __init__(
        self,
        channels: int = 64,
        num_blocks: int = 9,
        convolutions: int = 2,
        dropout: float = 0.5,
        residual: bool = True,
        statistics: str = "image",
        padding_mode: str = "reflect",
    ) -> None:
        super().__init__(padding_mode)
        if min(channels, num_blocks) < 1:
            raise ValueError(f"channels and num_blocks must be at least 1, got {channels} and {num_blocks}")
        if convolutions not in (1, 2):
            raise ValueError(f"convolutions must be 1 or 2, got {convolutions}")
        self.residual = residual
        half, quarter = 2 * channels, 4 * channels

        def normed(conv: nn.Module, out: int) -> nn.Sequential:
            return nn.Sequential(conv, ImageNorm(out, statistics), nn.ReLU())

        self.enter = normed(_mirrored(3, channels, 7), channels)
        self.down = nn.Sequential(
            normed(nn.Conv2d(channels, half, 3, 2, 1), half), normed(nn.Conv2d(half, quarter, 3, 2, 1), quarter)
        )
        self.blocks = nn.Sequential(*(Block(quarter, convolutions, dropout, statistics) for _ in range(num_blocks)))
        self.up = nn.Sequential(
            normed(nn.ConvTranspose2d(quarter, half, 3, 2, 1, output_padding=1), half),
            normed(nn.ConvTranspose2d(half, channels, 3, 2, 1, output_padding=1), channels),
        )
        self.leave = _mirrored(channels, 3, 7)

    def restore(self, blur: Tensor) -> Pyramid:
        """Restore (B, 3, H, W) whose sides are multiples of 4; see `forward`."""
        features = self.up(self.blocks(self.down(self.enter(2 * blur - 1))))
        generated = torch.tanh(self.leave(features)) / 2
        return Pyramid(generated + (blur if self.residual else 0.5))

    def from_published(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the weights that the authors publish under our names."""
        return {
            rename(key, PUBLISHED): value for key, value in weights.items() if not key.endswith("num_batches_tracked")
        }


class Block(nn.Module):
    """Convolution, normalisation, ReLU, dropout; a second convolution and normalisation; plus the input.

    Args:
        channels: C of the features.
        convolutions: 2, or 1 to leave out the second.
        dropout: share of values that training drops.
        statistics: see `ImageNorm`.
    """

    def __init__(self, channels: int, convolutions: int, dropout: float, statistics: str) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            _mirrored(channels, channels, 3),
            ImageNorm(channels, statistics),
            nn.ReLU(),
            nn.Dropout(dropout),
        ]
        if convolutions == 2:
            layers += [_mirrored(channels, channels, 3), ImageNorm(channels, statistics)]
        self.layers = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return features + self.layers(features)


def _mirrored(into: int, out: int, kernel: int) -> nn.Conv2d:
    """Convolution that mirrors its input at the border."""
    return nn.Conv2d(into, out, kernel, padding=kernel // 2, padding_mode="reflect")


IN_BLOCK = {"1": 0, "2": 1, "6": 4, "7": 5}  # published place in a block: ours

# Parameter names of the published checkpoints: their list counts paddings, normalisations and activations too.
PUBLISHED: Renaming = [
    (r"model\.([12])", lambda index: f"enter.{int(index) - 1}"),
    (r"model\.([45])", lambda index: f"down.0.{int(index) - 4}"),
    (r"model\.([78])", lambda index: f"down.1.{int(index) - 7}"),
    (
        r"model\.(1[0-8])\.conv_block\.([1267])",
        lambda block, index: f"blocks.{int(block) - 10}.layers.{IN_BLOCK[index]}",
    ),
    (r"model\.(19|20)", lambda index: f"up.0.{int(index) - 19}"),
    (r"model\.(22|23)", lambda index: f"up.1.{int(index) - 22}"),
    (r"model\.26", lambda: "leave"),
]
