"""Benchmarks: `deblur-lit bench NAME` compares speeds side by side in one run and prints ratios."""

import argparse
from collections.abc import Sequence
from importlib import import_module

COMMANDS = {  # module with `add_arguments` and `run`, and what it compares
    "data": "random crops from PNG files, decoded in three ways, and from the cache of decoded frames",
    "metrics": "every metric protocol on one 1280x720 pair, beside scikit-image where it has the same",
    "predict": "one large photo: time, memory at most, what the guard costs and what tiles change",
}


def main(arguments: Sequence[str]) -> int:
    """Run `deblur-lit bench <arguments>` and return its exit status.

    Raises:
        ValueError, OSError: for what the user can put right; the message is one line.
    """
    parser = argparse.ArgumentParser(prog="deblur-lit bench", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="NAME")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        if name in arguments[:1]:  # the others are not even imported
            chosen = import_module(f"deblur_lit.bench.{name}")
            chosen.add_arguments(command)
    options = parser.parse_args(arguments)
    status: int = chosen.run(options)
    return status
