"""Is a difference between two rows real? A 95 % interval that is right for few sequences and few seeds."""

import math
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from deblur_lit.report.table import Comparison

Array = npt.NDArray[Any]

DIGITS = 6  # of what is returned: beyond them sums depend on the number of threads
LEVEL = 0.05  # of falsely found differences
POWER = 0.8  # of what the smallest detectable difference is found with
FEWEST = 8  # sequences; with fewer there are too few sign patterns to say anything at this level
EXACT = 12  # sequences up to which all sign patterns are counted, beyond it a fixed draw of as many


def compare(first: Array, second: Array, images: Array) -> Comparison:
    """Compare two rows by the mean PSNR of each run on each sequence.

    Args:
        first: (runs, S), dB, of the row whose difference is asked for.
        second: (runs, S), of the row it is compared with, on the same S sequences.
        images: (S,), images of each sequence; scores are means over images.

    Returns:
        The comparison. With one run each it is of two checkpoints, with more it is of the rows, and then the scatter
        between runs is part of the interval.

    Example:
        >>> before = np.linspace(28, 32, 8)[None]
        >>> compare(before + 0.3 + 0.05 * np.cos(before), before, np.full(8, 100)).verdict
        'these two checkpoints differ'
        >>> compare(before[:, :4], before[:, :4], np.full(4, 100)).verdict
        'undecidable, 4 sequences'
    """
    sequences, seeds = len(images), (len(first), len(second))
    finite = bool(np.isfinite(first).all() and np.isfinite(second).all())
    if sequences < FEWEST or not finite:
        count = f"{sequences} sequence{'' if sequences == 1 else 's'}"
        why = count if sequences < FEWEST else "infinite PSNR"
        mean = round(float(difference(first, second, images)), DIGITS) if finite else None
        return Comparison(mean, None, None, None, sequences, seeds, f"undecidable, {why}")
    mean, low, high, detectable = (round(float(value), DIGITS) for value in interval(first, second, images))
    differ = low > 0 or high < 0
    if seeds == (1, 1):
        verdict = "these two checkpoints differ" if differ else "no difference shown between these two checkpoints"
    else:
        verdict = "the rows differ" if differ else "no difference shown"
    return Comparison(mean, low, high, detectable, sequences, seeds, verdict)


def difference(first: Array, second: Array, images: Array) -> Array:
    """Return the difference between two rows, (...), each the mean over runs and images of (..., runs, S)."""
    return (first.mean(-2) - second.mean(-2)) @ (images / images.sum())


def interval(first: Array, second: Array, images: Array) -> tuple[Array, Array, Array, Array]:
    r"""Return the difference between rows with its 95 % interval and the smallest difference that is detectable.

    Sequences: the interval holds every value :math:`\delta` that a sign-flip test of
    :math:`\sum_s n_s (d_s - \delta)` does not reject, which is exact for differences :math:`d_s` scattered
    symmetrically, however much they differ in scatter. Flipping the signs of a set of sequences moves the sum further
    from zero just where :math:`\delta` lies between the mean over the set and the mean over the others, so that the
    limits are order statistics of such means. Seeds: the half-width from Student's t for the pooled variance between
    the runs of a row is added in squares on each side, which keeps the level however the two scatters compare
    (Satterthwaite's degrees of freedom do not with two or three runs).

    Args:
        first: (..., runs, S), dB.
        second: (..., runs, S).
        images: (S,), of each sequence, S >= 8.

    Returns:
        (difference, low, high, detectable), each (...).

    Source: Banerjee, Sankhya 22, 1960 (squares of half-widths add up without loss of level); Zou and Donner,
    Statistics in Medicine 27, 2008 (each side on its own).
    """
    weights = images / images.sum()
    per_sequence = first.mean(-2) - second.mean(-2)
    mean = per_sequence @ weights
    low, high = _flip_limits(per_sequence, weights)
    runs = first.shape[-2] + second.shape[-2]
    of_sequences = ((weights**2 / (1 - weights)) * (per_sequence - mean[..., None]) ** 2).sum(-1)  # bias-reduced
    power = t_quantile(POWER, len(weights) - 1) ** 2 * of_sequences
    of_seeds = np.zeros_like(mean)
    if runs > 2:
        variance = _seed_variance(first @ weights, second @ weights)
        of_seeds = t_quantile(1 - LEVEL / 2, runs - 2) ** 2 * variance
        power = power + t_quantile(POWER, runs - 2) ** 2 * variance
    below, above = np.sqrt((mean - low) ** 2 + of_seeds), np.sqrt((high - mean) ** 2 + of_seeds)
    return mean, mean - below, mean + above, (below + above) / 2 + np.sqrt(power)


@lru_cache
def t_quantile(probability: float, freedom: int) -> float:
    """Return the quantile of Student's t, for a probability from 0.5 on.

    Example:
        >>> round(t_quantile(0.975, 10), 4), round(t_quantile(0.975, 1), 3)
        (2.2281, 12.706)
    """
    angle = np.linspace(0, math.pi / 2, 200_001)  # t = sqrt(freedom) tan(angle)
    density = np.cos(angle) ** (freedom - 1)
    total = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
    return math.sqrt(freedom) * math.tan(float(np.interp(2 * probability - 1, total / total[-1], angle)))


def _seed_variance(first: Array, second: Array) -> Array:
    """Return the variance of the difference between means over runs, (...), from scores (..., runs) of either row."""
    squares = sum(((row - row.mean(-1, keepdims=True)) ** 2).sum(-1) for row in (first, second))
    runs = first.shape[-1], second.shape[-1]
    return squares / (sum(runs) - 2) * (1 / runs[0] + 1 / runs[1])


def _flip_limits(per_sequence: Array, weights: Array) -> tuple[Array, Array]:
    """Return the limits of the sign-flip test, (...), for differences (..., S)."""
    sets = _flipped_sets(len(weights))
    parts = per_sequence * weights
    inside = parts @ sets.T / (sets @ weights)
    outside = parts @ (1 - sets).T / ((1 - sets) @ weights)
    rejected = math.floor(LEVEL * (len(sets) + 1)) - 1  # the unflipped signs reject nothing, and count too
    low = np.partition(np.minimum(inside, outside), rejected, axis=-1)[..., rejected]
    high = np.partition(np.maximum(inside, outside), len(sets) - 1 - rejected, axis=-1)[..., len(sets) - 1 - rejected]
    return low, high


@lru_cache
def _flipped_sets(sequences: int) -> Array:
    """Return sets of sequences as rows of zeros and ones, none empty or full; a set stands for its complement too."""
    if sequences <= EXACT:
        numbers = np.arange(1, 2 ** (sequences - 1))
        return (numbers[:, None] >> np.arange(sequences) & 1).astype(float)
    draws = np.random.default_rng(0).integers(0, 2, (2 ** (EXACT - 1) - 1, sequences))
    return draws[draws.any(1) & ~draws.all(1)].astype(float)
