"""last.ckpt: written often enough that an interruption costs little, and exact enough that it changes nothing."""

import random
import signal
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from deblur_lit import runs

PREEMPTION = (signal.SIGUSR1, signal.SIGUSR2)


class LastCheckpoint(Checkpoint):  # Lightning calls this kind last, when all others have their state
    """Keep `last.ckpt` and stop cleanly on Ctrl-C, SIGTERM, and what SLURM sends before it takes a machine away.

    The checkpoint also holds the state of the random number generators, so that a resumed run continues as the
    uninterrupted one. On a signal to any process of the run all of them finish the running step, write the
    checkpoint, and leave training with KeyboardInterrupt.

    Args:
        folder: where last.ckpt goes.
        every_n_steps: optimiser steps between two checkpoints inside an epoch; one is written after each epoch.
    """

    def __init__(self, folder: str, every_n_steps: int = 500) -> None:
        self.path = Path(folder) / runs.CHECKPOINT
        self.every_n_steps = every_n_steps
        self._signal: int | None = None
        self._before: dict[int, Any] = {}
        self._rng: dict[str, Any] = {}
        self._saved_step = -1

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take over the signals, so that a step is never cut in two."""
        for number in (signal.SIGINT, signal.SIGTERM, *PREEMPTION):
            try:
                self._before[number] = signal.signal(number, self._on_signal)
            except ValueError:  # not the main thread: the caller handles signals
                return

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._signal is not None:
            if number in PREEMPTION:  # which comes from the queue and from whoever started us
                return
            raise KeyboardInterrupt  # asked twice: do not wait for the step
        self._signal = number
        print(f"\n{signal.Signals(number).name}: finishing this step, then writing {self.path}", flush=True)

    @property
    def preempted(self) -> bool:
        """Whether training was left because the queue wants the machine back."""
        return self._signal in PREEMPTION

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Continue the random numbers where the checkpoint left them."""
        if self._rng:
            set_rng_state(self._rng)
            self._rng = {}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save every n steps, and before leaving on a signal."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return  # between two batches of one step: a checkpoint would lack the gradient of the first
        if trainer.is_last_batch:
            return  # a run that continued from here would leave out the validation of this epoch
        step = trainer.global_step
        due = step != self._saved_step and step % self.every_n_steps == 0
        stopped = self._stopped(trainer)
        if due or stopped:
            self._save(trainer)
        if stopped:
            # Lightning logs a step behind this hook; the checkpoint lies behind the step, which nobody would log again
            trainer._logger_connector.update_train_step_metrics()
            raise KeyboardInterrupt

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save after the epoch and its validation, and leave on a signal."""
        self._save(trainer)
        if self._stopped(trainer):
            raise KeyboardInterrupt

    def _stopped(self, trainer: Trainer) -> bool:
        stopped = self._signal is not None
        if trainer.world_size > 1:  # at the same step, or one would wait in its checkpoint for the others
            stopped = trainer.strategy.reduce_boolean_decision(stopped, all=False)
        return stopped

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _save(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(self.path, weights_only=False)  # False: with the state of the optimiser
        self._saved_step = trainer.global_step

    def state_dict(self) -> dict[str, Any]:
        """Return the random states; plain tensors and numbers, so that `weights_only=True` reads them."""
        return {"rng": get_rng_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remember the random states until training starts."""
        self._rng = state_dict["rng"]


def get_rng_state() -> dict[str, Any]:
    """Return the states of the global generators of Python, numpy, torch and every CUDA device."""
    kind, keys, *rest = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_rng_state(state: dict[str, Any]) -> None:
    """Set what `get_rng_state` returned."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
