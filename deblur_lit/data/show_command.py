"""`deblur-lit data show`: a contact sheet of pairs, crops and differences."""

import argparse
from pathlib import Path

from deblur_lit.data.named import chosen_splits, data_config, open_split


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of the command."""
    parser.add_argument("name", metavar="NAME", help="stem of conf/data")
    parser.add_argument("--root", type=Path, help="folder of the data (default: the YAML's, below DATA_ROOT)")
    parser.add_argument("--split", help="which split (default: the first that training reads)")
    parser.add_argument("--pairs", type=int, default=8, help="rows of the sheet (default: %(default)s)")
    parser.add_argument("--crop", type=int, help="side of the crops in pixels (default: the YAML's)")
    parser.add_argument("--seed", type=int, default=0, help="of the places of the crops (default: %(default)s)")
    parser.add_argument("--to", type=Path, metavar="FILE", help="PNG to write (default: NAME-SPLIT.png)")


def run(options: argparse.Namespace) -> int:
    """Write the sheet.

    Raises:
        ValueError, OSError: for a name or split that does not exist, a pair that cannot be read, a full disk.
    """
    from deblur_lit.data.contact_sheet import contact_sheet
    from deblur_lit.data.images import write_png
    from deblur_lit.data.pairs import evenly

    data = data_config(options.name, options.root)
    if options.pairs < 1 or (options.crop is not None and options.crop < 1):
        raise ValueError(f"--pairs {options.pairs}, --crop {options.crop}: both are 1 or more")
    split = chosen_splits(data, [options.split] if options.split else None)[0]
    pairs = open_split(data, split)
    path = options.to or Path(f"{options.name}-{split}.png")
    sheet = contact_sheet(pairs, evenly(len(pairs), options.pairs), options.crop or data.crop_size, options.seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, sheet)
    print(f"{path}: {min(options.pairs, len(pairs))} of {len(pairs)} pairs of {data.title} {split}", flush=True)
    return 0
