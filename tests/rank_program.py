"""Validate and train, in one process or as one of several: `python rank_program.py FILE OVERRIDES...`."""

import json
import sys
from pathlib import Path
from typing import Any

import lightning
from lightning import Callback, LightningModule, Trainer

from deblur_lit.config import build, compose
from deblur_lit.devices import check_devices, lightning_node
from deblur_lit.train import _quiet


class Losses(Callback):
    """Keep the loss of each batch as it is logged."""

    def __init__(self) -> None:
        self.found: list[float] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.found.append(float(trainer.callback_metrics["train/loss"]))


def run(overrides: list[str]) -> dict[str, Any]:
    """Return the scores before training, and the loss of each batch of the training."""
    _quiet()
    cfg = compose("train", overrides)
    lightning.seed_everything(cfg.seed, verbose=False)
    module, data = build(cfg.module), build(cfg.data.module)
    losses = Losses()
    node = lightning_node(cfg.trainer, check_devices(cfg.trainer, cfg.data.batch_size))
    trainer = build(node, {"callbacks": [losses], "logger": False, "enable_progress_bar": False})
    [scores] = trainer.validate(module, datamodule=data, verbose=False)
    trainer.fit(module, datamodule=data)
    return {"scores": scores, "losses": losses.found, "world_size": trainer.world_size, "rank": trainer.global_rank}


if __name__ == "__main__":
    found = run(sys.argv[2:])
    if found["rank"] == 0:
        Path(sys.argv[1]).write_text(json.dumps(found))
