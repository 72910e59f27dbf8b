"""What a run asks of this machine, and whether it is there: refused here, before processes start and wait."""

import copy
import os
from typing import Any

from omegaconf import DictConfig, ListConfig, open_dict

from deblur_lit.runs import cores

GPU = ("gpu", "cuda")
OURS = ("keep_global_batch", "recipe_devices", "meeting_seconds")  # of `trainer`, not for Lightning's


def check_devices(trainer: DictConfig, batch_size: int) -> int:
    """Refuse a trainer that this machine cannot be, or whose devices the batch does not divide among.

    Args:
        trainer: of conf/trainer.
        batch_size: crops per optimiser step over all devices.

    Returns:
        The number of processes over all machines.

    Raises:
        ValueError: naming the key and what to write in its place.
    """
    if trainer.accelerator == "cpu" and "fsdp" in str(trainer.strategy):
        raise ValueError("trainer.strategy=fsdp shares weights among GPUs, not on a CPU: choose trainer=ddp_cpu")
    there = _count_gpus(trainer) if trainer.accelerator in GPU else 1
    devices = _wanted(trainer.devices, there)
    if trainer.accelerator in GPU and devices > there:
        raise ValueError(
            f"trainer.devices={trainer.devices} wants {devices} GPUs on this machine, which shows {there}: "
            f"choose trainer.devices={there}"
        )
    processes = devices * int(trainer.num_nodes)
    _check_batch(batch_size, processes, accumulation(trainer, processes))
    return processes


def accumulation(trainer: DictConfig, processes: int) -> int:
    """Return how many batches an optimiser step adds up so that no device holds more than in the recipe.

    One, unless `keep_global_batch` asks for it and there are fewer processes than the recipe has devices.

    Raises:
        ValueError: if the recipe's devices are no multiple of the processes.

    Example:
        >>> accumulation(DictConfig({"keep_global_batch": True, "recipe_devices": 8}), processes=2)
        4
    """
    recipe = trainer.get("recipe_devices") or 1
    if not trainer.get("keep_global_batch") or processes >= recipe:
        return 1
    if recipe % processes:
        raise ValueError(
            f"trainer.keep_global_batch=true plays {recipe} devices (trainer.recipe_devices) on {processes}, which is "
            f"no part of them: choose trainer.devices={_divisors(recipe, processes)}"
        )
    return recipe // processes


def lightning_node(trainer: DictConfig, processes: int) -> DictConfig:
    """Return the node for `lightning.Trainer`, with the accumulation in place of our own keys."""
    steps = accumulation(trainer, processes)
    node = copy.deepcopy(trainer)
    with open_dict(node):
        for key in OURS:
            node.pop(key, None)
        node.accumulate_grad_batches = steps
    if isinstance(node.limit_train_batches, int):
        node.limit_train_batches *= steps
    return node


def check_single(trainer: DictConfig, launcher: str) -> None:
    """Refuse several processes per run inside a sweep whose runs share one process.

    Args:
        trainer: of conf/trainer.
        launcher: stem of hydra/launcher.

    Raises:
        ValueError: because Lightning would start each further process with the command line of the whole sweep.
    """
    if trainer.devices != 1 or trainer.num_nodes != 1:
        raise ValueError(
            f"hydra/launcher={launcher} with trainer.devices={trainer.devices}: every process of a run would start the "
            "whole sweep again. Leave hydra/launcher out (subprocess), or choose trainer.devices=1"
        )


def _count_gpus(trainer: DictConfig) -> int:
    """Return the GPUs of this machine.

    Raises:
        ValueError: if there is none; says what there is.
    """
    import torch

    if torch.cuda.device_count():
        return torch.cuda.device_count()
    if torch.backends.mps.is_available() and trainer.accelerator == "gpu":
        return 1
    built = f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch is built without CUDA"
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    hidden = "" if visible is None else f", CUDA_VISIBLE_DEVICES={visible!r}"
    strategy = "" if trainer.strategy == "auto" else f", trainer.strategy={trainer.strategy}"
    raise ValueError(
        f"trainer.accelerator={trainer.accelerator}{strategy}: there is no GPU here ({built}{hidden}), but "
        f"{cores()} CPU cores: choose trainer=cpu or trainer=ddp_cpu"
    )


def _wanted(devices: Any, there: int) -> int:
    """Return the number of devices on one machine that `trainer.devices` means."""
    if isinstance(devices, ListConfig):
        return len(devices)
    if isinstance(devices, str) and devices != "auto":
        return len(devices.split(",")) if "," in devices else int(devices)
    return there if devices in ("auto", -1) else int(devices)


def _check_batch(batch_size: int, processes: int, steps: int) -> None:
    shares = processes * steps
    if batch_size >= shares and batch_size % shares == 0:
        return
    fitting = _divisors(batch_size, processes) if batch_size > 0 else "1"
    among = f"{processes} devices" + (f" x {steps} accumulated batches" if steps > 1 else "")
    nearest = max(1, -(-batch_size // shares)) * shares
    raise ValueError(
        f"data.batch_size={batch_size} counts the crops of all devices and does not divide among {among}: choose "
        f"data.batch_size={nearest} (another recipe, with a learning rate of its own), or {fitting} devices"
    )


def _divisors(number: int, most: int) -> str:
    """Return the divisors of a number up to `most`, as a choice in words."""
    return " or ".join(str(count) for count in range(1, most + 1) if number % count == 0)
