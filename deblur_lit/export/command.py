"""`deblur-lit export`: a network to ONNX, a torch program, or a folder for the model hub."""

import argparse
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

FORMATS = ("onnx", "torch-export", "safetensors")
_DESCRIPTION = """Write a network for other programs, and compare what was written with PyTorch at three sizes; where
they differ by more than 1e-4 nothing is left. onnx: any size, padding inside; `deblur-lit predict --checkpoint X.onnx`
runs it without PyTorch. torch-export: for torch.export.load, sides padded by you as its deblur_lit.json says.
safetensors: a folder with config.yaml, model.safetensors and README.md, for --checkpoint, from_pretrained and
push_to_hub."""


def main(arguments: Sequence[str]) -> int:
    """Run `deblur-lit export <arguments>`.

    Raises:
        ValueError, OSError: for what the user can put right; the message is one line.
    """
    options = _parser().parse_args(arguments)
    out: Path = options.out
    if out.exists() and not options.overwrite:
        raise ValueError(f"{out} is there already; --overwrite replaces it, or choose another -o")
    if out.exists() and out.is_dir() != (options.format == "safetensors"):
        raise ValueError(f"{out} is a {'folder' if out.is_dir() else 'file'}; choose another -o")
    # Not above: --help should not wait for torch.
    from deblur_lit.export import writing
    from deblur_lit.export.source import find

    source = find(options.folder, options.network, options.checkpoint)
    out.parent.mkdir(parents=True, exist_ok=True)
    write = {"onnx": writing.to_onnx, "torch-export": writing.to_program, "safetensors": writing.to_folder}
    with _quiet():
        line = write[options.format](source, options.half, out)
    print(f"{out}: {line}", flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="deblur-lit export", description=_DESCRIPTION)
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        metavar="FOLDER",
        help="of a network (config.yaml, model.safetensors) or of a finished run; default: the network of the package",
    )
    parser.add_argument("--format", choices=FORMATS, required=True, help="what is written")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="OUT", help="file, or folder (safetensors)")
    parser.add_argument("--network", metavar="NAME", help="one of `deblur-lit networks`, in place of FOLDER")
    parser.add_argument(
        "--checkpoint", type=Path, metavar="F", help="its weights: ours, or the authors' published file"
    )
    parser.add_argument("--half", action="store_true", help="store weights in float16: half the size; they are "
                        "computed with in float32")  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace OUT")
    return parser


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what torch's exporter says of its own code and of packages that nobody needs from the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
