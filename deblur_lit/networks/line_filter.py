"""The line filter: estimates the blur of a whole image from how sharp it is along each direction, and filters it."""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from itertools import chain, pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deblur_lit.networks.blocks import GlobalPool, resize_to

DARK = 1e-4  # added to energies, in image range: what is below is no structure
TYPICAL = 4.0  # minus the mean logarithm of an energy in photographs


class LineFilter(nn.Module):
    r"""Sharpens an image with one filter, mixed from line filters by the energies of their responses.

    A line filter takes what a straight motion would leave of an image from the image:

    .. math::
        r_k = x - l_k * x, \quad
        E_k = \log \mathrm{GAP}(|r_k|), \; \log \sqrt{\mathrm{GAP}(r_k^2)}, \text{ and of } r_k - l_k * r_k \\
        h = \mathrm{MLP}(E), \quad a = W h, \quad y = x + \sum_k a_k r_k

    with lines :math:`l_k` of several lengths and directions, on the image and on its halves. Energies are of the mean
    of the three colours, every colour is filtered alike. W begins at zero, so that a new filter keeps its input.

    Args:
        lengths: of the lines in pixels, at every size.
        angles: number of directions of half a turn.
        scales: number of image sizes, each half of the one before.
        hidden: width of the perceptron's three layers, and of the description that it gives.

    Raises:
        ValueError: for a length below 1 or a number below 1.

    Source: ours; a motion shows in the gradients along and across it, as in Levin, NeurIPS 2006.

    Example:
        >>> sharpened, description = LineFilter(hidden=8)(torch.zeros(1, 3, 8, 12))
        >>> sharpened.shape, description.shape
        (torch.Size([1, 3, 8, 12]), torch.Size([1, 8, 1, 1]))
    """

    bank: Tensor

    def __init__(self, lengths: Sequence[float] = (3, 6), angles: int = 8, scales: int = 3, hidden: int = 256) -> None:
        super().__init__()
        if not lengths or min(lengths) < 1:
            raise ValueError(f"lengths must be at least 1 pixel, got {list(lengths)}")
        if min(angles, scales, hidden) < 1:
            raise ValueError(f"angles, scales and hidden must be at least 1, got {angles}, {scales} and {hidden}")
        self.angles, self.scales, self.hidden = angles, scales, hidden
        self.register_buffer("bank", line_bank(lengths, angles), persistent=False)
        self.pools = nn.ModuleList(GlobalPool() for _ in range(scales))
        lines = len(self.bank)
        groups = 4 * len(lengths) * scales
        widths = [groups * (angles + 1), hidden, hidden, hidden]
        layers = [(nn.Conv2d(*pair, 1), nn.GELU()) for pair in pairwise(widths)]
        self.describe = nn.Sequential(*chain.from_iterable(layers))
        self.mix = nn.Conv2d(hidden, scales * lines, 1)
        nn.init.zeros_(self.mix.weight)
        nn.init.zeros_(self.mix.bias)  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Filter an image.

        Args:
            image: (B, 3, H, W) in [0, 1], whose sides are multiples of 2 per halving.

        Returns:
            The image (B, 3, H, W), and the description of its blur (B, hidden, 1, 1), or per position of the
            smallest size where the pools are local.
        """
        device = image.device.type
        lowered = torch.amp.is_autocast_available(device)
        with (
            torch.autocast(device, enabled=False) if lowered else nullcontext()
        ):  # 8 bits would blot out small energies
            sizes = self.sizes(image if image.dtype == torch.float64 else image.float())
            description = self.describe(self.energies(sizes))
            weights = self.mix(description).chunk(self.scales, dim=1)
            for size, weight in zip(sizes, weights, strict=True):
                change = (self.responses(size) * spread(weight, size)[:, None]).sum(dim=2)
                image = image + resize_to(change, image.shape[-2:], "bilinear")
        return image, description

    def sizes(self, image: Tensor) -> list[Tensor]:
        """Return an image (B, C, H, W) and its halves."""
        found = [image]
        for _ in range(self.scales - 1):
            found.append(F.avg_pool2d(found[-1], 2))
        return found

    def responses(self, image: Tensor) -> Tensor:
        """Map (B, C, H, W) to the responses (B, C, K, H, W) of the K line filters to each channel."""
        flat = _filtered(image.flatten(0, 1)[:, None], self.bank, 1)
        return flat.unflatten(0, image.shape[:2])  # type: ignore[no-untyped-call]

    def energies(self, sizes: Sequence[Tensor]) -> Tensor:
        """Return the logarithmic energies of images of all sizes, (B, 4 L S (A + 1), 1, 1).

        For each of S sizes, each kind (mean absolute and root mean square of the first and of the second response) and
        each of L lengths: the mean over the A directions, and what each direction is above it.
        """
        found = []
        for pool, size in zip(self.pools, sizes, strict=True):
            first = _filtered(size.mean(dim=1, keepdim=True), self.bank, 1)
            second = _filtered(first, self.bank, len(self.bank))
            pooled = pool(torch.cat([first.abs(), second.abs(), first.square(), second.square()], dim=1))
            mean, square = pooled.chunk(2, dim=1)
            logarithms = torch.cat([(mean + DARK).log(), 0.5 * (square + DARK**2).log()], dim=1)
            found.append(spread(logarithms, sizes[-1]).unflatten(1, (-1, self.angles)))  # type: ignore[no-untyped-call]
        energies = torch.cat(found, dim=1)
        level = energies.mean(dim=2, keepdim=True)
        return torch.cat([level + TYPICAL, 4 * (energies - level)], dim=2).flatten(1, 2)


def line_bank(lengths: Sequence[float], angles: int) -> Tensor:
    """Return (L A, 1, S, S): a point minus a line through it, length by length and in each direction; sums are 0."""
    radius = math.ceil((max(lengths) - 1) / 2)
    lines = []
    for length in lengths:
        steps = torch.linspace(-0.5, 0.5, 8 * math.ceil(length) + 1, dtype=torch.float64) * (length - 1)
        for angle in range(angles):
            direction = math.pi * angle / angles
            across, down = (
                _hats(steps * part, radius) for part in (round(math.cos(direction), 12), round(math.sin(direction), 12))
            )
            lines.append(-torch.einsum("ny,nx->yx", down, across) / len(steps))
            lines[-1][radius, radius] += 1
    return torch.stack(lines)[:, None].float()


def _hats(places: Tensor, radius: int) -> Tensor:
    """Return the bilinear weights (N, 2 radius + 1) of N places along one axis."""
    return (1 - (places[:, None] - torch.arange(-radius, radius + 1)).abs()).clamp(min=0)


def _filtered(image: Tensor, bank: Tensor, groups: int) -> Tensor:
    padding = [bank.shape[-1] // 2] * 4
    return F.conv2d(F.pad(image, padding, mode="replicate"), bank.to(image.dtype), groups=groups)


def spread(features: Tensor, image: Tensor) -> Tensor:
    """Bring features to the size of an image, unless they are one position that stands for all."""
    return features if features.shape[-2:] == (1, 1) else resize_to(features, image.shape[-2:], "bilinear")
