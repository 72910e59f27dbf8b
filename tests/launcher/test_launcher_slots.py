"""How a sweep divides devices among its jobs; the GPUs are pretended."""

import re
from typing import Any

import pytest
from hydra_plugins.deblur_lit_launcher import _slots
from omegaconf import DictConfig, OmegaConf

from deblur_lit import runs


def trainer(accelerator: str, devices: Any) -> DictConfig:
    return OmegaConf.create({"trainer": {"accelerator": accelerator, "devices": devices}})


def places(n_jobs: int | str, gpus: list[Any] | None, *devices: Any, there: str = "0,1,2,3,4,5,6,7") -> list[str]:
    configs = [trainer("gpu", wanted) for wanted in devices]
    return [str(slot) for slot in _slots.make_slots(configs, n_jobs, gpus, {"CUDA_VISIBLE_DEVICES": there})]


@pytest.mark.parametrize(
    ("n_jobs", "gpus", "devices", "expected"),
    [
        ("auto", None, ("auto",), [""]),
        ("auto", None, ("auto", "auto"), [f"GPU {gpu}" for gpu in range(8)]),
        ("auto", None, (1, 4), ["GPU 0,1,2,3", "GPU 4,5,6,7"]),
        ("auto", None, (3, 3), ["GPU 0,1,2", "GPU 3,4,5"]),
        ("auto", None, ([2, 3], [2, 3]), [""]),
        (1, None, (-1, -1), [""]),
        (2, None, ("auto",), ["GPU 0,1,2,3", "GPU 4,5,6,7"]),
        ("auto", [0, "2,3"], ("auto", 1), ["GPU 0", "GPU 2,3"]),
        (1, ["0,1", "2,3"], (2, 2), ["GPU 0,1"]),
    ],
)
def test_gpus_are_divided(n_jobs: Any, gpus: Any, devices: Any, expected: list[str]) -> None:
    assert places(n_jobs, gpus, *devices) == expected


@pytest.mark.parametrize(
    ("n_jobs", "gpus", "devices", "named"),
    [
        (0, None, (1,), "hydra.launcher.n_jobs=0: must be a number"),
        ("many", None, (1,), "hydra.launcher.n_jobs=many: must be a number"),
        (3, None, (4, 4), "there are 8 GPUs (0, 1, 2, 3, 4, 5, 6, 7): choose hydra.launcher.n_jobs=2"),
        ("auto", None, (16, 16), "16 GPUs each (trainer.devices=16), and there are 8 GPUs"),
        ("auto", None, (16, 16), "choose trainer.devices=8"),
        (2, None, ([0, 1], [0, 1]), "say how many"),
        (3, ["0", "1"], (1,), "hydra.launcher.gpus=['0', '1'] has 2 places"),
        ("auto", ["0", "1"], (2, 2), "choose trainer.devices=1, or places of 2 GPUs"),
        ("auto", "0,1", (1,), "must be a list"),
    ],
)
def test_more_than_there_is_is_refused_with_the_ways_out(n_jobs: Any, gpus: Any, devices: Any, named: str) -> None:
    with pytest.raises(ValueError, match=re.escape(named)):
        places(n_jobs, gpus, *devices)


def test_jobs_on_a_cpu_share_its_cores_unless_their_threads_are_given() -> None:
    configs = [trainer("cpu", 1)] * 4
    assert _slots.make_slots(configs, "auto", None, {}) == [_slots.Slot()]
    threads = max(1, runs.cores() // 2)
    assert [slot.environment() for slot in _slots.make_slots(configs, 2, None, {})] == [
        {"OMP_NUM_THREADS": str(threads)}
    ] * 2
    assert [slot.environment() for slot in _slots.make_slots(configs, 2, None, {"OMP_NUM_THREADS": "1"})] == [{}, {}]


def test_without_gpus_several_jobs_on_gpus_are_refused() -> None:
    with pytest.raises(ValueError, match=r"no GPU is in sight .* trainer=cpu"):
        places(2, None, 1, 1, there="")
    assert places("auto", None, 1, 1, there="") == [""]  # each job says what is wrong
