"""How often `compare` finds a difference, by simulation: `python -m deblur_lit.report.power`.

Rows are drawn on GoPro test's 11 sequences. A difference between two rows scatters from sequence to sequence, each run
of a row lies higher or lower as a whole, and on each sequence a little more.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.progress import track

from deblur_lit.report.compare import Array, interval

IMAGES = (100, 100, 100, 100, 134, 100, 77, 100, 100, 100, 100)  # of GoPro test's sequences
LAWS = ("normal", "t3", "uniform", "two-point", "uneven")
SCATTERS = (0.05, 0.09)  # dB, standard deviation of reruns of one published network
DIFFERENCES = (0.1, 0.12, 0.17)  # dB; the last two are the steps of the paper's Table 2
BATCH = 500  # draws at a time, for the memory


@dataclass(frozen=True)
class Scatter:
    """Standard deviations in dB.

    Args:
        sequence: of the difference between rows, from sequence to sequence.
        seed: of a run as a whole, from seed to seed.
        both: of a run on one sequence, besides.
        image: of a run on one image, besides.
        law: of the differences on sequences; "uneven" scatters six times as much on two of them as on the others.
    """

    sequence: float = 0.1
    seed: float = 0.0
    both: float = 0.0
    image: float = 0.3
    law: str = "normal"


def draw(
    scatter: Scatter, runs: tuple[int, int], true: float, draws: int, generator: np.random.Generator
) -> tuple[Array, Array]:
    """Return the mean PSNR of each run on each sequence, (draws, runs, 11), of two rows that differ by `true` dB."""
    count = len(IMAGES)
    effect = scatter.sequence * _standard(scatter.law, (draws, 1, count), generator)
    rows = []
    for number in runs:
        whole = scatter.seed * generator.standard_normal((draws, number, 1))
        rest = np.sqrt(scatter.both**2 + scatter.image**2 / np.array(IMAGES))
        rows.append(whole + rest * generator.standard_normal((draws, number, count)))
    return rows[0] + effect + true, rows[1]


def found(scatter: Scatter, runs: tuple[int, int], true: float, draws: int, seed: int = 0) -> float:
    """Return the share of draws in which a difference is found: the power, or with true = 0 the false positives."""
    generator = np.random.default_rng(seed)
    hits = 0
    for start in range(0, draws, BATCH):
        first, second = draw(scatter, runs, true, min(BATCH, draws - start), generator)
        _, low, high, _ = interval(first, second, np.array(IMAGES))
        hits += int(((low > 0) | (high < 0)).sum())
    return hits / draws


def detectable(scatter: Scatter, runs: tuple[int, int], draws: int, seed: int = 0) -> float:
    """Return the smallest detectable difference that `interval` states, dB, as the root of its mean square."""
    first, second = draw(scatter, runs, 0.0, draws, np.random.default_rng(seed))
    return float(np.sqrt((interval(first, second, np.array(IMAGES))[3] ** 2).mean()))


def _standard(law: str, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    """Return values of mean 0 and variance about 1."""
    if law == "t3":
        return generator.standard_t(3, shape) / np.sqrt(3)
    if law == "uniform":
        return generator.uniform(-np.sqrt(3), np.sqrt(3), shape)
    if law == "two-point":
        return generator.choice([-1.0, 1.0], shape)
    scale = np.where(np.arange(shape[-1]) < 2, 3.0, 0.5) if law == "uneven" else 1.0
    return scale * generator.standard_normal(shape)


def nulls() -> Iterator[tuple[Scatter, tuple[int, int]]]:
    """Yield what rows that do not differ may look like; where `sequence` is 0 both are one row, with other seeds."""
    for law in LAWS:
        yield Scatter(law=law), (1, 1)
    for runs in ((2, 2), (3, 3), (10, 10), (3, 1), (2, 1)):
        for sequence in (0.0, 0.1):
            for seed in SCATTERS:
                yield Scatter(sequence=sequence, seed=seed, both=0.02), runs


def alternatives() -> Iterator[tuple[Scatter, tuple[int, int]]]:
    """Yield for which scatter and number of runs the power is tabulated."""
    for sequence in (0.05, 0.1):
        yield Scatter(sequence=sequence), (1, 1)
        for seed in SCATTERS:
            for runs in (2, 3, 5, 10):
                yield Scatter(sequence=sequence, seed=seed, both=0.02), (runs, runs)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print both tables as Markdown; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deblur_lit.report.power", description=__doc__)
    parser.add_argument("--draws", type=int, default=4000, help="draws a line (default: %(default)s)")
    draws = parser.parse_args(arguments).draws
    if draws < 1:
        parser.error(f"--draws {draws}: 1 or more")
    progress = Console(stderr=True)
    rates = [found(*null, 0.0, draws) for null in track(list(nulls()), "rows that do not differ", console=progress)]
    powers = [
        ([found(*case, true, draws) for true in DIFFERENCES], detectable(*case, draws))
        for case in track(list(alternatives()), "rows that differ", console=progress)
    ]
    head = "| sequences | seeds | law | runs |"
    print(f"Standard deviations in dB, {draws} draws a line.\n")
    print(f"{head} false positives |\n| ---: | ---: | --- | --- | ---: |")
    for case, rate in zip(nulls(), rates, strict=True):
        print(f"{_line(*case)} {100 * rate:.1f} % |")
    columns = " | ".join(f"+{true} dB" for true in DIFFERENCES)
    print(f"\n{head} {columns} | detectable |\n| ---: | ---: | --- | --- |{' ---: |' * (len(DIFFERENCES) + 1)}")
    for case, (shares, least) in zip(alternatives(), powers, strict=True):
        print(f"{_line(*case)} {' | '.join(f'{100 * share:.0f} %' for share in shares)} | {least:.2f} dB |")
    return 0


def _line(scatter: Scatter, runs: tuple[int, int]) -> str:
    return f"| {scatter.sequence} | {scatter.seed} | {scatter.law} | {runs[0]} and {runs[1]} |"


if __name__ == "__main__":
    sys.exit(main())
