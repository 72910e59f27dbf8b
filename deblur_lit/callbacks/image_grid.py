"""Pictures of what the network does: blur | restored | sharp, with a zoomed detail below each."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from lightning import Callback, LightningModule, Trainer
from PIL import Image, ImageDraw
from torch import Tensor

from deblur_lit.tensors import Batch

ZOOM = 3  # enlargement of the detail; it shows 1/9 of the frame
GAP = 4  # pixels between pictures
Picture = npt.NDArray[np.uint8]


def to_picture(image: Tensor) -> Picture:
    """Round one image (3, H, W) in [0, 1] to uint8 (H, W, 3); values outside are clamped."""
    rounded = image.detach().float().clamp(0, 1).mul(255).round().to(torch.uint8)
    return rounded.permute(1, 2, 0).contiguous().cpu().numpy()


def comparison(blur: Picture, restored: Picture, sharp: Picture) -> Picture:
    """Put three pictures side by side, each above its enlarged detail.

    The detail is the ninth of the frame with the most contrast in `sharp`, so that it is the same for every
    network and step.

    Args:
        blur: uint8 (H, W, 3); `restored` and `sharp` likewise, of the same size.

    Returns:
        uint8 (2 H + gap, 3 W + 2 gaps, 3).
    """
    height, width = sharp.shape[:2]
    rows, columns = height // ZOOM, width // ZOOM
    contrast = {
        (top, left): float(sharp[top : top + rows, left : left + columns].std())
        for top in range(0, height - rows + 1, max(1, rows // 2))
        for left in range(0, width - columns + 1, max(1, columns // 2))
    }
    top, left = max(contrast, key=lambda corner: contrast[corner])
    sheet = Image.new("RGB", (3 * width + 2 * GAP, 2 * height + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for place, (label, picture) in enumerate((("blur", blur), ("restored", restored), ("sharp", sharp))):
        x = place * (width + GAP)
        frame = Image.fromarray(picture)
        detail = frame.crop((left, top, left + columns, top + rows)).resize((width, height), Image.Resampling.NEAREST)
        sheet.paste(frame, (x, 0))
        sheet.paste(detail, (x, height + GAP))
        draw.rectangle((x + left, top, x + left + columns - 1, top + rows - 1), outline="yellow")
        draw.text((x + 4, 2), label, fill="white", stroke_width=2, stroke_fill="black")
    return np.asarray(sheet)


class ImageGrid(Callback):
    """At each validation, show the first images to every logger that takes pictures, and keep the latest.

    Args:
        folder: `validation.png` goes here.
        count: how many validation images.
    """

    def __init__(self, folder: str, count: int = 2) -> None:
        self.path = Path(folder) / "validation.png"
        self.count = count
        self._pictures: list[Picture] = []

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Collect the first images; `outputs` is what `validation_step` restored."""
        for blur, restored, sharp in zip(batch["blur"], outputs, batch["sharp"], strict=True):
            if len(self._pictures) < self.count:
                self._pictures.append(comparison(to_picture(blur), to_picture(restored), to_picture(sharp)))

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write and log them."""
        pictures, self._pictures = self._pictures, []
        if trainer.sanity_checking or not trainer.is_global_zero or not pictures:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        width = max(picture.shape[1] for picture in pictures)
        padded = [np.pad(p, ((0, GAP), (0, width - p.shape[1]), (0, 0)), constant_values=255) for p in pictures]
        Image.fromarray(np.concatenate(padded)).save(self.path)
        for logger in trainer.loggers:
            if hasattr(logger, "log_image"):  # wandb
                logger.log_image("val/images", pictures, step=trainer.global_step)
            elif hasattr(logger.experiment, "add_image"):  # TensorBoard
                for index, picture in enumerate(pictures):
                    logger.experiment.add_image(f"val/image_{index}", picture, trainer.global_step, dataformats="HWC")
