"""`python -m deblur_lit.report TABLE`: write and print a table, or keep a finished one."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from deblur_lit.report.build import build_table
from deblur_lit.report.layout import lay_out, sentence
from deblur_lit.report.spec import load_spec
from deblur_lit.report.table import Table
from deblur_lit.report.terminal import print_table
from deblur_lit.report.write import record, write_table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status; a mistake is one message on stderr and status 1.

    Args:
        arguments: the command line, by default the process's.
    """
    parser = argparse.ArgumentParser(
        prog="python -m deblur_lit.report",
        description="Write a table of run folders as Markdown, CSV, JSON, LaTeX and HTML, and print it.",
    )
    parser.add_argument("table", help="stem of a file in conf/table, such as table1")
    parser.add_argument("--data", default="mini", help="data set of the runs (default: %(default)s)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="the runs folder (default: %(default)s)")
    parser.add_argument("--optional", action="store_true", help="also show optional rows (Table 2: controls) not run")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--out", type=Path, metavar="DIR", help="write there, not to RUNS/TABLE/DATA")
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
    options = parser.parse_args(arguments)
    try:
        _run(options, Console())
    except (ValueError, OSError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 1
    return 0


def _run(options: argparse.Namespace, console: Console) -> None:
    spec = load_spec(options.table)
    if options.compare:
        table = build_table(spec, options.runs, options.data, options.optional)
        for line in _comparisons(table, *options.compare):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        return
    if options.record:
        files = record(options.runs / spec.name / options.data, options.record)
    else:
        files = write_table(spec, options.runs, options.data, options.out, options.optional)
        print_table(lay_out(build_table(spec, options.runs, options.data, options.optional)), console)
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
