"""The multi-temporal recurrent network: one small U-Net, run several times on its own result."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deblur_lit.networks.blocks import DeblurNetwork, Renaming, ResidualBlock, rename
from deblur_lit.tensors import Pyramid

SCALES = 3
SLOPE = 0.1  # of the leaky ReLU below zero
RANGE = 255.0  # of the images inside
MEAN = (0.4488, 0.4371, 0.4040)  # RGB, in [0, 1]


class MTRNN(DeblurNetwork):
    """A U-Net with channels C, 2C, 4C that restores the blurred image again, iteration by iteration.

    Each iteration sees the blurred image, the image that the one before restored, and that one's features at half
    and quarter size. The first sees the blurred image twice and its own features twice. Every iteration leaves a
    residual of the blurred image.

    Args:
        channels: C, the width at full size.
        num_blocks: residual blocks per stage; the coarsest has twice as many.
        iterations: how often the U-Net runs, with the same weights.
        padding_mode: see `DeblurNetwork`.

    Raises:
        ValueError: for fewer than 1 channel, block or iteration.

    Source: Park et al., ECCV 2020, arXiv:1911.07410.

    Example:
        >>> MTRNN(channels=4, num_blocks=1, iterations=2)(torch.zeros(1, 3, 7, 10)).full.shape
        torch.Size([1, 3, 7, 10])
    """

    multiple = 2 ** (SCALES - 1)

    def __init__(
        self, channels: int = 32, num_blocks: int = 3, iterations: int = 6, padding_mode: str = "reflect"
    ) -> None:
        super().__init__(padding_mode)
        if min(channels, num_blocks, iterations) < 1:
            raise ValueError(f"need channels, num_blocks, iterations >= 1, got {channels}, {num_blocks}, {iterations}")
        self.iterations = iterations
        widths = [channels * 2**scale for scale in range(SCALES)]

        def stage(width: int, blocks: int) -> nn.Sequential:
            return nn.Sequential(*(ResidualBlock(width, slope=SLOPE) for _ in range(blocks)))

        self.shift = MeanShift(-1)
        self.enter = nn.ModuleList([nn.Conv2d(6, channels, 3, padding=1)])
        self.enter.extend(nn.Conv2d(width, 2 * width, 3, stride=2, padding=1) for width in widths[:-1])
        self.recur = nn.ModuleList(nn.Conv2d(2 * width, width, 1) for width in widths[1:])
        self.encode = nn.ModuleList(stage(width, num_blocks) for width in widths[:-1])
        self.encode.append(stage(widths[-1], 2 * num_blocks))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * width, width, 4, 2, 1) for width in widths[:-1])
        self.merge = nn.ModuleList(nn.Conv2d(2 * width, width, 1) for width in widths[:-1])
        self.decode = nn.ModuleList(stage(width, num_blocks) for width in widths[:-1])
        self.leave = nn.Conv2d(channels, 3, 3, padding=1)
        self.unshift = MeanShift(1)

    def restore(self, blur: Tensor) -> Pyramid:
        """Restore (B, 3, H, W) whose sides are multiples of 4; see `forward`."""
        image = RANGE * blur
        restored, features = image, None
        for _ in range(self.iterations):
            restored, features = self._iterate(image, restored, features)
        return Pyramid(restored / RANGE)

    def _iterate(
        self, image: Tensor, restored: Tensor, before: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the restored image and the features at half and quarter size, for the next iteration."""
        shifted = self.shift(image)
        encoded = [self.encode[0](self.enter[0](torch.cat([shifted, self.shift(restored)], dim=1)))]
        for scale in range(1, SCALES):
            features = F.leaky_relu(self.enter[scale](encoded[-1]), SLOPE)
            remembered = before[scale - 1] if before else features
            features = self.recur[scale - 1](torch.cat([features, remembered], dim=1))
            encoded.append(self.encode[scale](features))
        features, memory = encoded[-1], [encoded[-1]]
        for scale in reversed(range(SCALES - 1)):
            features = F.leaky_relu(self.up[scale](features), SLOPE)
            features = self.merge[scale](torch.cat([features, encoded[scale]], dim=1))
            features = self.decode[scale](features)
            memory.append(features)
        quarter, half, full = memory
        return self.unshift(self.leave(full) + shifted), (half, quarter)

    def from_published(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the weights that the authors publish under our names."""
        return {rename(key, PUBLISHED): value for key, value in weights.items()}


class MeanShift(nn.Module):
    """Add or subtract the mean colour. A frozen 1x1 convolution, since published weights hold it as one.

    Args:
        sign: 1 or -1, of the mean.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, sign: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.eye(3)[..., None, None])
        self.register_buffer("bias", sign * RANGE * torch.tensor(MEAN))

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, 3, H, W) in [0, 255] to the same shape."""
        return F.conv2d(image, self.weight, self.bias)


def _published_block(side: str, scale: int, block: int, conv: str) -> str:
    return f"{side}.{scale}.{block}.{('first', 'second')[int(conv) // 2]}"


# The published names count the stages 1 to 6: three of the encoder, more blocks of the third, two of the decoder. In
# a stage, 1 is the convolution that enters it, c the 1x1 convolution after it, and blocks count from 2 (in stage 4, 1).
PUBLISHED: Renaming = [
    (r"sub_mean", lambda: "shift"),
    (r"add_mean", lambda: "unshift"),
    (r"conv([1-3])_1\.0", lambda stage: f"enter.{int(stage) - 1}"),
    (r"conv([23])_c\.0", lambda stage: f"recur.{int(stage) - 2}"),
    (r"conv([56])_1\.0", lambda stage: f"up.{6 - int(stage)}"),
    (r"conv([56])_c\.0", lambda stage: f"merge.{6 - int(stage)}"),
    (r"img_prd\.0", lambda: "leave"),
    (
        r"conv([1-3])_([2-4])\.stem\.([02])",
        lambda stage, block, conv: _published_block("encode", int(stage) - 1, int(block) - 2, conv),
    ),
    (r"conv4_([1-3])\.stem\.([02])", lambda block, conv: _published_block("encode", 2, int(block) + 2, conv)),
    (
        r"conv([56])_([2-4])\.stem\.([02])",
        lambda stage, block, conv: _published_block("decode", 6 - int(stage), int(block) - 2, conv),
    ),
]
