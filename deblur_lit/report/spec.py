"""A table of the paper as data, read from conf/table/<name>.yaml: rows, published values, footnotes."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from deblur_lit.report.fields import take, take_number

METRICS = ("psnr", "ssim")
VARIANTS = ("tlc", "tiles")  # ways of restoring beside the paper's


@dataclass(frozen=True)
class Benchmark:
    """A test set that the paper reports on: its number of pairs, and by metric the protocol there."""

    title: str
    images: int
    protocol: dict[str, str]


@dataclass(frozen=True)
class Published:
    """Two printed numbers, where they come from and what was computed.

    `footnotes` maps a metric to the name of the footnote that its number carries.
    """

    psnr: float
    ssim: float
    source: str
    protocol: str
    footnotes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RowSpec:
    """A row: its key is the folder of its runs and a stem of conf/network or conf/ablation (or `blur`).

    `section` is the heading of the last rule above the row, "" above the first rule.
    An `optional` row is shown where it was run or asked for.
    """

    key: str
    title: str
    section: str
    optional: bool
    published: dict[str, Published]
    footnotes: tuple[str, ...]


@dataclass(frozen=True)
class TableSpec:
    """A table before anything is measured.

    `measured` maps the data set of a run to the benchmarks that its rows are scored on; a data set that is
    not named there is its own benchmark. `reference` is the row that deltas refer to, if any; `compared` are further
    pairs of rows, the second the one that the first is compared with. `variants` are ways of restoring (`tlc`,
    `tiles`) that its rows are scored by besides the paper's.
    """

    name: str
    title: str
    claim: str
    source: str
    reference: str | None
    benchmarks: dict[str, Benchmark]
    measured: dict[str, tuple[str, ...]]
    rows: tuple[RowSpec, ...]
    footnotes: dict[str, str]
    compared: tuple[tuple[str, str], ...] = ()
    variants: tuple[str, ...] = ()


def table_folder() -> Path:
    """Return conf/table, of the checkout or inside an installed wheel.

    Raises:
        FileNotFoundError: if neither is there.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "conf" / "table", package.parent / "conf" / "table"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"no conf/table in {package} or {package.parent}: reinstall deblur_lit")


def table_names() -> list[str]:
    """Return the names of the tables that there are, the stems of conf/table."""
    return sorted(file.stem for file in table_folder().glob("*.yaml"))


def load_spec(name: str) -> TableSpec:
    """Return the table that conf/table/<name>.yaml describes.

    Raises:
        ValueError: for an unknown name, or a file with a wrong or unknown key.

    Example:
        >>> [row.key for row in load_spec("table2").rows][:4]
        ['baseline', 'dffm', 'msrm', 'dffm_msrm']
    """
    if name not in table_names():
        raise ValueError(f"no table {name!r} in conf/table; there are: {', '.join(table_names())}")
    return read_spec(table_folder() / f"{name}.yaml")


def read_spec(file: Path) -> TableSpec:
    """Return the table that a YAML file describes; its name is the file's stem.

    Raises:
        ValueError: for a wrong or unknown key, two rows of one key, a footnote not there or not used.
        FileNotFoundError: if the file is absent.
    """
    where = f"conf/table/{file.name}"
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{where}: is not YAML ({error})") from None
    if not isinstance(data, dict):
        raise ValueError(f"{where}: holds no mapping")
    required = ("title", "claim", "source", "benchmarks", "measured", "rows", "footnotes")
    _check_keys(data, required, ("reference", "compared", "variants"), where)
    benchmarks = {
        key: _read_benchmark(entry, f"{where}, benchmark {key}")
        for key, entry in take(data, "benchmarks", dict, where).items()
    }
    spec = TableSpec(
        name=file.stem,
        title=take(data, "title", str, where),
        claim=take(data, "claim", str, where).strip(),
        source=take(data, "source", str, where).strip(),
        reference=data.get("reference"),
        benchmarks=benchmarks,
        measured={key: tuple(names) for key, names in take(data, "measured", dict, where).items()},
        rows=_read_rows(take(data, "rows", list, where), benchmarks, where),
        footnotes={name: text.strip() for name, text in take(data, "footnotes", dict, where).items()},
        compared=_read_pairs(data, where),
        variants=_read_variants(data, where),
    )
    _check_references(spec, where)
    return spec


