"""Curves: what runs logged as CSV, joined over restarts, as mean and range over the seeds of a row."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

FINE = 4096  # points of a run's training curve that are held in memory
POINTS = 240  # of a curve; where more steps were logged, each point is a mean over neighbouring ones
NEVER = 1 << 62  # a step that no run reaches: an empty file replaces nothing
EXPECTED = ("val/psnr", "val/ssim", "train/loss", "lr")
Log = Mapping[str, Mapping[int, float]]  # by name: value after so many steps


@dataclass(frozen=True)
class Curve:
    """One quantity of one row, as columns of equal length: mean, lowest and highest over `count` seeds."""

    steps: list[int]
    mean: list[float]
    low: list[float]
    high: list[float]
    count: list[int]


@dataclass(frozen=True)
class Chart:
    """One quantity over all rows that logged it; `width` is the number of steps that a point stands for, 1 for all."""

    name: str
    width: int
    curves: dict[str, Curve]


def read_curves(folder: Path) -> Log:
    """Return what a run logged in logs/version_<k>/metrics.csv, one version per start, by steps done.

    A version that goes on from a checkpoint replaces what earlier ones logged from its first step on: those steps
    were done again. What is not a number (a diverged loss) is left out. Of a training with more than `FINE` points
    each is a mean over a few neighbouring steps; validations are all there.
    """
    joined: dict[str, dict[int, float]] = defaultdict(dict)
    end = NEVER
    for path in sorted(folder.glob("logs/version_*/metrics.csv"), key=_version, reverse=True):
        with suppress(OSError):  # vanished meanwhile
            status = path.stat()
            first, columns = _read(path, status.st_mtime_ns, status.st_size, end)
            end = min(end, first)
            for name, values in columns.items():
                joined[name] = {**values, **joined[name]}
    return {name: values for name, values in joined.items() if values}


def last_step(log: Log) -> int | None:
    """Return how many steps a run had done when it logged last."""
    return max((step for values in log.values() for step in values), default=None)


def charts(rows: Mapping[str, Sequence[Log]]) -> list[Chart]:
    """Return a chart for each quantity that was logged: the expected ones first, then loss terms, then others.

    Args:
        rows: the logs of a row's seeds by row.
    """
    names = {name for logs in rows.values() for log in logs for name in log}
    return [_chart(name, rows) for name in sorted(names, key=_place)]


def missing(found: Iterable[Chart]) -> list[str]:
    """Return which of the expected quantities no run logged."""
    names = [chart.name for chart in found]
    return [name for name in EXPECTED if not any(other == name or other.startswith(f"{name}-") for other in names)]


def _place(name: str) -> tuple[int, int, str]:
    known = next((index for index, text in enumerate(EXPECTED) if name == text or name.startswith(f"{text}-")), None)
    group = 0 if known is not None and known < 3 else 1 if name.startswith("train/") else 2
    return group, len(EXPECTED) if known is None else known, name


def _chart(name: str, rows: Mapping[str, Sequence[Log]]) -> Chart:
    logged = {row: [log[name] for log in logs if name in log] for row, logs in rows.items()}
    steps = {step for values in logged.values() for one in values for step in one}
    width = 1 if len(steps) <= POINTS else math.ceil(max(steps) / POINTS)
    return Chart(name, width, {row: _curve(values, width) for row, values in logged.items() if values})


def _curve(seeds: Sequence[Mapping[int, float]], width: int) -> Curve:
    """Return a row's curve: each seed is averaged over `width` steps first, so that the range is one of seeds."""
    points: dict[int, list[float]] = defaultdict(list)
    ends: dict[int, int] = {}
    for values in seeds:
        bins: dict[int, list[float]] = defaultdict(list)
        for step, value in values.items():
            bins[(step - 1) // width].append(value)
            ends[(step - 1) // width] = max(step, ends.get((step - 1) // width, 0))
        for index, held in bins.items():
            points[index].append(sum(held) / len(held))
    curve = Curve([], [], [], [], [])
    for index in sorted(points):
        held = points[index]
        curve.steps.append(ends[index])
        curve.mean.append(_short(sum(held) / len(held)))
        curve.low.append(_short(min(held)))
        curve.high.append(_short(max(held)))
        curve.count.append(len(held))
    return curve


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def _version(path: Path) -> tuple[int, str]:
    number = path.parent.name.removeprefix("version_")
    return (int(number), "") if number.isdecimal() else (-1, number)


@lru_cache(maxsize=1024)  # while a sweep is watched, files of finished runs are read once
def _read(path: Path, modified: int, size: int, end: int) -> tuple[int, dict[str, dict[int, float]]]:
    """Return the first step of a file and its columns before the step `end`."""
    text = path.read_text(encoding="utf-8", errors="replace")
    header, *lines = text[: text.rfind("\n") + 1].split("\n")  # without a line that is being written
    names = header.split(",")
    if "step" not in names:
        return NEVER, {}
    at = names.index("step")
    columns: dict[str, dict[int, float]] = {name: {} for name in names if name not in ("epoch", "step", "")}
    kept = [(index, columns[name]) for index, name in enumerate(names) if name in columns]
    first = NEVER
    for line in lines:
        cells = line.split(",")
        if len(cells) != len(names) or not cells[at].isdecimal():
            continue
        step = int(cells[at]) + 1  # the file counts from 0
        first = min(first, step)
        if step >= end:
            continue
        for index, column in kept:
            if cells[index]:
                with suppress(ValueError):
                    value = float(cells[index])
                    if math.isfinite(value):
                        column[step] = value
    return first, {name: values if name.startswith("val/") else _thin(values) for name, values in columns.items()}


def _thin(values: dict[int, float]) -> dict[int, float]:
    """Return at most about `FINE` points, means over neighbouring steps, so that long runs fit in memory."""
    if len(values) <= FINE:
        return values
    width = math.ceil(max(values) / FINE)
    bins: dict[int, list[float]] = defaultdict(list)
    ends: dict[int, int] = {}
    for step, value in values.items():
        bins[(step - 1) // width].append(value)
        ends[(step - 1) // width] = step
    return {ends[index]: sum(held) / len(held) for index, held in bins.items()}
