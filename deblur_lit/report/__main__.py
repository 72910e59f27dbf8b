"""`python -m deblur_lit.report TABLE`: write and print a table, or keep a finished one."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from deblur_lit.report.build import build_table
from deblur_lit.report.layout import lay_out
from deblur_lit.report.spec import load_spec
from deblur_lit.report.terminal import print_table
from deblur_lit.report.write import record, write_table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status; a mistake is one message on stderr and status 1.

    Args:
        arguments: the command line, by default the process's.
    """
    parser = argparse.ArgumentParser(
        prog="python -m deblur_lit.report",
        description="Write a table of run folders as Markdown, CSV, JSON and LaTeX, and print it.",
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
    options = parser.parse_args(arguments)
    try:
        _run(options, Console())
    except (ValueError, OSError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 1
    return 0


def _run(options: argparse.Namespace, console: Console) -> None:
    spec = load_spec(options.table)
    if options.record:
        files = record(options.runs / spec.name / options.data, options.record)
    else:
        files = write_table(spec, options.runs, options.data, options.out, options.optional)
        print_table(lay_out(build_table(spec, options.runs, options.data, options.optional)), console)
    for file in files:
        console.print(str(file), highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
