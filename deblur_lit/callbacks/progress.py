"""Progress of a run: a rich bar in a terminal, plain lines where the output goes into a file or a pipe."""

import sys
import time
from datetime import timedelta
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar, RichProgressBar

SMOOTHING = 0.9  # weight of the past in the speed shown


def progress_bar(interval: float = 5.0) -> ProgressBar:
    """Return the progress display that fits where stdout goes.

    Args:
        interval: seconds between two plain lines.
    """
    return RichProgress() if sys.stdout.isatty() else LineProgress(interval)


class Speed:
    """Images per second over all devices, and the time that the rest of the run takes at that speed."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._seconds_per_batch = 0.0
        self.images_per_second = 0.0

    def step(self, images: int) -> None:
        """Count one batch of `images` images."""
        now = time.perf_counter()
        if self._last is not None:
            seconds = now - self._last
            past = SMOOTHING if self._seconds_per_batch else 0.0
            self._seconds_per_batch = past * self._seconds_per_batch + (1 - past) * seconds
            self.images_per_second = images / self._seconds_per_batch
        self._last = now

    def pause(self) -> None:
        """Do not count what happens until the next step, such as a validation."""
        self._last = None

    def left(self, trainer: Trainer) -> str:
        """Return the estimated rest of the training as h:mm:ss."""
        steps = max(0, int(trainer.estimated_stepping_batches) - trainer.global_step)
        return str(timedelta(seconds=round(steps * trainer.accumulate_grad_batches * self._seconds_per_batch)))


def images_in(trainer: Trainer, batch: Any) -> int:
    """Return how many images all devices together see in one batch."""
    return len(batch["name"]) * trainer.world_size


class RichProgress(RichProgressBar):
    """Lightning's rich bar with images per second and the time left of the whole run."""

    def __init__(self) -> None:
        super().__init__(leave=False)
        self._speed = Speed()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure the speed, then update the bar."""
        self._speed.step(images_in(trainer, batch))
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validation is no training speed."""
        self._speed.pause()
        super().on_validation_start(trainer, pl_module)

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """Return what stands beside the bar."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return {
            **metrics,
            "images/s": f"{self._speed.images_per_second:.1f}",
            "left": self._speed.left(trainer),
        }


class LineProgress(ProgressBar):
    """One line every few seconds: step, loss, validation PSNR, images/s, time left."""

    def __init__(self, interval: float) -> None:
        super().__init__()
        self._interval = interval
        self._printed = 0.0
        self._speed = Speed()
        self._enabled = True

    def disable(self) -> None:
        """Stay silent; Lightning calls it on every rank but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Speak again."""
        self._enabled = True

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Print a line when the last one is old enough."""
        self._speed.step(images_in(trainer, batch))
        if time.monotonic() - self._printed >= self._interval:
            self._print(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validation is no training speed."""
        self._speed.pause()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the last line."""
        self._print(trainer)

    def _print(self, trainer: Trainer) -> None:
        if not self._enabled:
            return
        self._printed = time.monotonic()
        shown = {"train/loss": "loss {:.4f}", "val/psnr": "val psnr {:.2f} dB"}
        metrics = trainer.callback_metrics
        parts = [
            f"step {trainer.global_step}/{int(trainer.estimated_stepping_batches)}",
            *(text.format(float(metrics[key])) for key, text in shown.items() if key in metrics),
            f"{self._speed.images_per_second:.1f} images/s",
            f"{self._speed.left(trainer)} left",
        ]
        print(" | ".join(parts), flush=True)
