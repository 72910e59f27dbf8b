"""What two or more networks share: convolutions, the residual block, pooling, and the any-size wrapper."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deblur_lit.tensors import Pyramid

# A slot that takes `channels` and gives a block that keeps (B, channels, H, W).
BlockFactory = Callable[[int], nn.Module]


class DeblurNetwork(nn.Module, ABC):
    """Base of every network: pads to the needed multiple, restores, crops back.

    A subclass sets `multiple` and writes `restore`, which may rely on H and W being multiples of it.
    Sides that divide already are not padded.

    Attributes:
        multiple: the number that H and W must divide by inside `restore`.
        padding_mode: "reflect" continues the image by mirroring (where a side is too short for that, by
            its border pixel); "replicate" always by its border pixel.
    """

    multiple: int = 1

    def __init__(self, padding_mode: str = "reflect") -> None:
        super().__init__()
        if padding_mode not in ("reflect", "replicate"):
            raise ValueError(f"padding_mode must be 'reflect' or 'replicate', got {padding_mode!r}")
        self.padding_mode = padding_mode

    @abstractmethod
    def restore(self, blur: Tensor) -> Pyramid:
        """Restore (B, 3, H, W) whose sides are multiples of `multiple`."""

    @staticmethod
    def from_published(key: str) -> str:
        """Return our name of a parameter in the checkpoint that the network's authors publish."""
        return key

    def forward(self, blur: Tensor) -> Pyramid:
        """Restore an image of any size from 1x1.

        Args:
            blur: (B, 3, H, W), RGB in [0, 1].

        Returns:
            Pyramid of the same dtype, nominally in [0, 1], not clamped; `full` has the size of `blur`.

        Raises:
            ValueError: if `blur` has not the shape (B, 3, H, W).
        """
        if blur.dim() != 4 or blur.shape[1] != 3:
            raise ValueError(f"blur must be (B, 3, H, W), got {tuple(blur.shape)}")
        height, width = blur.shape[-2:]
        bottom, right = -height % self.multiple, -width % self.multiple
        if not (bottom or right):
            return self.restore(blur)
        mode = self.padding_mode if bottom < height and right < width else "replicate"
        full, half, quarter = self.restore(F.pad(blur, (0, right, 0, bottom), mode=mode))
        return Pyramid(
            full[..., :height, :width],
            None if half is None else half[..., : -(-height // 2), : -(-width // 2)],
            None if quarter is None else quarter[..., : -(-height // 4), : -(-width // 4)],
        )


class GlobalPool(nn.Module):
    """The one global average pool of this package: (B, C, H, W) to (B, C, 1, 1)."""

    def forward(self, features: Tensor) -> Tensor:
        """Return the mean over height and width."""
        return features.mean(dim=(2, 3), keepdim=True)


class ResidualBlock(nn.Module):
    """conv3x3, ReLU, conv3x3, plus the input; no activation after the sum, no normalisation.

    Source: Cho et al., ICCV 2021, arXiv:2108.05054 (the residual block of MIMO-UNet).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return features + self.second(F.relu(self.first(features)))


class ChannelAttention(nn.Module):
    """Squeeze-and-excitation: pool, 1x1 conv down, ReLU, 1x1 conv up, sigmoid, scale.

    Args:
        channels: C of the features.
        reduction: C / hidden channels; at least one hidden channel is kept.

    Source: Hu et al., CVPR 2018, arXiv:1709.01507.
    """

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.pool = GlobalPool()
        self.gate = nn.Sequential(
            nn.Conv2d(channels, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, channels, 1), nn.Sigmoid()
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return features * self.gate(self.pool(features))


def resize_to(features: Tensor, size: torch.Size | tuple[int, int], mode: str) -> Tensor:
    """Resize (B, C, H, W) to `size` with half-pixel centres and no antialiasing; nothing where it fits.

    Args:
        features: (B, C, H, W).
        size: (height, width) in pixels.
        mode: "nearest" or "bilinear" (align_corners=False).
    """
    if features.shape[-2:] == tuple(size):
        return features
    return F.interpolate(features, size=tuple(size), mode=mode)
