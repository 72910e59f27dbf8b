"""The multi-scale convolutional network of Nah et al.: a Gaussian pyramid, restored from its smallest image up."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deblur_lit.networks.blocks import DeblurNetwork, Renaming, ResidualBlock, rename
from deblur_lit.tensors import Pyramid

SCALES = 3
KERNEL = 5  # side of every convolution
RANGE = 255.0  # of the images inside; a network with biases is another one at another range
MIDDLE = RANGE / 2  # subtracted on the way in, added on the way out
SIGMA, RADIUS = 2 / 3, 3  # of the Gaussian before a halving, in pixels: 2 * 2 / 6, and four sigma rounded


class DeepDeblur(DeblurNetwork):
    """Three residual networks of weights of their own, one per scale of a Gaussian pyramid, coarse to fine.

    What a scale restores is enlarged by a convolution to 12 channels and a pixel shuffle, and stands beside the
    blurred image at the input of the next finer scale. Each scale leaves the image itself, not a residual.

    Args:
        channels: width of the residual networks.
        num_blocks: residual blocks per scale.
        padding_mode: see `DeblurNetwork`.

    Raises:
        ValueError: for fewer than 1 channel or block.

    Source: Nah et al., CVPR 2017, arXiv:1612.02177; in the form of its authors' later PyTorch release.

    Example:
        >>> network = DeepDeblur(channels=4, num_blocks=1)
        >>> [tuple(image.shape) for image in network(torch.zeros(1, 3, 7, 10))]
        [(1, 3, 7, 10), (1, 3, 4, 5), (1, 3, 2, 3)]
    """

    multiple = 2 ** (SCALES - 1)
    padding_value = 0.5

    def __init__(self, channels: int = 64, num_blocks: int = 19, padding_mode: str = "reflect") -> None:
        super().__init__(padding_mode)
        if channels < 1 or num_blocks < 1:
            raise ValueError(f"need channels >= 1 and num_blocks >= 1, got {channels} and {num_blocks}")
        self.halve = GaussianHalving()
        self.scales = nn.ModuleList(  # finest first; all but the coarsest see the enlarged result of the one below
            ResidualNetwork(3 if scale == SCALES - 1 else 6, channels, num_blocks) for scale in range(SCALES)
        )
        self.enlarge = nn.ModuleList(_conv(3, 12) for _ in range(SCALES - 1))  # to scale 0, to scale 1

    def restore(self, blur: Tensor) -> Pyramid:
        """Restore (B, 3, H, W) whose sides are multiples of 4; see `forward`."""
        images = [RANGE * blur]
        for _ in range(SCALES - 1):
            images.append(self.halve(images[-1]))
        outputs: list[Tensor] = []  # coarsest first, mean-free
        for scale in reversed(range(SCALES)):
            image = images[scale] - MIDDLE
            if outputs:
                image = torch.cat([image, F.pixel_shuffle(self.enlarge[scale](outputs[-1]), 2)], dim=1)
            outputs.append(self.scales[scale](image))
        return Pyramid(*((output + MIDDLE) / RANGE for output in reversed(outputs)))

    def from_published(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the weights that the authors publish under our names."""
        return {rename(key, PUBLISHED): value for key, value in weights.items()}


class GaussianHalving(nn.Module):
    """Blur with a Gaussian of sigma 2/3, then average 2x2 pixels; the image continues by mirroring with its border.

    Both are one convolution of 8 taps a side, a step of two pixels apart.
    """

    taps: Tensor

    def __init__(self) -> None:
        super().__init__()
        gaussian = [math.exp(-0.5 * (x / SIGMA) ** 2) for x in range(-RADIUS, RADIUS + 1)]
        pairs = [
            (left + right) / (2 * sum(gaussian)) for left, right in zip([0.0, *gaussian], [*gaussian, 0.0], strict=True)
        ]
        self.register_buffer("taps", torch.tensor(pairs), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, C, H, W) of even sides to (B, C, H/2, W/2)."""
        channels = image.shape[1]
        for dim in (2, 3):
            shape = [len(self.taps) if axis == dim else 1 for axis in (2, 3)]
            weight = self.taps.expand(channels, 1, -1).reshape(channels, 1, *shape)
            stride = [2 if axis == dim else 1 for axis in (2, 3)]
            image = F.conv2d(_mirror(image, dim), weight, stride=stride, groups=channels)
        return image


def _mirror(image: Tensor, dim: int) -> Tensor:
    """Continue an image by RADIUS pixels on both sides of `dim`, its border pixel repeated: c b a | a b c | c b a."""
    side = image.shape[dim]
    position = torch.arange(-RADIUS, side + RADIUS, device=image.device)
    position = position - 2 * side * torch.div(position, 2 * side, rounding_mode="floor")  # `%` does not export
    return image.index_select(dim, torch.minimum(position, 2 * side - 1 - position))


def _conv(into: int, out: int) -> nn.Conv2d:
    return nn.Conv2d(into, out, KERNEL, padding=KERNEL // 2)


class ResidualNetwork(nn.Module):
    """conv5x5, residual blocks, conv5x5; no activation but inside the blocks."""

    def __init__(self, into: int, channels: int, num_blocks: int) -> None:
        super().__init__()
        self.enter = _conv(into, channels)
        self.blocks = nn.Sequential(*(ResidualBlock(channels, KERNEL) for _ in range(num_blocks)))
        self.leave = _conv(channels, 3)

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, into, H, W) to (B, 3, H, W)."""
        return self.leave(self.blocks(self.enter(image)))


# The published names count a scale's layers in one row: the first convolution, the blocks, the last convolution. The
# first and the last have no body of their own.
PUBLISHED: Renaming = [
    (r"body_models\.(\d)\.body\.0", lambda scale: f"scales.{scale}.enter"),
    (r"body_models\.(\d)\.body\.\d+", lambda scale: f"scales.{scale}.leave"),
    (
        r"body_models\.(\d)\.body\.(\d+)\.body\.([02])",
        lambda scale, n, conv: f"scales.{scale}.blocks.{int(n) - 1}.{('first', 'second')[int(conv) // 2]}",
    ),
    (r"conv_end_models\.([12])\.uppath\.0", lambda scale: f"enlarge.{int(scale) - 1}"),
]
