"""Checkpoints that are whole or not there at all."""

import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.types import _PATH
from lightning.pytorch.plugins.io import TorchCheckpointIO


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write a checkpoint beside its place and rename it: a full disk or a kill leaves the one before intact."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: _PATH, storage_options: Any = None) -> None:
        """Save `checkpoint` to `path`.

        Raises:
            OSError: if the disk is full or not writable; the message says what is still there.
        """
        path = Path(path)
        part = path.with_name(f".{path.name}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except (OSError, RuntimeError) as error:  # torch's zip writer reports a full disk as RuntimeError
            part.unlink(missing_ok=True)
            kept = f"{path} of before is still there" if path.exists() else "there was none before"
            raise OSError(
                f"{path}: the checkpoint could not be written ({error}); {kept}. "
                "Free some space or choose another study=, then run the same command again."
            ) from error
