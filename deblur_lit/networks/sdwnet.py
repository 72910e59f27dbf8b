"""SDWNet: a straight network of dilated convolutions at half size, with a branch that restores wavelet sub-bands."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deblur_lit.networks.blocks import DeblurNetwork, Renaming, rename
from deblur_lit.tensors import Pyramid

DILATIONS = (1, 2, 4, 8)
LAST_DILATIONS = (1, 3, 5, 7)  # of the last block: their footprints overlap without a grid
RANGE = 255.0


class SDWNet(DeblurNetwork):
    """Straight dilated network with wavelet reconstruction; inside, images are in [0, 255].

    Blocks of parallel dilated convolutions work at half size; their features, with those of both sizes on the way in,
    are enlarged and go to two heads, one of plain convolutions and one that restores the four Haar sub-bands with
    shared weights. Both are added to the image. Convolutions continue the image by mirroring and have no bias, except
    those of the wavelet head (zeros, bias).

    Args:
        channels: C, the width at full size; 2C at half size, 4C between the blocks.
        num_blocks: of dilated convolutions.
        padding_mode: see `DeblurNetwork`.

    Raises:
        ValueError: for fewer than 1 channel or 1 block.

    Source: Zou et al., ICCV Workshops 2021, arXiv:2110.05803.

    Example:
        >>> SDWNet(channels=2, num_blocks=1)(torch.zeros(1, 3, 9, 5)).full.shape
        torch.Size([1, 3, 9, 5])
    """

    multiple = 8
    minimum = 24  # half of it must exceed the largest dilation, by which the image is mirrored

    def __init__(self, channels: int = 32, num_blocks: int = 16, padding_mode: str = "reflect") -> None:
        super().__init__(padding_mode)
        if channels < 1 or num_blocks < 1:
            raise ValueError(f"need channels >= 1 and num_blocks >= 1, got {channels} and {num_blocks}")
        wide = 4 * channels
        self.enter = MirrorConv(3, channels, 7)
        self.down = MirrorConv(channels, 2 * channels, 3, stride=2)
        self.widen = MirrorConv(2 * channels, wide, 1)
        rates = [*[DILATIONS] * (num_blocks - 1), LAST_DILATIONS]
        self.blocks = nn.Sequential(*(DilatedBlock(wide, dilations) for dilations in rates))
        joined = wide + 2 * channels + channels
        self.wavelet = WaveletHead(joined, 2 * channels)
        self.leave = nn.ModuleList([MirrorConv(joined, channels, 3), MirrorConv(channels, 3, 3)])

    def restore(self, blur: Tensor) -> Pyramid:
        """Restore (B, 3, H, W) whose sides are multiples of 8 and at least 24; see `forward`."""
        image = blur * RANGE
        features = self.encode(image)
        spatial = self.leave[1](F.elu(self.leave[0](features)))
        return Pyramid((image + spatial + self.wavelet(features)) / RANGE)

    def encode(self, image: Tensor) -> Tensor:
        """Map an image (B, 3, H, W) in [0, 255] to the features of both heads, (B, 7C, H, W)."""
        full = F.elu(self.enter(image))
        half = F.elu(self.down(full))
        features = torch.cat([self.blocks(F.elu(self.widen(half))), half], dim=1)
        features = F.interpolate(features, size=full.shape[-2:], mode="bilinear", align_corners=True)
        return F.elu(torch.cat([features, full], dim=1))

    def from_published(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the weights of the authors' code under our names."""
        return {rename(key, PUBLISHED): value for key, value in weights.items()}


class MirrorConv(nn.Conv2d):
    """Convolution without bias that keeps the size (divided by the stride) and mirrors the image at its border."""

    def __init__(self, into: int, out: int, kernel: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__(into, out, kernel, stride, dilation=dilation, bias=False)
        self.border = dilation * (kernel // 2)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, into, H, W) to (B, out, H / stride, W / stride)."""
        if not self.border:
            return super().forward(features)
        return super().forward(F.pad(features, (self.border,) * 4, mode="reflect"))


class DilatedBlock(nn.Module):
    """Parallel dilated 3x3 convolutions to half the width each, merged by a 3x3 convolution, plus the input."""

    def __init__(self, channels: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.dilated = nn.ModuleList(MirrorConv(channels, channels // 2, 3, dilation=rate) for rate in dilations)
        self.merge = MirrorConv(len(dilations) * (channels // 2), channels, 3)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        parallel = torch.cat([F.elu(conv(features)) for conv in self.dilated], dim=1)
        return features + F.elu(self.merge(parallel))


class WaveletHead(nn.Module):
    """Restore an image from the Haar sub-bands of features; the sub-bands share three convolutions.

    Args:
        into: channels of the features.
        channels: of the first convolution; the second has half.
    """

    def __init__(self, into: int, channels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            [
                nn.Conv2d(into, channels, 9, padding=4),
                nn.Conv2d(channels, channels // 2, 5, padding=2),
                nn.Conv2d(channels // 2, 3, 5, padding=2),
            ]
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, into, H, W), sides even, to (B, 3, H, W)."""
        first, second, third = self.convs
        bands = torch.cat(haar(features))  # along the batch
        bands = third(F.relu(second(F.relu(first(bands)))))
        batch = features.shape[0]  # `chunk` would not export for a batch that is not known
        return inverse_haar(*(bands.narrow(0, band * batch, batch) for band in range(4)))


def haar(image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the sub-bands LL, HL (detail across columns), LH (across rows), HH of (B, C, H, W), half the size each.

    Orthonormal: the sum of squares is kept.

    Example:
        >>> [band.item() for band in haar(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))]
        [5.0, 1.0, 2.0, 0.0]
    """
    top, bottom = image[..., ::2, :] / 2, image[..., 1::2, :] / 2
    low, high = top + bottom, bottom - top
    return (
        low[..., ::2] + low[..., 1::2],
        low[..., 1::2] - low[..., ::2],
        high[..., ::2] + high[..., 1::2],
        high[..., 1::2] - high[..., ::2],
    )


def inverse_haar(ll: Tensor, hl: Tensor, lh: Tensor, hh: Tensor) -> Tensor:
    """Return the image (B, C, H, W) whose sub-bands are (B, C, H/2, W/2)."""
    low = torch.stack([ll - hl, ll + hl], dim=-1).flatten(-2)
    high = torch.stack([lh - hh, lh + hh], dim=-1).flatten(-2)
    return torch.stack([low - high, low + high], dim=-2).flatten(-3, -2) / 2


# Parameter names of the authors' code.
PUBLISHED: Renaming = [
    (r"downsampling_layers\.0\.conv", lambda: "enter"),
    (r"downsampling_layers\.1\.conv", lambda: "down"),
    (r"SRCNN\.conv([1-3])", lambda conv: f"wavelet.convs.{int(conv) - 1}"),
    (r"blocks\.0\.projection\.conv", lambda: "widen"),
    (r"blocks\.(\d+)\.atrous_layers\.([0-3])\.conv", lambda block, conv: f"blocks.{block}.dilated.{conv}"),
    (r"blocks\.(\d+)\.conv1\.conv", lambda block: f"blocks.{block}.merge"),
    (r"output_layer\.([01])\.conv", lambda conv: f"leave.{conv}"),
]
