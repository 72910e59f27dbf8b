"""What a run logs beside losses and scores, under the same names for every network: rate, speed, memory."""

from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from deblur_lit.callbacks.progress import Speed, images_in


class Curves(Callback):
    """Log `lr`, `images/s` over all devices, and with CUDA `gpu_memory`, the most GiB that tensors took so far."""

    def __init__(self) -> None:
        self._speed = Speed()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Log the learning rate that this step uses; behind it the schedule has moved on."""
        pl_module.log("lr", trainer.optimizers[0].param_groups[0]["lr"], rank_zero_only=True)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log speed and memory; the first batch has no speed yet."""
        self._speed.step(images_in(trainer, batch))
        if self._speed.images_per_second:
            pl_module.log("images/s", self._speed.images_per_second, rank_zero_only=True)
        device = trainer.strategy.root_device
        if device.type == "cuda":
            memory = torch.cuda.max_memory_allocated(device) / 2**30
            pl_module.log("gpu_memory", memory, rank_zero_only=True)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validation is no training speed."""
        self._speed.pause()
