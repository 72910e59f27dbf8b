"""The multi-input multi-output U-Net: three inputs, three outputs, slots for the block and the skip fusion."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deblur_lit.networks.blocks import BlockFactory, DeblurNetwork, Renaming, ResidualBlock, rename
from deblur_lit.tensors import Pyramid

SCALES = 3


class MIMOUNet(DeblurNetwork):
    """Coarse-to-fine U-Net with three inputs, three outputs and channels C, 2C, 4C.

    The blurred image enters the encoder at full, half and quarter size (the smaller two through SCM and FAM),
    and the decoder leaves one residual image per size. With both slots empty this is the baseline of Wan et
    al.: residual blocks and plain skips.

    Args:
        channels: C, the width at full size.
        num_blocks: N, blocks per encoder and per decoder module.
        block: gives a block for a number of channels; None is the residual block.
        fusion: gives the skip fusion for the widths (C, 2C, 4C); None keeps plain skips.
        pyramid_mode: how the input is downscaled, "nearest" (published weights need it) or "bilinear".
        padding_mode: see `DeblurNetwork`.

    Raises:
        ValueError: for fewer than 2 channels, fewer than 1 block, or an unknown pyramid mode.

    Source: Cho et al., ICCV 2021, arXiv:2108.05054; with slots as in Wan et al., Infrared 44(4), 2023.

    Example:
        >>> network = MIMOUNet(channels=4, num_blocks=1)
        >>> [tuple(image.shape) for image in network(torch.zeros(1, 3, 7, 10))]
        [(1, 3, 7, 10), (1, 3, 4, 5), (1, 3, 2, 3)]
    """

    multiple = 2 ** (SCALES - 1)

    def __init__(
        self,
        channels: int = 32,
        num_blocks: int = 8,
        block: BlockFactory | None = None,
        fusion: Callable[[Sequence[int]], nn.Module] | None = None,
        pyramid_mode: str = "nearest",
        padding_mode: str = "reflect",
    ) -> None:
        super().__init__(padding_mode)
        if channels < 2 or num_blocks < 1:
            raise ValueError(f"need channels >= 2 and num_blocks >= 1, got {channels} and {num_blocks}")
        if pyramid_mode not in ("nearest", "bilinear"):
            raise ValueError(f"pyramid_mode must be 'nearest' or 'bilinear', got {pyramid_mode!r}")
        self.pyramid_mode = pyramid_mode
        widths = [channels * 2**scale for scale in range(SCALES)]
        finer = list(pairwise(widths))  # (this scale, the next coarser one)

        def stages() -> nn.ModuleList:
            make = block or ResidualBlock
            return nn.ModuleList(nn.Sequential(*(make(width) for _ in range(num_blocks))) for width in widths)

        self.enter = nn.ModuleList([nn.Conv2d(3, channels, 3, padding=1)])
        self.enter.extend(nn.Conv2d(fine, coarse, 3, stride=2, padding=1) for fine, coarse in finer)
        self.shallow = nn.ModuleList(SCM(width) for width in widths[1:])
        self.attend = nn.ModuleList(FAM(width) for width in widths[1:])
        self.encode = stages()
        self.fusion = fusion(widths) if fusion else None
        self.decode = stages()
        self.up = nn.ModuleList(nn.ConvTranspose2d(coarse, fine, 4, 2, 1) for fine, coarse in finer)
        self.merge = nn.ModuleList(nn.Conv2d(2 * fine, fine, 1) for fine, _ in finer)
        self.leave = nn.ModuleList(nn.Conv2d(width, 3, 3, padding=1) for width in widths)

    def restore(self, blur: Tensor) -> Pyramid:
        """Restore (B, 3, H, W) whose sides are multiples of 4; see `forward`."""
        inputs = [blur]
        for _ in range(SCALES - 1):
            inputs.append(self._halve(inputs[-1]))
        encoded = self._encode(inputs)
        skips = self.fusion(encoded) if self.fusion else encoded[:-1]

        outputs: list[Tensor] = []  # coarsest first
        features = encoded[-1]
        for scale in reversed(range(SCALES)):
            if scale < SCALES - 1:
                features = F.relu(self.up[scale](features))
                features = F.relu(self.merge[scale](torch.cat([features, skips[scale]], dim=1)))
            features = self.decode[scale](features)
            outputs.append(self.leave[scale](features) + inputs[scale])
        return Pyramid(*reversed(outputs))

    def _halve(self, image: Tensor) -> Tensor:
        if self.pyramid_mode == "nearest":
            return image[..., ::2, ::2]
        return F.interpolate(image, scale_factor=0.5, mode="bilinear")

    def _encode(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        encoded: list[Tensor] = []
        for scale, image in enumerate(inputs):
            features = F.relu(self.enter[scale](encoded[-1] if encoded else image))
            if scale:
                features = self.attend[scale - 1](features, self.shallow[scale - 1](image))
            encoded.append(self.encode[scale](features))
        return encoded

    def from_published(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the weights that the authors of MIMO-UNet publish under our names."""
        return {rename(key, PUBLISHED): value for key, value in weights.items()}


