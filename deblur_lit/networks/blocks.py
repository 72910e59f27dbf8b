"""What two or more networks share: convolutions, the residual block, pooling, and the any-size wrapper."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deblur_lit.tensors import Pyramid

# A slot that takes `channels` and gives a block that keeps (B, channels, H, W).
BlockFactory = Callable[[int], nn.Module]

# Patterns of the stems of published keys, each with what makes our stem of its groups.
Renaming = Sequence[tuple[str, Callable[..., str]]]

PADDING_MODES = ("reflect", "replicate", "constant")
STATISTICS = ("image", "running")


class DeblurNetwork(nn.Module, ABC):
    """Base of every network: pads to the needed size, restores, crops back.

    A subclass sets `multiple` (and `minimum`) and writes `restore`, which may rely on H and W being multiples of the
    one and not below the other. Sides that fit already are not padded.

    Attributes:
        multiple: the number that H and W must divide by inside `restore`.
        minimum: the least H and W that `restore` can take, in pixels; a multiple of `multiple`.
        padding_mode: "reflect" continues the image by mirroring (where a side is too short for that, by
            its border pixel); "replicate" always by its border pixel; "constant" by `padding_value`.
        padding_value: what "constant" continues with, in [0, 1]; black, or what the network's own range calls zero.
    """

    multiple: int = 1
    minimum: int = 1
    padding_value: float = 0.0

    def __init__(self, padding_mode: str = "reflect") -> None:
        super().__init__()
        if padding_mode not in PADDING_MODES:
            raise ValueError(f"padding_mode must be one of {', '.join(PADDING_MODES)}, got {padding_mode!r}")
        self.padding_mode = padding_mode

    @abstractmethod
    def restore(self, blur: Tensor) -> Pyramid:
        """Restore (B, 3, H, W) whose sides are multiples of `multiple` and at least `minimum`."""

    def from_published(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the weights of the authors' published checkpoint under our names and in our layout.

        Entries that the forward pass never uses are left away; unknown ones keep their names, for the error to list.
        """
        return dict(weights)

    def padded_side(self, side: int) -> int:
        """Return how long a side of `side` pixels is inside `restore`: the next multiple, not below the minimum."""
        return max(side + -side % self.multiple, self.minimum)

    def padded_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the size of a height x width image inside `restore`, where the two sides may have different needs."""
        return self.padded_side(height), self.padded_side(width)

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
        padded_height, padded_width = self.padded_size(height, width)
        bottom, right = padded_height - height, padded_width - width
        if not (bottom or right):
            return self.restore(blur)
        full, half, quarter = self.restore(self._pad(blur, bottom, right))
        return Pyramid(
            full[..., :height, :width],
            None if half is None else half[..., : -(-height // 2), : -(-width // 2)],
            None if quarter is None else quarter[..., : -(-height // 4), : -(-width // 4)],
        )

    def _pad(self, blur: Tensor, bottom: int, right: int) -> Tensor:
        if self.padding_mode == "constant":
            return F.pad(blur, (0, right, 0, bottom), value=self.padding_value)
        mode = self.padding_mode if bottom < blur.shape[-2] and right < blur.shape[-1] else "replicate"
        return F.pad(blur, (0, right, 0, bottom), mode=mode)


def rename(key: str, renaming: Renaming) -> str:
    """Return our name of a published weight or bias: the first pattern that matches its whole stem tells it.

    Example:
        >>> rename("Convs.1.main.0.weight", [(r"Convs\\.(\\d)\\.main\\.0", lambda index: f"merge.{1 - int(index)}")])
        'merge.0.weight'
    """
    stem, _, leaf = key.rpartition(".")
    for pattern, name in renaming:
        if match := re.fullmatch(pattern, stem):
            return f"{name(*match.groups())}.{leaf}"
    return key


class GlobalPool(nn.Module):
    """The one global average pool of this package: (B, C, H, W) to (B, C, 1, 1).

    Training pools crops and testing pools whole frames, whose means are distributed otherwise. With a `kernel` it pools
    a window of about the training size around each position instead: (B, C, H, W) to the same shape, in float32 at
    least. Where the window covers the features it is the global pool again, bit for bit. `tlc.use_local_pools` sets it.

    Attributes:
        kernel: (height, width) of the window in positions of the features, None for the global mean.

    Source: Chu et al., ECCV 2022, arXiv:2112.04491 (the local window and its border).
    """

    kernel: tuple[int, int] | None = None

    def forward(self, features: Tensor) -> Tensor:
        """Return the mean over height and width, or over the window around each position."""
        height, width = features.shape[-2:]
        if self.kernel is None or (self.kernel[0] >= height and self.kernel[1] >= width):
            return features.mean(dim=(2, 3), keepdim=True)
        return _local_mean(features, min(self.kernel[0], height), min(self.kernel[1], width))


def _local_mean(features: Tensor, rows: int, columns: int) -> Tensor:
    """Return the mean of the window around each position; positions at the border share the outermost window."""
    height, width = features.shape[-2:]
    with torch.autocast(features.device.type, enabled=False):  # sums of a frame overflow float16
        exact = features if features.dtype == torch.float64 else features.float()
        centre = exact.mean(dim=(2, 3), keepdim=True)  # sums about zero keep their digits
        mean = _sliding_mean(_sliding_mean(exact - centre, rows, dim=2), columns, dim=3) + centre
    down, right = height - mean.shape[2], width - mean.shape[3]
    padded = F.pad(mean, (right // 2, right - right // 2, down // 2, down - down // 2), mode="replicate")
    return padded.to(features.dtype)


def _sliding_mean(features: Tensor, length: int, dim: int) -> Tensor:
    sums = features.cumsum(dim)
    count = features.shape[dim] - length
    first, later = sums.narrow(dim, length - 1, 1), sums.narrow(dim, length, count) - sums.narrow(dim, 0, count)
    return torch.cat([first, later], dim) / length


class ResidualBlock(nn.Module):
    """conv, ReLU, conv, plus the input; no activation after the sum, no normalisation.

    Args:
        channels: C, of the input and the output.
        kernel: side of both convolutions, odd.
        slope: of the activation below zero; above 0 it is a leaky ReLU.

    Source: Nah et al., CVPR 2017, arXiv:1612.02177, section 3.1.
    """

    def __init__(self, channels: int, kernel: int = 3, slope: float = 0.0) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, kernel, padding=kernel // 2)
        self.second = nn.Conv2d(channels, channels, kernel, padding=kernel // 2)
        self.slope = slope

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        hidden = self.first(features)
        return features + self.second(F.leaky_relu(hidden, self.slope) if self.slope else F.relu(hidden))


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


class ImageNorm(nn.Module):
    """Normalise each channel, by its statistics over the one image or by recorded ones.

    With "image" every image is normalised by its own mean and biased variance over H and W, in training and in
    evaluation, whatever else is in the batch: what a batch or instance normalisation in training mode does to a batch
    of one. With "running" the recorded mean and variance are used. Neither ever changes the recorded ones.

    Args:
        channels: C of the features.
        statistics: "image" or "running".
        affine: whether a learned scale and shift follow (batch normalisation has them).
        eps: what is added to the variance.

    Raises:
        ValueError: for unknown statistics.

    Source: Ioffe and Szegedy, ICML 2015, arXiv:1502.03167; per image: Ulyanov et al., arXiv:1607.08022.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, statistics: str = "image", affine: bool = False, eps: float = 1e-5) -> None:
        super().__init__()
        if statistics not in STATISTICS:
            raise ValueError(f"statistics must be one of {', '.join(STATISTICS)}, got {statistics!r}")
        self.channels, self.statistics, self.eps = channels, statistics, eps
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        if self.statistics == "image":  # one group a channel
            return F.group_norm(features, self.channels, self.weight, self.bias, self.eps)
        return F.batch_norm(features, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


class ChannelNorm(nn.Module):
    """Normalise each pixel over its channels, then scale and shift: in plain operations, which every exporter knows.

    Args:
        channels: C of the features.
        eps: what is added to the variance.

    Source: Ba et al., arXiv:1607.06450; over the channels of a pixel: Chen et al., ECCV 2022, arXiv:2204.04676.
    """

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        centred = features - features.mean(dim=1, keepdim=True)
        deviation = (centred.square().mean(dim=1, keepdim=True) + self.eps).sqrt()
        return centred / deviation * self.weight[:, None, None] + self.bias[:, None, None]


class Backbone(nn.Module):
    """Stages in a row, all of whose outputs are wanted.

    Args:
        stages: each halves the size of its input.
        channels: of their outputs, finest first.
    """

    def __init__(self, stages: Sequence[nn.Module], channels: Sequence[int]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.channels = tuple(channels)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the maps (B, channels[k], about H / 2^(k+1), about W / 2^(k+1)) of an image (B, 3, H, W)."""
        maps: list[Tensor] = []
        for stage in self.stages:
            maps.append(stage(maps[-1] if maps else image))
        return maps
