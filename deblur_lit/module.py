"""The LightningModule: one network, its losses, its optimiser and its validation scores."""

from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from deblur_lit.metrics.mean import MeanOverImages
from deblur_lit.metrics.psnr import psnr_uint8
from deblur_lit.metrics.ssim import ssim_matlab_volume
from deblur_lit.networks.blocks import DeblurNetwork
from deblur_lit.networks.checkpoint import load_weights
from deblur_lit.tensors import Batch


class NonFiniteLossError(RuntimeError):
    """A loss became NaN or infinite; the message names the step and the images."""


class DeblurModule(LightningModule):
    """Train and validate a deblurring network.

    Logs `train/<term>` per loss term (weighted) and `train/loss` per step, `val/psnr` (dB) and `val/ssim` per
    validation: means over full frames of per-image scores on images rounded to 8 bit.

    Args:
        network: maps blur (B, 3, H, W) in [0, 1] to a `Pyramid`.
        loss: maps (Pyramid, sharp) to weighted scalars by name.
        optimizer: takes the parameters.
        scheduler: takes the optimiser and the number of steps of the run; None keeps the learning rate.
        channels_last: memory layout of weights and images; 1.4 to 3 times faster on a CPU.
        compile: mode of torch.compile for training, "default" or "reduce-overhead", say; None trains without.
        start: checkpoint whose weights training begins with; None begins with random ones.

    Raises:
        FileNotFoundError: if `start` is not there.
        ValueError: if it holds the weights of another network, or for a mode that torch.compile does not know.
    """

    def __init__(
        self,
        network: DeblurNetwork,
        loss: nn.Module,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        scheduler: Callable[[Optimizer, int], LRScheduler] | None = None,
        channels_last: bool = True,
        compile: str | None = None,
        start: str | Path | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        if start is not None:
            load_weights(network, Path(start))
        self.loss = loss
        self.make_optimizer = optimizer
        self.make_scheduler = scheduler
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.network.to(memory_format=self.memory_format)  # type: ignore[call-overload]
        # Of training alone: whole frames come in many sizes, each of which would be compiled anew.
        try:
            self.restore = torch.compile(network.__call__, mode=compile) if compile else network.__call__
        except RuntimeError as error:
            raise ValueError(f"module.compile={compile}: {error}") from None
        self.psnr = MeanOverImages(psnr_uint8)
        self.ssim = MeanOverImages(ssim_matlab_volume)

    def forward(self, blur: Tensor) -> Tensor:
        """Restore (B, 3, H, W) in [0, 1] to the same shape, not clamped."""
        return self.network(blur).full

    def _images(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return blur and sharp as float [0, 1] in our layout: as uint8 a quarter of the bytes travelled."""
        blur, sharp = (
            image.to(torch.float32).div_(255).contiguous(memory_format=self.memory_format)
            for image in (batch["blur"], batch["sharp"])
        )
        return blur, sharp

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the sum of the loss terms of one batch.

        Raises:
            NonFiniteLossError: if it is NaN or infinite; nothing is written, the last checkpoint stays good.
        """
        blur, sharp = self._images(batch)
        terms: dict[str, Tensor] = self.loss(self.restore(blur), sharp)
        total = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(total):
            values = ", ".join(f"{name} = {term.item():.4g}" for name, term in terms.items())
            raise NonFiniteLossError(
                f"step {self.global_step}: the loss is not finite ({values}) for {', '.join(batch['name'])}. "
                "The last checkpoint is from before; try a lower optimizer.lr, trainer.gradient_clip_val=1.0 "
                "or trainer.precision=32-true."
            )
        # The mean over devices: the curve of one device's share would change with their number.
        self.log_dict({f"train/{name}": term.detach() for name, term in terms.items()}, sync_dist=True)
        self.log("train/loss", total.detach(), prog_bar=True, sync_dist=True)
        return total

    def validation_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Score full frames; returns the restored images for whoever wants to look at them."""
        blur, sharp = self._images(batch)
        restored: Tensor = self(blur)
        self.psnr.update(restored, sharp)
        self.ssim.update(restored, sharp)
        self.log("val/psnr", self.psnr, on_epoch=True, prog_bar=True)
        self.log("val/ssim", self.ssim, on_epoch=True)
        return restored

    def configure_optimizers(self) -> Optimizer | OptimizerLRSchedulerConfig:
        """Return the optimiser and, stepped once per step, its schedule."""
        optimizer = self.make_optimizer(self.network.parameters())
        if self.make_scheduler is None:
            return optimizer
        scheduler = self.make_scheduler(optimizer, int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