def _read_pairs(data: Mapping[str, Any], where: str) -> tuple[tuple[str, str], ...]:
    pairs = take(data, "compared", list, where) if "compared" in data else []
    if wrong := [pair for pair in pairs if not isinstance(pair, list) or len(pair) != 2]:
        raise ValueError(f"{where}: `compared` holds {wrong[0]!r:.60}, expected pairs of rows")
    return tuple((first, second) for first, second in pairs)


def _read_variants(data: Mapping[str, Any], where: str) -> tuple[str, ...]:
    variants = take(data, "variants", list, where) if "variants" in data else []
    if wrong := [name for name in variants if name not in VARIANTS]:
        raise ValueError(f"{where}: `variants` names {wrong[0]!r}; there is {' and '.join(VARIANTS)}")
    return tuple(variants)


def _read_benchmark(entry: Mapping[str, Any], where: str) -> Benchmark:
    _check_keys(entry, ("title", "images", "protocol"), (), where)
    protocol = take(entry, "protocol", dict, where)
    _check_keys(protocol, METRICS, (), where)
    return Benchmark(take(entry, "title", str, where), take(entry, "images", int, where), protocol)


def _read_rows(entries: list[Any], benchmarks: Collection[str], where: str) -> tuple[RowSpec, ...]:
    rows: list[RowSpec] = []
    section = ""
    for entry in entries:
        if isinstance(entry, dict) and set(entry) == {"rule"}:
            section = take(entry, "rule", str, where)
            continue
        if not isinstance(entry, dict):
            raise ValueError(f"{where}: a row is {entry!r:.60}, expected a mapping with `row` or `rule`")
        at = f"{where}, row {entry.get('row')}"
        _check_keys(entry, ("row", "title"), ("optional", "published", "footnotes"), at)
        published = take(entry, "published", dict, at) if "published" in entry else {}
        _check_keys(published, (), benchmarks, f"{at}, published")
        rows.append(
            RowSpec(
                key=take(entry, "row", str, at),
                title=take(entry, "title", str, at),
                section=section,
                optional=take(entry, "optional", bool, at) if "optional" in entry else False,
                published={key: _read_published(cell, f"{at}, {key}") for key, cell in published.items()},
                footnotes=tuple(take(entry, "footnotes", list, at)) if "footnotes" in entry else (),
            )
        )
    return tuple(rows)


def _read_published(cell: Mapping[str, Any], where: str) -> Published:
    _check_keys(cell, ("psnr", "ssim", "source", "protocol"), ("footnotes",), where)
    footnotes = take(cell, "footnotes", dict, where) if "footnotes" in cell else {}
    _check_keys(footnotes, (), METRICS, f"{where}, footnotes")
    return Published(
        psnr=take_number(cell, "psnr", where),
        ssim=take_number(cell, "ssim", where),
        source=take(cell, "source", str, where),
        protocol=take(cell, "protocol", str, where),
        footnotes=footnotes,
    )


def _check_keys(data: Mapping[str, Any], required: Collection[str], optional: Collection[str], where: str) -> None:
    if missing := [key for key in required if key not in data]:
        raise ValueError(f"{where}: `{missing[0]}` is missing")
    if unknown := [key for key in data if key not in required and key not in optional]:
        raise ValueError(f"{where}: unknown key `{unknown[0]}`; known: {', '.join([*required, *optional])}")


def _check_references(spec: TableSpec, where: str) -> None:
    keys = [row.key for row in spec.rows]
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise ValueError(f"{where}: row {twice[0]} stands twice")
    if spec.reference is not None and spec.reference not in keys:
        raise ValueError(f"{where}: `reference` is {spec.reference}, which is no row")
    if wrong := [key for pair in spec.compared for key in pair if key not in keys]:
        raise ValueError(f"{where}: `compared` names {wrong[0]}, which is no row")
    used = {name for row in spec.rows for name in row.footnotes}
    used |= {name for row in spec.rows for cell in row.published.values() for name in cell.footnotes.values()}
    if wrong := sorted(used ^ set(spec.footnotes)):
        raise ValueError(f"{where}: footnote {wrong[0]} is used but not there, or there but not used")
