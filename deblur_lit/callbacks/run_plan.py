"""What a run will take: steps, crops, and after a few steps its hours."""

import time
from typing import Any

from lightning import Callback, LightningModule, Trainer

MEASURED_BATCHES = 10


class RunPlan(Callback):
    """Print the plan of a run on its first rank: steps and crops at the start, hours once they can be told."""

    def __init__(self) -> None:
        self._first: int | None = None  # batches that were seen when the clock started
        self._start = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say how many steps of how many crops there are."""
        self._first = None
        if not trainer.is_global_zero:
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        steps, parts = int(trainer.estimated_stepping_batches), trainer.accumulate_grad_batches
        each = data.batch_size // (trainer.world_size * parts)
        devices = f"{trainer.world_size} device{'s' if trainer.world_size > 1 else ''}"
        added = f", {parts} batches added up" if parts > 1 else ""
        behind = f", {trainer.global_step} steps behind it" if trainer.global_step else ""
        print(
            f"plan: {steps} steps of {data.batch_size} crops ({each} on each of {devices}{added}), "
            f"{data.crops(steps)} crops seen in all{behind}",
            flush=True,
        )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Time some batches behind the first, which warms up."""
        done = trainer.fit_loop.epoch_loop.total_batch_idx + 1
        if self._first is None:
            self._first, self._start = done, time.perf_counter()
        elif done - self._first == MEASURED_BATCHES and trainer.is_global_zero:
            seconds = (time.perf_counter() - self._start) / MEASURED_BATCHES * trainer.accumulate_grad_batches
            left = int(trainer.estimated_stepping_batches) - trainer.global_step
            print(
                f"plan: about {left * seconds / 3600:.2g} h for the {left} steps to come, without validation",
                flush=True,
            )
