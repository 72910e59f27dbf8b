"""How many jobs of a sweep go side by side, and which devices each of them gets."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

VISIBLE = "CUDA_VISIBLE_DEVICES"
THREADS = "OMP_NUM_THREADS"


@dataclass(frozen=True)
class Slot:
    """A place where one job after another runs: its GPUs, None where the job sees all that there are."""

    gpus: tuple[str, ...] | None = None
    threads: int | None = None

    def environment(self) -> dict[str, str]:
        """What a job in this place is told."""
        told = {} if self.gpus is None else {VISIBLE: ",".join(self.gpus)}
        return told if self.threads is None else {**told, THREADS: str(self.threads)}

    def __str__(self) -> str:
        return "" if self.gpus is None else f"GPU {','.join(self.gpus)}"


def make_slots(
    configs: Sequence[DictConfig], n_jobs: int | str, gpus: Sequence[Any] | None, environment: Mapping[str, str]
) -> list[Slot]:
    """Divide the devices of this machine among jobs.

    Args:
        configs: one per job; `trainer.accelerator` and `trainer.devices` say what it wants.
        n_jobs: jobs side by side; `auto` is one job per GPU, or per as many as `trainer.devices` says, and one job
            at a time on a CPU. A single job with `trainer.devices=auto` gets all GPUs.
        gpus: the GPUs of each place, such as ["0,1", "2,3"]; None divides those that there are.
        environment: may say which GPUs are visible, and how many threads a process has.

    Raises:
        ValueError: if there are more jobs or processes than devices.
    """
    if isinstance(gpus, str | int):
        raise ValueError(f"hydra.launcher.gpus={gpus}: must be a list of places, as in 'hydra.launcher.gpus=[{gpus}]'")
    if n_jobs != "auto" and not (isinstance(n_jobs, int) and n_jobs >= 1):
        raise ValueError(f"hydra.launcher.n_jobs={n_jobs}: must be a number of jobs side by side, or auto")
    wanted = [_devices(config) for config in configs if _on_gpu(config)]
    if gpus is not None:
        return _given(n_jobs, gpus, wanted)
    if not wanted:
        return _on_cpu(1 if n_jobs == "auto" else n_jobs, environment)
    there = _visible(environment)
    picked = any(isinstance(devices, list) for devices in wanted)
    if n_jobs in (1, "auto") and (n_jobs == 1 or picked or len(configs) == 1 or not there):
        return [Slot()]
    if not there:
        raise ValueError(
            f"hydra.launcher.n_jobs={n_jobs}, but no GPU is in sight (neither {VISIBLE} nor nvidia-smi names one): "
            "choose trainer=cpu, or name them, as in 'hydra.launcher.gpus=[0,1]'"
        )
    if picked:
        raise ValueError(
            f"hydra.launcher.n_jobs={n_jobs}, but trainer.devices picks GPUs by their numbers, the same for every job: "
            "say how many, as in trainer.devices=1, or give each place its own, as in 'hydra.launcher.gpus=[0,1]'"
        )
    return _divided(n_jobs, there, max((devices for devices in wanted if isinstance(devices, int)), default=0))


def _divided(n_jobs: int | str, there: Sequence[str], most: int) -> list[Slot]:
    """Places of equally many GPUs, `most` that a job wants; 0 where each takes what it gets."""
    if n_jobs == "auto":
        size = max(1, most)
        count = len(there) // size
    else:
        count = int(n_jobs)
        size = len(there) // count
    if count == 0 or size < max(1, most):
        wish = f"{most} GPUs each (trainer.devices={most})" if most else "a GPU each"
        side = "" if n_jobs == "auto" else f"hydra.launcher.n_jobs={n_jobs} jobs side by side want "
        ways = [f"hydra.launcher.n_jobs={len(there) // max(1, most)}"] if len(there) >= max(1, most) else []
        ways += [f"trainer.devices={len(there)}"] if most > len(there) else []
        ways += ["several jobs on one GPU: 'hydra.launcher.gpus=[0,0]'"] if n_jobs != "auto" else []
        raise ValueError(f"{side}{wish}, and {_names(there)}: choose {', or '.join(ways)}")
    return [Slot(tuple(there[place * size : (place + 1) * size])) for place in range(count)]


def _given(n_jobs: int | str, gpus: Sequence[Any], wanted: Sequence[Any]) -> list[Slot]:
    slots = [Slot(tuple(part.strip() for part in str(place).split(","))) for place in gpus]
    count = len(slots) if n_jobs == "auto" else int(n_jobs)
    if not slots or count > len(slots):
        raise ValueError(
            f"hydra.launcher.n_jobs={n_jobs}, but hydra.launcher.gpus={list(map(str, gpus))} has {len(slots)} places: "
            "leave n_jobs out, or name as many places as jobs"
        )
    for slot in slots[:count]:
        assert slot.gpus is not None
        for devices in wanted:
            most = devices if isinstance(devices, int) else 0
            if most > len(slot.gpus):
                raise ValueError(
                    f"trainer.devices={most}, but a place of hydra.launcher.gpus={list(map(str, gpus))} has "
                    f"{len(slot.gpus)}: choose trainer.devices={len(slot.gpus)}, or places of {most} GPUs"
                )
    return slots[:count]


def _on_cpu(count: int, environment: Mapping[str, str]) -> list[Slot]:
    """Places that share the cores, where the environment does not say how many threads a process has."""
    if count == 1 or THREADS in environment:
        return [Slot()] * count
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return [Slot(threads=max(1, cores // count))] * count


def _on_gpu(config: DictConfig) -> bool:
    return OmegaConf.select(config, "trainer.accelerator") in ("gpu", "cuda")


def _devices(config: DictConfig) -> int | list[Any] | str:
    """What a job wants: a number of devices, a list of them, or all (`auto`)."""
    devices = OmegaConf.select(config, "trainer.devices")
    if isinstance(devices, int):
        return devices if devices > 0 else "auto"
    if OmegaConf.is_list(devices):
        return list(devices)
    return devices.split(",") if isinstance(devices, str) and "," in devices else "auto"


def _visible(environment: Mapping[str, str]) -> list[str]:
    """GPUs that a process with this environment sees, by their names there."""
    if VISIBLE in environment:
        return [name.strip() for name in environment[VISIBLE].split(",") if name.strip() not in ("", "-1")]
    with suppress(OSError, subprocess.SubprocessError):
        query = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
        return subprocess.run(query, capture_output=True, text=True, check=True, timeout=30).stdout.split()
    return []


def _names(gpus: Sequence[str]) -> str:
    return f"there are {len(gpus)} GPUs ({', '.join(gpus)})" if len(gpus) != 1 else f"there is one GPU ({gpus[0]})"
