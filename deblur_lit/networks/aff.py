"""AFF, the asymmetric feature fusion of MIMO-UNet: fills the skip-fusion slot of the U-Net."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deblur_lit.networks.blocks import resize_to


class AFF(nn.Module):
    """Asymmetric feature fusion: each skip sees the encoder features of all scales.

    Per skip the features are resized (nearest) to its scale and concatenated finest first, then go through
    a 1x1 convolution with ReLU and a 3x3 convolution.

    Args:
        widths: channels of the encoder features, finest first.
        dropout: share of the channels of each fused skip that training drops.

    Source: Cho et al., ICCV 2021, arXiv:2108.05054, section 3.3; the dropout is its larger variant's.
    """

    def __init__(self, widths: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        self.mix = nn.ModuleList(nn.Conv2d(sum(widths), width, 1) for width in widths[:-1])
        self.refine = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for width in widths[:-1])
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Fuse encoder features (B, widths[k], H_k, W_k), finest first, into one skip per scale but the last."""
        skips = []
        for target, mix, refine in zip(features[:-1], self.mix, self.refine, strict=True):
            resized = [resize_to(image, target.shape[-2:], "nearest") for image in features]
            skips.append(self.dropout(refine(F.relu(mix(torch.cat(resized, dim=1))))))
        return skips
