"""DFFM, the dynamic feature fusion module: fills the skip-fusion slot of the U-Net."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from deblur_lit.networks.blocks import GlobalPool, resize_to


class DFFM(nn.Module):
    r"""Dynamic feature fusion of the encoder features, one gate per skip connection.

    For the skip at scale k each encoder feature :math:`E_i` is brought to the channels and the size of
    that scale, and the three are weighted by a softmax across branches, for every channel on its own:

    .. math::
        x_i &= \mathrm{conv}(\mathrm{resize}_k(E_i)), \quad x = x_1 + x_2 + x_3 \\
        (a_1, a_2, a_3) &= \mathrm{softmax}_i(\mathrm{conv}_{1 \times 1}(
            \mathrm{ReLU}(\mathrm{conv}_{1 \times 1}(\mathrm{GAP}(x))))) \\
        s_k &= \mathrm{conv}_{1 \times 1}([a_1 x_1, a_2 x_2, a_3 x_3])

    The paper leaves the fusion before pooling, the resize and the kernel of the first convolution open;
    the defaults (sum as in selective-kernel networks, bilinear, 1x1) are ours.

    Args:
        widths: channels of the encoder features, finest first.
        scales: which skips are fused, 1 is the full resolution; the others stay plain.
        reduction: channel ratio inside the gate, which keeps at least 8 hidden channels.
        resize_mode: "bilinear" (align_corners=False) or "nearest".
        align_kernel: 1 or 3, the kernel of the convolution that adjusts channels.

    Raises:
        ValueError: for a scale without a skip, an unknown resize mode or kernel.

    Source: Wan et al., Infrared 44(4), 2023, figure 3 and section 1.3.
    """

    def __init__(
        self,
        widths: Sequence[int],
        scales: Sequence[int] = (1, 2),
        reduction: int = 4,
        resize_mode: str = "bilinear",
        align_kernel: int = 1,
    ) -> None:
        super().__init__()
        if not scales or not set(scales) <= set(range(1, len(widths))):
            raise ValueError(f"scales must be among {list(range(1, len(widths)))}, got {list(scales)}")
        self.gates = nn.ModuleDict(
            {
                str(scale): _Gate(widths, widths[scale - 1], reduction, resize_mode, align_kernel)
                for scale in sorted(set(scales))
            }
        )

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Fuse encoder features, finest first, into one skip per scale but the coarsest.

        Args:
            features: (B, widths[k], H_k, W_k) per scale.

        Returns:
            Skips of the shapes of `features[:-1]`.
        """
        skips = list(features[:-1])
        for scale, gate in self.gates.items():
            skips[int(scale) - 1] = gate(features, features[int(scale) - 1].shape[-2:])
        return skips


class _Gate(nn.Module):
    """The fusion at one scale."""

    def __init__(
        self, widths: Sequence[int], channels: int, reduction: int, resize_mode: str, align_kernel: int
    ) -> None:
        super().__init__()
        if resize_mode not in ("bilinear", "nearest"):
            raise ValueError(f"resize_mode must be 'bilinear' or 'nearest', got {resize_mode!r}")
        if align_kernel not in (1, 3):
            raise ValueError(f"align_kernel must be 1 or 3, got {align_kernel}")
        hidden = max(8, channels // reduction)
        self.resize_mode = resize_mode
        self.align = nn.ModuleList(
            nn.Conv2d(width, channels, align_kernel, padding=align_kernel // 2) for width in widths
        )
        self.pool = GlobalPool()
        self.weigh = nn.Sequential(
            nn.Conv2d(channels, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, len(widths) * channels, 1)
        )
        self.close = nn.Conv2d(len(widths) * channels, channels, 1)

    def forward(self, features: Sequence[Tensor], size: torch.Size) -> Tensor:
        aligned = torch.stack(
            [conv(resize_to(image, size, self.resize_mode)) for conv, image in zip(self.align, features, strict=True)],
            dim=1,
        )
        logits = self.weigh(self.pool(aligned.sum(dim=1)))
        weights = logits.unflatten(1, (len(self.align), -1)).softmax(dim=1)
        return self.close((weights * aligned).flatten(1, 2))
