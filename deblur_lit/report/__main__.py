"""`python -m deblur_lit.report`: write and print a table, keep a finished one, or write the page of a sweep."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from deblur_lit.report.build import build_table
from deblur_lit.report.layout import lay_out, sentence
from deblur_lit.report.spec import load_spec, table_names
from deblur_lit.report.table import Table
from deblur_lit.report.terminal import print_table
from deblur_lit.report.write import record, write_table

WATCH_SECONDS = 10.0
OF_TABLES = ("data", "runs", "optional", "record", "compare")  # options that mean nothing for a folder of runs
OF_PAGES = ("watch", "baseline")  # and for a table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status; a mistake is one message on stderr and status 1.

    Args:
        arguments: the command line, by default the process's.
    """
    options = _parser().parse_args(arguments)
    try:
        if options.what in table_names():
            _refuse(options, OF_PAGES, "a table", "a folder of runs")
            _table(options, Console())
        elif Path(options.what).is_dir():
            _refuse(options, OF_TABLES, "a folder of runs", "a table")
            _page(options)
        elif Path(options.what).exists():
            raise ValueError(f"{options.what} is a file: name the folder of runs that it lies in")
        else:
            known = ", ".join(table_names())
            raise ValueError(f"no table {options.what!r} and no folder of that name; tables are {known}")
    except (ValueError, OSError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deblur_lit.report",
        description="Write a table of run folders as Markdown, CSV, JSON, LaTeX and HTML, and print it; or write one "
        "HTML page to watch a sweep by: jobs, scores, curves and pictures.",
    )
    parser.add_argument(
        "what",
        metavar="TABLE|RUNS",
        help="stem of a file in conf/table, such as table1; or a folder of runs, such as runs/mine (./table1 where "
        "a folder is called like a table)",
    )
    tables = parser.add_argument_group("for a table")
    tables.add_argument("--data", help="data set of the runs (default: mini)")
    tables.add_argument("--runs", type=Path, help="the runs folder (default: runs)")
    tables.add_argument(
        "--optional", action="store_true", default=None, help="also show optional rows (Table 2: controls) not run"
    )
    pages = parser.add_argument_group("for a folder of runs")
    pages.add_argument(
        "--watch",
        nargs="?",
        type=_seconds,
        const=WATCH_SECONDS,
        metavar="SECONDS",
        help="write the page again and again until all jobs ended (default: every %(const)g s)",
    )
    pages.add_argument("--baseline", metavar="ROW", help="row that differences refer to (default: baseline)")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="PATH",
        help="write there: the folder of a table (default: RUNS/TABLE/DATA), the file of a page (RUNS/report.html)",
    )
    where.add_argument(
        "--record",
        type=Path,
        metavar="DIR",
        help="copy the finished table and its records to DIR/TABLE/DATA instead",
    )
    where.add_argument(
        "--compare",
        nargs=2,
        metavar=("ROW", "OTHER"),
        help="write nothing: say what the difference between two rows is worth, by each way that both were restored",
    )
    return parser


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.1 <= value <= 86400:
        raise argparse.ArgumentTypeError(f"{text} is not between 0.1 and 86400 seconds")
    return value


def _refuse(options: argparse.Namespace, names: Sequence[str], what: str, other: str) -> None:
    if given := [name for name in names if getattr(options, name) is not None]:
        raise ValueError(f"--{given[0]} is for {other}, and {options.what} is {what}")


def _page(options: argparse.Namespace) -> None:
    from deblur_lit.report.sweep.scores import REFERENCE
    from deblur_lit.report.sweep.watch import states, watch, write_page

    runs, reference = Path(options.what), options.baseline or REFERENCE
    if options.watch is None:
        page, jobs = write_page(runs, options.out, reference)
        print(states(jobs))
    else:
        page = watch(runs, options.out, reference, options.watch, lambda line: print(line, flush=True))
    print(page)


def _table(options: argparse.Namespace, console: Console) -> None:
    spec = load_spec(options.what)
    runs, data, optional = options.runs or Path("runs"), options.data or "mini", bool(options.optional)
    if options.compare:
        table = build_table(spec, runs, data, optional)
        for line in _comparisons(table, *options.compare):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        return
    if options.record:
        files = record(runs / spec.name / data, options.record)
    else:
        files = write_table(spec, runs, data, options.out, optional)
        print_table(lay_out(build_table(spec, runs, data, optional)), console)
    for file in files:
        console.print(str(file), highlight=False, markup=False, soft_wrap=True)


def _comparisons(table: Table, key: str, other: str) -> Iterator[str]:
    from deblur_lit.report.contrast import contrast

    rows = {row.key: row for row in reversed(table.rows)}  # of several lines of a key the first, as tables compare
    if unknown := [name for name in (key, other) if name not in rows]:
        raise ValueError(f"--compare: {table.name} has no row {unknown[0]}; there is {', '.join(reversed(rows))}")
    if unscored := [name for name in (key, other) if not rows[name].measured]:
        raise ValueError(f"--compare: {unscored[0]} was not scored: {' '.join(rows[unscored[0]].reasons.values())}")
    for column in table.columns:
        plain: tuple[None, str] = (None, "")
        for variant, label in (plain, *table.variants[column.benchmark].items()):
            if found := contrast(rows[key], rows[other], column.benchmark, variant):
                stale = [text for name in (key, other) for text in rows[name].measured[column.benchmark].stale]
                said = [f"{key} - {other}", column.label, label, *(f"stale: {text}" for text in stale)]
                yield f"{', '.join(filter(None, said))}: {sentence(found)}"


if __name__ == "__main__":
    sys.exit(main())
