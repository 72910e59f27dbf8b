"""SVRNN: recurrent filters with one weight per pixel, which sweep the features in four directions."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deblur_lit.networks.blocks import DeblurNetwork, Renaming, rename
from deblur_lit.tensors import Pyramid

STAGES = 4
SLOPE = 0.1  # of every LeakyReLU
DIRECTIONS = 4


class SVRNN(DeblurNetwork):
    r"""Spatially variant recurrent network: features at half size, filtered by four stages of four sweeps.

    A guidance network looks at the image and gives each pixel, channel, stage and direction a gate in (-1, 1). A sweep
    is a recursion along rows or columns, for every channel on its own:

    .. math:: h_0 = (1 - g_0)\, x_0, \quad h_t = (1 - g_t)\, x_t + g_t\, h_{t - 1}

    The four sweeps of a stage start from the same features; a 3x3 convolution merges them. The network leaves the
    image itself, not a residual.

    Args:
        channels: C, the width at full size; 2C at half size, 4C to 32C in the guidance network.
        padding_mode: see `DeblurNetwork`.

    Raises:
        ValueError: for fewer than 1 channel.

    Source: Zhang et al., CVPR 2018, "Dynamic scene deblurring using spatially variant recurrent neural networks".

    Example:
        >>> SVRNN(channels=1)(torch.zeros(1, 3, 9, 5)).full.shape
        torch.Size([1, 3, 9, 5])
    """

    multiple = 8

    def __init__(self, channels: int = 16, padding_mode: str = "reflect") -> None:
        super().__init__(padding_mode)
        if channels < 1:
            raise ValueError(f"need channels >= 1, got {channels}")
        self.enter = nn.Conv2d(3, channels, 11, padding=5)
        self.down = nn.Conv2d(channels, 2 * channels, 7, stride=2, padding=3)
        self.guide = Guidance(4 * channels, gates=STAGES * DIRECTIONS * 2 * channels)
        self.merge = nn.ModuleList(
            nn.Conv2d(DIRECTIONS * 2 * channels, 2 * channels, 3, padding=1) for _ in range(STAGES)
        )
        self.up = nn.Conv2d(4 * channels, channels, 9, padding=4)
        self.leave = nn.Conv2d(2 * channels, 3, 5, padding=2)

    def restore(self, blur: Tensor) -> Pyramid:
        """Restore (B, 3, H, W) whose sides are multiples of 8; see `forward`."""
        full = F.leaky_relu(self.enter(blur), SLOPE)
        half = filtered = self.down(full)
        for merge, gates in zip(self.merge, self.guide(blur).chunk(STAGES, dim=1), strict=True):
            filtered = F.leaky_relu(merge(sweep_all(filtered, gates)), SLOPE)
        features = double(F.leaky_relu(self.up(torch.cat([half, filtered], dim=1)), SLOPE))
        return Pyramid(self.leave(torch.cat([full, features], dim=1)))

    def from_published(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return published weights, whose layers see the transposed image, under our names and for the upright one."""
        return {
            rename(key, PUBLISHED): value.transpose(2, 3) if value.dim() == 4 else value
            for key, value in weights.items()
        }


