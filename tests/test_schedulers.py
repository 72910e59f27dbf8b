"""Learning rates over a run."""

import math
from itertools import pairwise

import pytest
import torch
from torch.optim import SGD, Optimizer

from deblur_lit.config import build, compose
from deblur_lit.schedulers import cosine, cosine_warmup, multistep


def rates(optimizer: Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler, steps: int) -> list[float]:
    """The learning rate of each step, and the one behind the last."""
    found = [optimizer.param_groups[0]["lr"]]
    for _ in range(steps):
        optimizer.step()
        schedule.step()
        found.append(optimizer.param_groups[0]["lr"])
    return found


@pytest.fixture
def optimizer() -> Optimizer:
    return SGD([torch.zeros(1, requires_grad=True)], lr=1e-4)


def test_cosine_falls_from_the_rate_of_the_optimiser_to_the_last(optimizer: Optimizer) -> None:
    found = rates(optimizer, cosine(optimizer, 40, eta_min=1e-6), 40)
    assert (found[0], found[-1]) == (1e-4, pytest.approx(1e-6))
    assert all(before > after for before, after in pairwise(found))
    for step in (10, 20, 30):
        half_cosine = 1e-6 + (1e-4 - 1e-6) * (1 + math.cos(math.pi * step / 40)) / 2
        assert found[step] == pytest.approx(half_cosine)


@pytest.mark.parametrize(("steps", "part"), [(12, 2), (13, 3), (3, 1)])
def test_multistep_halves_after_each_part(optimizer: Optimizer, steps: int, part: int) -> None:
    found = rates(optimizer, multistep(optimizer, steps, parts=6, gamma=0.5), steps)
    assert found == pytest.approx([1e-4 * 0.5 ** (step // part) for step in range(steps + 1)])


def test_a_warm_up_rises_evenly_and_falls_as_the_cosine_of_the_rest(optimizer: Optimizer) -> None:
    found = rates(optimizer, cosine_warmup(optimizer, 50, eta_min=1e-6, warmup=0.2), 50)
    assert found[:11] == pytest.approx([1e-4 * (step + 1) / 11 for step in range(11)])
    assert all(before > after for before, after in pairwise(found[10:]))
    assert found[30] == pytest.approx((1e-4 + 1e-6) / 2)
    assert found[-1] == pytest.approx(1e-6)


@pytest.mark.parametrize(("steps", "warmup"), [(50, 1.0), (50, -0.1), (1, 0.1)])
def test_a_warm_up_that_is_no_part_of_the_run_is_refused(optimizer: Optimizer, steps: int, warmup: float) -> None:
    with pytest.raises(ValueError, match=rf"scheduler\.warmup={warmup} of {steps} steps"):
        cosine_warmup(optimizer, steps, eta_min=1e-6, warmup=warmup)


@pytest.mark.parametrize(("name", "last"), [("cosine", 1e-6), ("cosine_warmup", 1e-6), ("multistep", 1e-4 / 2**6)])
def test_the_yaml_gives_the_schedule_of_its_comment(optimizer: Optimizer, name: str, last: float) -> None:
    schedule = build(compose("train", [f"scheduler={name}"]).scheduler)
    assert rates(optimizer, schedule(optimizer, 60), 60)[-1] == pytest.approx(last)
