"""The `deblur-lit` command. It holds no logic: each subcommand calls the module that does the work."""

import argparse
import runpy
import sys
from collections.abc import Sequence

PASSED_ON = {  # commands whose words their own module reads
    "train": "train one row, or with -m a sweep (same as python -m deblur_lit.train)",
    "reproduce": "make a table of the paper (same as python -m deblur_lit.reproduce)",
    "report": "write and print a table from run folders, or a page of a sweep (same as python -m deblur_lit.report)",
    "dashboard": "build the workspaces of a sweep at wandb, or write their specification",
    "evaluate": "score a run folder or a network with a checkpoint on a data set",
    "predict": "restore photographs and videos",
    "app": "serve a page on which photographs are restored",
    "export": "write a network to ONNX, a torch program, or a folder for the model hub",
    "score": "score restored images against sharp ones by every protocol of the literature",
    "figure": "draw evaluated systems side by side: PNG, PDF and a page with a slider",
    "data": "prepare, check, show, synthesize and cache data sets",
    "bench": "compare speeds side by side in one run",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status; a mistake is one line on stderr."""
    parser = argparse.ArgumentParser(prog="deblur-lit", description="Train, ablate and compare deblurring networks.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    networks = commands.add_parser("networks", help="list networks: paper, weights, parameters, MACs, field, latency")
    networks.add_argument("names", nargs="*", metavar="NAME", help="which networks; default: all")
    networks.add_argument("--json", action="store_true", help="print JSON")
    networks.add_argument("--latency", action="store_true", help="measure the time for one image: median and quartiles")
    networks.add_argument("--size", nargs=2, type=int, metavar=("H", "W"), help="of that image; default: 256 256")
    networks.add_argument("--device", help="where it is measured; default: a GPU where there is one")
    for name, text in PASSED_ON.items():
        commands.add_parser(name, help=text)
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if words and words[0] in PASSED_ON:
            return _pass_on(words[0], words[1:])
        options = parser.parse_args(words)
        from deblur_lit.networks.listing import print_networks

        print_networks(options.names, options.json, options.latency, options.size, options.device)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _pass_on(command: str, words: list[str]) -> int:
    # Imported where they are used: --help should not wait for torch.
    if command == "reproduce":
        from deblur_lit.reproduce import main as reproduce

        return reproduce(words)
    if command == "report":
        from deblur_lit.report.__main__ import main as report

        return report(words)
    if command == "dashboard":
        from deblur_lit.report.dashboard import main as dashboard

        return dashboard(words)
    if command == "predict":
        from deblur_lit.predict.command import main as predict

        return predict(words)
    if command == "app":
        from deblur_lit.app.command import main as app

        return app(words)
    if command == "export":
        from deblur_lit.export.command import main as export

        return export(words)
    if command == "score":
        from deblur_lit.score import main as score

        return score(words)
    if command == "figure":
        from deblur_lit.figure.command import main as figure

        return figure(words)
    if command == "data":
        from deblur_lit.data.commands import main as data

        return data(words)
    if command == "bench":
        from deblur_lit.bench import main as bench

        return bench(words)
    sys.argv = [sys.argv[0], *words]  # Hydra reads the command line, and its jobs repeat it
    module = {"train": "deblur_lit.train", "evaluate": "deblur_lit.evaluation"}[command]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