class Guidance(nn.Module):
    """U-shaped network from the image to the gates at half its size.

    Args:
        channels: C at full size; 2C, 4C and 8C below.
        gates: number of gates per pixel.
    """

    def __init__(self, channels: int, gates: int) -> None:
        super().__init__()
        half, quarter, eighth = 2 * channels, 4 * channels, 8 * channels
        self.at_full = _chain(3, channels, channels)
        self.at_half = _chain(channels, half, half)
        self.at_quarter = _chain(half, quarter, quarter, quarter)
        self.at_eighth = _chain(quarter, eighth, eighth, quarter)
        self.to_quarter = _chain(2 * quarter, half, half)
        self.to_half = _chain(2 * half, quarter)
        self.leave = nn.Conv2d(quarter, gates, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, 3, H, W), sides multiples of 8, to (B, gates, H/2, W/2) in (-1, 1)."""
        half = self.at_half(F.max_pool2d(self.at_full(image), 2))
        quarter = self.at_quarter[:4](F.max_pool2d(half, 2))  # the skip leaves before the last convolution
        eighth = self.at_eighth(F.max_pool2d(self.at_quarter[4:](quarter), 2))
        features = self.to_quarter(torch.cat([quarter, double(eighth)], dim=1))
        features = self.to_half(torch.cat([half, double(features)], dim=1))
        return torch.tanh(self.leave(features))


def _chain(*widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for into, out in pairwise(widths):
        layers += [nn.Conv2d(into, out, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers)


def double(features: Tensor) -> Tensor:
    """Double the sides of (B, C, H, W) bilinearly: even places keep their value, odd ones are the mean of neighbours.

    What lies outside counts as zero, so the last row and column are half their neighbour, as the published weights
    expect.
    """
    for dim in (-2, -1):
        size = features.shape[dim]
        following = F.pad(features, (0, 1) if dim == -1 else (0, 0, 0, 1)).narrow(dim, 1, size)
        features = _interleave(features, (features + following) / 2, dim)
    return features


def sweep_all(features: Tensor, gates: Tensor) -> Tensor:
    """Sweep features down, up, right and left, each from the same features.

    Args:
        features: (B, C, H, W).
        gates: (B, 4C, H, W) in (-1, 1), of the directions down, right, up, left.

    Returns:
        (B, 4C, H, W): swept down, up, right, left.
    """
    down, right, up, left = gates.chunk(DIRECTIONS, dim=1)
    sweeps: list[Tensor] = []
    for dim, forward, backward in ((-2, down, up), (-1, right, left)):
        there_and_back = torch.cat([features, features.flip(dim)], dim=1)
        there, back = sweep(there_and_back, torch.cat([forward, backward.flip(dim)], dim=1), dim).chunk(2, dim=1)
        sweeps += [there, back.flip(dim)]
    return torch.cat(sweeps, dim=1)


def sweep(features: Tensor, gate: Tensor, dim: int) -> Tensor:
    r"""Run :math:`h_t = (1 - g_t)\, x_t + g_t\, h_{t - 1}` from :math:`h_{-1} = 0` along one dimension.

    Neighbouring steps are joined into one until a single one is left, so n steps become log2(n) operations on whole
    tensors: a small graph that exports, and few launches on a GPU. Nothing is divided and only gates below 1 are
    multiplied, hence it is as stable as the recursion. Computed in float32 at least.

    Args:
        features: x, (B, C, H, W).
        gate: g, the same shape, in (-1, 1).
        dim: the dimension that is swept, -2 or -1.

    Returns:
        h, the same shape and dtype as `features`.
    """
    precise = torch.promote_types(features.dtype, torch.float32)
    decay = gate.to(precise)
    return _recur(decay, (1 - decay) * features.to(precise), dim).to(features.dtype)


def _recur(decay: Tensor, drive: Tensor, dim: int) -> Tensor:
    """Return h with h_t = decay_t h_(t-1) + drive_t: steps 2t and 2t + 1 are one step of a sequence half as long."""
    if drive.shape[dim] == 1:
        return drive
    pairs = drive.shape[dim] // 2
    (decay_even, decay_odd), (even, odd) = _split(decay, dim), _split(drive, dim)
    first = decay_even.narrow(dim, 0, pairs), even.narrow(dim, 0, pairs)
    after_odd = _recur(decay_odd * first[0], decay_odd * first[1] + odd, dim)
    rest = even.shape[dim] - 1
    later = decay_even.narrow(dim, 1, rest) * after_odd.narrow(dim, 0, rest) + even.narrow(dim, 1, rest)
    return _interleave(torch.cat([even.narrow(dim, 0, 1), later], dim), after_odd, dim)


def _split(values: Tensor, dim: int) -> Sequence[Tensor]:
    """Return the entries at even and at odd places."""
    return (values[..., ::2], values[..., 1::2]) if dim == -1 else (values[..., ::2, :], values[..., 1::2, :])


def _interleave(even: Tensor, odd: Tensor, dim: int) -> Tensor:
    """Undo `_split`; `even` may be one longer."""
    pairs = odd.shape[dim]
    axis = even.dim() + dim
    both = torch.stack([even.narrow(dim, 0, pairs), odd], axis + 1).flatten(axis, axis + 1)
    return both if even.shape[dim] == pairs else torch.cat([both, even.narrow(dim, pairs, 1)], dim)


# Layer names of the published model description.
PUBLISHED: Renaming = [
    (r"conve1_1", lambda: "enter"),
    (r"conve1_2", lambda: "down"),
    (
        r"convg([1-4])_([1-3])",
        lambda scale, conv: f"guide.at_{('full', 'half', 'quarter', 'eighth')[int(scale) - 1]}.{2 * int(conv) - 2}",
    ),
    (r"convgd1", lambda: "guide.to_quarter.0"),
    (r"convgd1_2", lambda: "guide.to_quarter.2"),
    (r"convgd2", lambda: "guide.to_half.0"),
    (r"convgd2_2", lambda: "guide.leave"),
    (r"conv_rnn([1-4])", lambda stage: f"merge.{int(stage) - 1}"),
    (r"convd1_1", lambda: "up"),
    (r"convd1_2", lambda: "leave"),
]
