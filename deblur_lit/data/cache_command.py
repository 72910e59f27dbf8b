"""`deblur-lit data cache`: decode a data set once, for training to read."""

import argparse
import time
from pathlib import Path

from deblur_lit import runs
from deblur_lit.data.named import chosen_splits, data_config, open_split


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of the command."""
    parser.add_argument("name", metavar="NAME", help="stem of conf/data")
    parser.add_argument("--root", type=Path, help="folder of the data (default: the YAML's, below DATA_ROOT)")
    parser.add_argument("--to", type=Path, help="folder of the cache, which data.module.cache then names")
    parser.add_argument("--split", action="append", help="only this split; may be repeated (default: all)")
    parser.add_argument("--jobs", type=int, default=runs.cores(), help="threads (default: %(default)s)")


def run(options: argparse.Namespace) -> int:
    """Build what is missing and say what is there.

    Raises:
        ValueError, OSError: as `open_split` and `cache.build` do.
    """
    from deblur_lit.data import cache

    data = data_config(options.name, options.root)
    folder = options.to or cache.default_folder()
    for split in chosen_splits(data, options.split):
        start = time.perf_counter()
        built = cache.build(open_split(data, split), folder, options.jobs)
        seconds = time.perf_counter() - start
        print(
            f"{options.name} {split}: {built.decoded} pairs decoded in {seconds:.1f} s, {built.kept} were there; "
            f"{built.size / 1e9:.2f} GB in {folder}",
            flush=True,
        )
    return 0
