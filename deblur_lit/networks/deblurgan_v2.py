"""DeblurGAN-v2: the feature pyramid generator on either of its two published backbones."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deblur_lit.networks.blocks import (
    PADDING_MODES,
    Backbone,
    DeblurNetwork,
    ImageNorm,
    Renaming,
    rename,
    resize_to,
)
from deblur_lit.networks.inception_resnet_v2 import InceptionResNetV2
from deblur_lit.networks.mobilenet_v2 import MobileNetV2
from deblur_lit.tensors import Pyramid

PUBLISHED_PADDING = "published"  # what the published script does


class DeblurGANv2(DeblurNetwork):
    """Generator of DeblurGAN-v2: backbone, feature pyramid, heads merged at 1/4, a correction of the image.

    The correction is added to the image after tanh, so that each pixel moves by at most half the range.

    Args:
        backbone: gives five maps of 1/2 to 1/32 of an image in [-1, 1] and names their `channels`. Maps that lack
            pixels of that size are mirrored at their borders.
        channels: of the pyramid; its heads have half as many, the last features a quarter.
        statistics: "image", as the published code is tested: each image's own; "running": the recorded ones.
        padding_mode: see `DeblurNetwork`, where "constant" is mid-grey; "published" is mid-grey to the multiple of
            32 that lies above the side, also where 32 divides it.

    Source: Kupyn et al., ICCV 2019, arXiv:1908.03826.
    """

    multiple = 32
    minimum = 64  # at 32 the coarsest map is one pixel, which has no variance
    padding_value = 0.5  # zero in the range of the generator

    def __init__(
        self,
        backbone: Backbone,
        channels: int,
        statistics: str = "image",
        padding_mode: str = "reflect",
    ) -> None:
        if padding_mode not in (*PADDING_MODES, PUBLISHED_PADDING):
            modes = ", ".join((*PADDING_MODES, PUBLISHED_PADDING))
            raise ValueError(f"padding_mode must be one of {modes}, got {padding_mode!r}")
        super().__init__("constant" if padding_mode == PUBLISHED_PADDING else padding_mode)
        self.always_pads = padding_mode == PUBLISHED_PADDING
        head, last = max(1, channels // 2), max(1, channels // 4)
        outs = [head, *[channels] * 4]
        self.backbone = backbone
        self.lateral = nn.ModuleList(
            nn.Conv2d(width, out, 1, bias=False) for width, out in zip(backbone.channels, outs, strict=True)
        )
        self.top_down = nn.ModuleList(_conv(channels, channels, statistics) for _ in range(3))
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, head, 3, padding=1, bias=False),
                nn.ReLU(),
                nn.Conv2d(head, head, 3, padding=1, bias=False),
                nn.ReLU(),
            )
            for _ in range(4)
        )
        self.merge = _conv(4 * head, head, statistics)
        self.refine = _conv(head, last, statistics)
        self.leave = nn.Conv2d(last, 3, 3, padding=1)

    def padded_side(self, side: int) -> int:
        """Return how long a side of `side` pixels is inside `restore`."""
        return super().padded_side(side + 1 if self.always_pads else side)

    def restore(self, blur: Tensor) -> Pyramid:
        """Restore (B, 3, H, W) whose sides are multiples of 32; see `forward`."""
        return Pyramid(blur + torch.tanh(self.correction(blur)) / 2)

    def correction(self, blur: Tensor) -> Tensor:
        """Return the correction of `blur` before tanh, of the same shape and in units of half the range."""
        finest, *pyramid = self._pyramid(blur)
        size = pyramid[0].shape[-2:]
        heads = [resize_to(head(level), size, "nearest") for head, level in zip(self.heads, pyramid, strict=True)]
        features = self.merge(torch.cat(heads[::-1], dim=1))
        features = self.refine(_double(features) + finest)
        return self.leave(_double(features))

    def _pyramid(self, blur: Tensor) -> list[Tensor]:
        """Return the features at 1/2, which no coarser ones were added to, and the pyramid from 1/4 to 1/32."""
        height, width = blur.shape[-2:]
        levels = [
            _fill(lateral(features), (height // 2**level, width // 2**level))
            for level, (lateral, features) in enumerate(
                zip(self.lateral, self.backbone(2 * blur - 1), strict=True), start=1
            )
        ]
        for level in (3, 2, 1):
            levels[level] = self.top_down[level - 1](levels[level] + _double(levels[level + 1]))
        return levels

    def from_published(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the weights that the authors publish under our names.

        Their files name the backbone twice; the list by stages is read, which leaves out the layers that the
        generator never runs.
        """
        used = {key: value for key, value in weights.items() if not key.startswith(WHOLE_BACKBONES)}
        return {rename(key, PUBLISHED): value for key, value in used.items() if not key.endswith("num_batches_tracked")}


