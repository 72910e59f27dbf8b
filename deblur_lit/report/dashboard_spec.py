"""What a dashboard shows, read from experiments/dashboard.yaml, and the differences in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any, Literal, get_args

import yaml

from deblur_lit.report.fields import take
from deblur_lit.report.read import find_runs

Band = Literal["stddev", "stderr", "minmax"]
BANDS: tuple[Band, ...] = get_args(Band)
KINDS = ("lines", "bars", "images", "tables", "deltas")
METRICS = ("psnr", "ssim")
DIGITS = {"psnr": 2, "ssim": 4}
KEYS = ("title", "baseline", "rows", "band", "columns", "sections")


@dataclass(frozen=True)
class Section:
    """A group of panels of one kind, each showing what is logged under one name."""

    title: str
    kind: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Dashboard:
    """A dashboard before it is built; the rows are those that are compared with the baseline."""

    title: str
    baseline: str
    rows: tuple[str, ...]
    band: Band
    columns: tuple[str, ...]
    sections: tuple[Section, ...]


def default_spec() -> Path:
    """Return the dashboard that comes with the package: of the checkout, or inside an installed wheel.

    Raises:
        FileNotFoundError: if neither is there.
    """
    package = Path(__file__).resolve().parents[1]
    for file in (package / "dashboard.yaml", package.parent / "experiments" / "dashboard.yaml"):
        if file.is_file():
            return file
    raise FileNotFoundError(f"no dashboard.yaml in {package} or experiments/: name one with --config")


def read_dashboard(file: Path) -> Dashboard:
    """Return the dashboard that a YAML file describes.

    Raises:
        ValueError: for a wrong, missing or unknown key; names key and file.
        FileNotFoundError: if the file is absent.
    """
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{file}: is not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(data, dict):
        raise ValueError(f"{file}: holds no mapping")
    if unknown := [key for key in data if key not in KEYS]:
        raise ValueError(f"{file}: unknown key `{unknown[0]}`; known: {', '.join(KEYS)}")
    bands: dict[str, Band] = {name: name for name in BANDS}
    if (band := take(data, "band", str, str(file))) not in bands:
        raise ValueError(f"{file}: `band` is {band!r}; there is {', '.join(BANDS)}")
    return Dashboard(
        title=take(data, "title", str, str(file)),
        baseline=take(data, "baseline", str, str(file)),
        rows=_names(data, "rows", str(file)),
        band=bands[band],
        columns=_names(data, "columns", str(file)),
        sections=tuple(
            _section(entry, f"{file}, section {number}")
            for number, entry in enumerate(take(data, "sections", list, str(file)), 1)
        ),
    )


def _section(entry: Any, where: str) -> Section:
    if not isinstance(entry, dict):
        raise ValueError(f"{where}: is {entry!r:.60}, expected a mapping with `title` and one of {', '.join(KINDS)}")
    if unknown := [key for key in entry if key not in ("title", *KINDS)]:
        raise ValueError(f"{where}: unknown key `{unknown[0]}`; known: title, {', '.join(KINDS)}")
    kinds = [kind for kind in KINDS if kind in entry]
    if len(kinds) != 1:
        raise ValueError(f"{where}: has {' and '.join(kinds) or 'no panels'}, expected one of {', '.join(KINDS)}")
    names = _names(entry, kinds[0], where)
    if kinds == ["deltas"] and (wrong := [name for name in names if name not in METRICS]):
        raise ValueError(f"{where}: `deltas` names {wrong[0]!r}; there is {' and '.join(METRICS)}")
    return Section(take(entry, "title", str, where), kinds[0], names)


def _names(data: dict[str, Any], key: str, where: str) -> tuple[str, ...]:
    names = take(data, key, list, where)
    if wrong := [name for name in names if not isinstance(name, str)]:
        raise ValueError(f"{where}: `{key}` holds {wrong[0]!r:.60}, expected names")
    return tuple(names)


def baseline_run(study: Path, data: str | None, row: str) -> str | None:
    """Return wandb's name of the first run of a row under runs/<study>[/<data>], None where none was started."""
    seeds = sorted(study.glob(f"{data or '*'}/{row}/seed*/run_id"), key=lambda path: (path.parts[-4], _seed(path)))
    return seeds[0].read_text(encoding="utf-8").strip() if seeds else None


def _seed(run_id: Path) -> int:
    number = run_id.parent.name.removeprefix("seed")
    return int(number) if number.isdecimal() else 0


def deltas(study: Path, data: str | None, baseline: str, rows: Sequence[str], metric: str) -> str:
    """Return the differences to a row as a Markdown table, from the records of finished runs under runs/<study>.

    A difference is the mean over the seeds that both rows have finished; a row without such a seed is left out.

    Args:
        study: runs/<study>, with a folder for each data set.
        data: that data set alone; None: all.
        baseline: the row that others are compared with.
        rows: those others.
        metric: `psnr` (dB) or `ssim`.
    """
    digits = DIGITS[metric]
    lines = [f"| data | row | {metric} | difference to {baseline} | seeds |", "| --- | --- | --- | --- | --- |"]
    for folder in sorted(path for path in study.glob(data or "*") if path.is_dir()):
        reference = _by_seed(folder, baseline, metric)
        for row in rows:
            found = _by_seed(folder, row, metric)
            common = sorted(found.keys() & reference.keys())
            if common:
                value = mean(found[seed] for seed in common)
                difference = mean(found[seed] - reference[seed] for seed in common)
                seeds = ", ".join(map(str, common))
                lines.append(f"| {folder.name} | {row} | {value:.{digits}f} | {difference:+.{digits}f} | {seeds} |")
    if len(lines) == 2:
        return f"No seed of {baseline} and of another row is finished under {study}."
    return "\n".join(lines)


def _by_seed(data: Path, row: str, metric: str) -> dict[int, float]:
    runs, _ = find_runs(data, row)
    return {run.seed: getattr(run.scores[data.name], metric) for run in runs if run.seed is not None}
