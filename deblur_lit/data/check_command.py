"""`deblur-lit data check`: the data doctor. It looks at every file of a data set and changes nothing."""

import argparse
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from deblur_lit import runs
from deblur_lit.data.faults import KINDS
from deblur_lit.data.named import chosen_splits, data_config

SHOWN = 10  # findings of one kind in the table; the JSON holds all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of the command."""
    parser.add_argument("name", metavar="NAME", help="stem of conf/data")
    parser.add_argument("--root", type=Path, help="folder of the data (default: the YAML's, below DATA_ROOT)")
    parser.add_argument("--split", action="append", help="only this split; may be repeated (default: all)")
    parser.add_argument("--subset", action="store_true", help="frames and splits may be missing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the whole report there")
    parser.add_argument("--jobs", type=int, default=runs.cores(), help="threads (default: %(default)s)")
    kinds = "; ".join(f"{kind} ({text})" for kind, text in KINDS.items())
    parser.epilog = f"The exit status is 1 where a fault is found: {kinds}."


def run(options: argparse.Namespace) -> int:
    """Print the report; return 0 for a data set without a fault and 1 otherwise.

    Raises:
        ValueError, OSError: for a name or a split that does not exist, or a report that cannot be written.
    """
    from deblur_lit.data.doctor import examine

    data = data_config(options.name, options.root)
    splits = chosen_splits(data, options.split)
    with Progress(console=Console(stderr=True)) as bar:
        tasks: dict[str, TaskID] = {}

        def advance(split: str, done: int, total: int) -> None:
            if split not in tasks:
                tasks[split] = bar.add_task(f"Looking at {split}", total=total)
            bar.update(tasks[split], completed=done)

        report = examine(data, splits, options.subset, options.jobs, advance)
    if options.json:
        content = asdict(report) | {"clean": not report.findings}
        options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    console = Console()
    table = Table(title=f"{report.name} in {report.root}", title_justify="left", box=None, header_style="bold")
    for column in ("split", "pairs", "published", "sequences", "blur", "layout"):
        table.add_column(column, justify="right" if column in ("pairs", "published", "sequences") else "left")
    for name, split in report.splits.items():
        published = "-" if split.expected is None else str(split.expected)
        table.add_row(name, str(split.pairs), published, str(split.sequences), split.response or "-", split.layout)
    console.print(table, markup=False)
    for notice in report.notices:
        console.print(f"note: {notice}", markup=False, highlight=False, soft_wrap=True)
    counts = Counter(finding.kind for finding in report.findings)
    for kind in (kind for kind in KINDS if kind in counts):
        console.print(f"{kind}: {counts[kind]} ({KINDS[kind]})", style="bold red", markup=False, highlight=False)
        found = [finding for finding in report.findings if finding.kind == kind]
        for finding in found[:SHOWN]:
            console.print(f"  {finding.split}: {finding.message}", markup=False, highlight=False, soft_wrap=True)
        if len(found) > SHOWN:
            console.print(f"  and {len(found) - SHOWN} more, which --json FILE lists", markup=False, highlight=False)
    console.print("no fault found" if not counts else f"{len(report.findings)} faults found", style="bold")
    return 1 if counts else 0
