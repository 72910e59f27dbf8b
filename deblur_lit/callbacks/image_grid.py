"""Pictures of what the network does, at each validation."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from deblur_lit.pictures import GAP, Picture, comparison, panels, to_picture
from deblur_lit.tensors import Batch

PANELS = "panels"  # text in validation.png: {step, images: [{name, panels}]} as JSON, for whoever cuts it


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
        self._sizes: list[tuple[str, int, int]] = []  # name, height and width of the images in them

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
        for name, blur, restored, sharp in zip(batch["name"], batch["blur"], outputs, batch["sharp"], strict=True):
            if len(self._pictures) < self.count:
                self._pictures.append(comparison(to_picture(blur), to_picture(restored), to_picture(sharp)))
                self._sizes.append((name, sharp.shape[-2], sharp.shape[-1]))

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write and log them."""
        pictures, self._pictures = self._pictures, []
        sizes, self._sizes = self._sizes, []
        if trainer.sanity_checking or not trainer.is_global_zero or not pictures:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        width = max(picture.shape[1] for picture in pictures)
        padded = [np.pad(p, ((0, GAP), (0, width - p.shape[1]), (0, 0)), constant_values=255) for p in pictures]
        about = PngInfo()
        about.add_text(PANELS, json.dumps({"step": trainer.global_step, "images": _layout(sizes, padded)}))
        beside = self.path.with_name(f".{self.path.name}.part")  # a report may read it at any moment
        Image.fromarray(np.concatenate(padded)).save(beside, "PNG", pnginfo=about)
        beside.replace(self.path)
        step = max(0, trainer.global_step - 1)  # Lightning's number of this validation's scores
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_image("val/images", pictures, step=step)
            elif isinstance(logger, TensorBoardLogger):
                for index, picture in enumerate(pictures):
                    logger.experiment.add_image(f"val/image_{index}", picture, step, dataformats="HWC")


def _layout(sizes: list[tuple[str, int, int]], sheets: list[Picture]) -> list[dict[str, Any]]:
    """Say of each image how it is called and where its pictures lie on the whole sheet."""
    tops = np.cumsum([0, *(sheet.shape[0] for sheet in sheets)]).tolist()
    return [
        {"name": name, "panels": panels(height, width, top)}
        for (name, height, width), top in zip(sizes, tops, strict=False)
    ]
