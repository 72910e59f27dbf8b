"""`deblur-lit data`: what is done to a data set without training on it."""

import argparse
from collections.abc import Sequence
from importlib import import_module

COMMANDS = {  # name: module with `add_arguments` and `run`, and what it does
    "prepare": ("prepare_command", "say where a data set is found; download, unpack and recognise it"),
    "check": ("check_command", "the data doctor: look at every file of a data set, and list what is wrong"),
    "show": ("show_command", "draw a contact sheet of pairs, crops and differences"),
    "synthesize": ("synthesize_command", "make pairs from a fast video, from frames or from sharp photographs"),
    "cache": ("cache_command", "decode a data set once into memory-mapped frames, which training then reads"),
}


def main(arguments: Sequence[str]) -> int:
    """Run `deblur-lit data <arguments>` and return its exit status.

    Raises:
        ValueError, OSError: for what the user can put right; the message is one line.
    """
    parser = argparse.ArgumentParser(prog="deblur-lit data", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        if name in arguments[:1]:  # the others are not even imported
            chosen = import_module(f"deblur_lit.data.{module}")
            chosen.add_arguments(command)
    options = parser.parse_args(arguments)
    status: int = chosen.run(options)
    return status