class SCM(nn.Module):
    """Shallow convolution module: features of a downscaled input.

    conv3x3 3 to c/4, conv1x1 to c/2, conv3x3 to c/2, conv1x1 to c-3, each with ReLU; concatenated behind the
    image; conv1x1 c to c.

    Source: Cho et al., ICCV 2021, arXiv:2108.05054, section 3.2.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = [3, max(1, channels // 4), channels // 2, channels // 2, channels - 3]
        self.convs = nn.ModuleList(
            nn.Conv2d(into, out, kernel, padding=kernel // 2)
            for into, out, kernel in zip(widths, widths[1:], (3, 1, 3, 1), strict=False)
        )
        self.mix = nn.Conv2d(channels, channels, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Map an image (B, 3, H, W) to features (B, channels, H, W)."""
        features = image
        for conv in self.convs:
            features = F.relu(conv(features))
        return self.mix(torch.cat([image, features], dim=1))


class FAM(nn.Module):
    """Feature attention module: a + conv3x3(a * b) for encoder features a and SCM features b.

    Source: Cho et al., ICCV 2021, arXiv:2108.05054, section 3.2.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, encoded: Tensor, shallow: Tensor) -> Tensor:
        """Merge two (B, C, H, W) features into one."""
        return encoded + self.conv(encoded * shallow)


# Parameter names of the published checkpoints; they count decoder modules from the coarsest scale and give the
# half scale the number 2 and the quarter scale the number 1 in FAM and SCM.
PUBLISHED: Renaming = [
    (
        r"Encoder\.(\d+)\.layers\.(\d+)\.main\.([01])\.main\.0",
        lambda stage, block, conv: f"encode.{stage}.{block}.{('first', 'second')[int(conv)]}",
    ),
    (
        r"Decoder\.(\d+)\.layers\.(\d+)\.main\.([01])\.main\.0",
        lambda stage, block, conv: f"decode.{2 - int(stage)}.{block}.{('first', 'second')[int(conv)]}",
    ),
    (r"feat_extract\.([0-2])\.main\.0", lambda index: f"enter.{index}"),
    (r"feat_extract\.([34])\.main\.0", lambda index: f"up.{4 - int(index)}"),
    (r"feat_extract\.5\.main\.0", lambda: "leave.0"),
    (r"Convs\.([01])\.main\.0", lambda index: f"merge.{1 - int(index)}"),
    (r"ConvsOut\.([01])\.main\.0", lambda index: f"leave.{2 - int(index)}"),
    (r"AFFs\.([01])\.conv\.0\.main\.0", lambda index: f"fusion.mix.{index}"),
    (r"AFFs\.([01])\.conv\.1\.main\.0", lambda index: f"fusion.refine.{index}"),
    (r"FAM([12])\.merge\.main\.0", lambda index: f"attend.{2 - int(index)}.conv"),
    (r"SCM([12])\.main\.(\d)\.main\.0", lambda index, conv: f"shallow.{2 - int(index)}.convs.{conv}"),
    (r"SCM([12])\.conv\.main\.0", lambda index: f"shallow.{2 - int(index)}.mix"),
]