class DeblurGANv2Inception(DeblurGANv2):
    """DeblurGAN-v2 on Inception-ResNet-v2, its best variant.

    Train it on crops of at least 128 pixels: smaller ones are padded, and what it does in the padding stays unlearnt.

    Args:
        width: what all channels, of the backbone and of the pyramid, are multiplied by.
        blocks: inception blocks at 1/8 and at 1/16 of the image.
        statistics: see `DeblurGANv2`.
        padding_mode: see `DeblurGANv2`.

    Source: Kupyn et al., ICCV 2019, arXiv:1908.03826.
    """

    minimum = 128  # at 96 the coarsest map of its unpadded convolutions is one pixel

    def __init__(
        self,
        width: float = 1.0,
        blocks: Sequence[int] = (10, 20),
        statistics: str = "image",
        padding_mode: str = "reflect",
    ) -> None:
        backbone = InceptionResNetV2(width, blocks, statistics)
        super().__init__(backbone, max(1, round(256 * width)), statistics, padding_mode)


class DeblurGANv2MobileNet(DeblurGANv2):
    """DeblurGAN-v2 on MobileNetV2, its fast variant.

    Args:
        width: what all channels, of the backbone and of the pyramid, are multiplied by.
        blocks: see `MobileNetV2`.
        statistics: see `DeblurGANv2`.
        padding_mode: see `DeblurGANv2`.

    Source: Kupyn et al., ICCV 2019, arXiv:1908.03826.
    """

    def __init__(
        self,
        width: float = 1.0,
        blocks: Sequence[int] = (1, 2, 3, 4, 3, 2),
        statistics: str = "image",
        padding_mode: str = "reflect",
    ) -> None:
        backbone = MobileNetV2(width, blocks, statistics)
        super().__init__(backbone, max(1, round(128 * width)), statistics, padding_mode)


def _conv(into: int, out: int, statistics: str) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(into, out, 3, padding=1), ImageNorm(out, statistics), nn.ReLU())


def _double(features: Tensor) -> Tensor:
    return F.interpolate(features, scale_factor=2, mode="nearest")


def _fill(features: Tensor, size: tuple[int, int]) -> Tensor:
    """Mirror features at their borders up to `size`: half of what is missing before, the rest behind."""
    rows, columns = size[0] - features.shape[-2], size[1] - features.shape[-1]
    if not (rows or columns):
        return features
    return F.pad(features, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2), mode="reflect")


WHOLE_BACKBONES = ("fpn.inception.", "fpn.features.")  # the backbones with all their layers, used or not

PARTS = {"conv": 0, "bn": 1}

# Parameter names of the published checkpoints. They count the pyramid's convolutions from the coarsest level.
PUBLISHED: Renaming = [
    (r"fpn\.enc0\.(conv|bn)", lambda part: f"backbone.stages.0.{PARTS[part]}"),
    (
        r"fpn\.enc([12])\.(\d)\.(conv|bn)",
        lambda stage, index, part: f"backbone.stages.{stage}.{index}.{PARTS[part]}",
    ),
    (
        r"fpn\.enc([34])\.([\d.]+)\.branch(\d)\.(?:(\d)\.)?(conv|bn)",
        lambda stage, place, branch, index, part: (
            f"backbone.stages.{stage}.{place}.branches.{branch}.{index or 0}.{PARTS[part]}"
        ),
    ),
    (r"fpn\.enc([34])\.([\d.]+)\.conv2d", lambda stage, place: f"backbone.stages.{stage}.{place}.project"),
    (r"fpn\.enc0\.0\.([01])", lambda index: f"backbone.stages.0.0.{index}"),
    (
        r"fpn\.enc([0-4])\.(\d+)\.conv\.(\d)",
        lambda stage, block, index: f"backbone.stages.{stage}.{block}.layers.{index}",
    ),
    (r"fpn\.lateral([0-4])", lambda level: f"lateral.{level}"),
    (r"fpn\.td([1-3])\.([01])", lambda number, index: f"top_down.{3 - int(number)}.{index}"),
    (r"head([1-4])\.block([01])", lambda level, index: f"heads.{int(level) - 1}.{2 * int(index)}"),
    (r"smooth\.([01])", lambda index: f"merge.{index}"),
    (r"smooth2\.([01])", lambda index: f"refine.{index}"),
    (r"final", lambda: "leave"),
]
