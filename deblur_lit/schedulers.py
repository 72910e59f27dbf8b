"""Learning-rate schedules over a run of known length, stepped once per optimiser step."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, StepLR


def cosine(optimizer: Optimizer, total_steps: int, eta_min: float) -> LRScheduler:
    """Anneal along half a cosine from the optimiser's learning rate to `eta_min` at `total_steps`.

    Source: Loshchilov and Hutter, ICLR 2017, arXiv:1608.03983, equation 5, without restarts.
    """
    return CosineAnnealingLR(optimizer, T_max=total_steps, eta_min=eta_min)


def multistep(optimizer: Optimizer, total_steps: int, parts: int, gamma: float) -> LRScheduler:
    """Multiply the learning rate by `gamma` at the end of each of `parts` equal parts of the run."""
    return StepLR(optimizer, step_size=-(-total_steps // parts), gamma=gamma)
