"""Learning-rate schedules over a run of known length, stepped once per optimiser step."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, SequentialLR, StepLR


def cosine(optimizer: Optimizer, total_steps: int, eta_min: float) -> LRScheduler:
    """Anneal along half a cosine from the optimiser's learning rate to `eta_min` at `total_steps`.

    Source: Loshchilov and Hutter, ICLR 2017, arXiv:1608.03983, equation 5, without restarts.
    """
    return CosineAnnealingLR(optimizer, T_max=total_steps, eta_min=eta_min)


def cosine_warmup(optimizer: Optimizer, total_steps: int, eta_min: float, warmup: float) -> LRScheduler:
    """Rise linearly to the optimiser's learning rate over a part of the run, then anneal along half a cosine.

    Args:
        optimizer: its learning rate is the largest.
        total_steps: of the run.
        eta_min: the last learning rate.
        warmup: that part of the steps, in [0, 1); at least one step.

    Raises:
        ValueError: if `warmup` is outside of [0, 1), or the run is too short for it.

    Source: Goyal et al. 2017, arXiv:1706.02677, section 2.2, for the rise.
    """
    if not 0 <= warmup < 1 or total_steps < 2:
        raise ValueError(f"scheduler.warmup={warmup} of {total_steps} steps: must be a part in [0, 1) of at least two")
    steps = max(1, round(warmup * total_steps))
    rise = LinearLR(optimizer, start_factor=1 / (steps + 1), total_iters=steps)
    fall = CosineAnnealingLR(optimizer, T_max=max(1, total_steps - steps), eta_min=eta_min)
    return SequentialLR(optimizer, [rise, fall], milestones=[steps])


def multistep(optimizer: Optimizer, total_steps: int, parts: int, gamma: float) -> LRScheduler:
    """Multiply the learning rate by `gamma` at the end of each of `parts` equal parts of the run."""
    return StepLR(optimizer, step_size=-(-total_steps // parts), gamma=gamma)
