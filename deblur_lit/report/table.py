"""The model of a table: published numbers beside measured ones, each with the runs it came from."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from deblur_lit.report.runs import Run, Weights
from deblur_lit.report.spec import Benchmark, Published

UNDERTRAINED_DB = 0.5  # a row trained here that gains less over the blurred input is marked


@dataclass(frozen=True)
class Spread:
    """Mean over runs; `std` is the sample standard deviation, None for one run or infinite values."""

    mean: float
    std: float | None
    count: int


@dataclass(frozen=True)
class Comparison:
    """The difference in PSNR between two rows, in dB, and what can be said of it.

    `low` and `high` are the 95 % interval, `detectable` is the smallest true difference that rows of this scatter
    show with 80 % power; None where nothing can be decided. `seeds` counts the runs of either row.
    """

    mean: float | None
    low: float | None
    high: float | None
    detectable: float | None
    sequences: int
    seeds: tuple[int, int]
    verdict: str


@dataclass(frozen=True)
class Beside:
    """A row's scores on one benchmark by another way of restoring than the paper's, over its runs."""

    psnr: Spread
    ssim: Spread


@dataclass(frozen=True)
class Measured:
    """A row's scores on one benchmark.

    `gain` (dB) is over the blurred input, deltas are over the table's reference row; None where not defined.
    `beside` holds the scores of variants (None where one changes nothing), `stale` says what changed since the
    scores were written, and `compared` holds by key of another row what the difference to it is worth.
    """

    psnr: Spread
    ssim: Spread
    gain: float | None
    delta_psnr: float | None
    delta_ssim: float | None
    beside: dict[str, Beside | None]
    stale: tuple[str, ...]
    compared: dict[str, Comparison]


@dataclass(frozen=True)
class Column:
    """What all measured cells of one benchmark have in common; `images` is 0 where nothing was measured."""

    benchmark: str
    label: str
    images: int
    complete: bool
    data_hash: str
    protocol: dict[str, str]


@dataclass(frozen=True)
class Row:
    """One line.

    `weights` says whose weights were scored, None where nothing was. `reasons` says by benchmark why a cell
    is empty, `unfinished` what is broken, begun or was never run, `remarks` what else a reader has to know.
    """

    key: str
    title: str
    section: str
    footnotes: tuple[str, ...]
    published: dict[str, Published]
    weights: Weights | None
    runs: tuple[Run, ...]
    measured: dict[str, Measured]
    undertrained: bool
    reasons: dict[str, str]
    unfinished: tuple[str, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table, whole: every file that is written of it is a rendering of this.

    `optional` says whether rows that may be hidden were asked for. `footnotes` are in letter order. `variants` maps
    a benchmark to the labels of the ways of restoring that its rows were scored by besides, by their keys.
    """

    name: str
    data: str
    optional: bool
    title: str
    claim: str
    source: str
    reference: str | None
    benchmarks: dict[str, Benchmark]
    columns: tuple[Column, ...]
    variants: dict[str, dict[str, str]]
    rows: tuple[Row, ...]
    footnotes: dict[str, str]
    warnings: tuple[str, ...]


def spread(values: Sequence[float]) -> Spread:
    """Return mean and sample standard deviation.

    Args:
        values: at least one, PSNR in dB or SSIM; may be infinite.

    Example:
        >>> spread([30.0, 31.0])
        Spread(mean=30.5, std=0.7071067811865476, count=2)
        >>> spread([30.0])
        Spread(mean=30.0, std=None, count=1)
    """
    if math.inf in values:
        return Spread(math.inf, None, len(values))
    std = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.fmean(values), std, len(values))


def difference(minuend: float, subtrahend: float) -> float | None:
    """Return the difference, None between two infinite values.

    Example:
        >>> difference(31.0, 30.5), difference(math.inf, math.inf)
        (0.5, None)
    """
    return None if math.isinf(subtrahend) else minuend - subtrahend
