"""The words of `deblur-lit predict`, and what a result depends on."""

import argparse
from pathlib import Path
from typing import Any

from deblur_lit.predict.files import shown
from deblur_lit.predict.finished import content_hash
from deblur_lit.predict.memory import parse_size

ONNX = ".onnx"
_DESCRIPTION = """Restore blurred photographs (JPEG, PNG, TIFF, WebP; 8 and 16 bit) and videos with the network that
comes with the package, or another one. A result keeps format, depth, alpha, EXIF (with the orientation as it is),
colour profile, XMP and texts of its source; a JPEG is written at least as finely as it was, and finely enough to lose
nothing visible (45 dB). An interrupted command goes on when it is given again: what is finished is not made twice.
Videos are restored frame by frame, so that what is restored may flicker; sound, times and rotation stay."""


def parser() -> argparse.ArgumentParser:
    """Return what reads the words of the command."""
    made = argparse.ArgumentParser(prog="deblur-lit predict", description=_DESCRIPTION)
    made.add_argument("input", nargs="+", metavar="INPUT", help="files, folders with their subfolders, patterns "
                        "('trip/**/*.jpg'); videos of a folder are restored when they are named")  # fmt: skip
    made.add_argument("-o", "--out", type=Path, metavar="OUT", help="folder of the results, which keeps names and "
                        "subfolders; for one file also a file, of its format or PNG "
                        "(default: NAME.deblurred.EXT beside a file, FOLDER.deblurred beside a folder)")  # fmt: skip
    made.add_argument("--overwrite", action="store_true", help="replace results that are there")
    network = made.add_argument_group("network")
    network.add_argument("--network", metavar="NAME", help="one of `deblur-lit networks`; needs --checkpoint")
    network.add_argument("--checkpoint", type=Path, metavar="F", help="its weights: ours, or the authors' published "
                         "file; without --network an .onnx file, or a folder with config.yaml and "
                         "model.safetensors")  # fmt: skip
    network.add_argument("--strength", type=_share, default=1.0, metavar="S", help="0 (none) to 1 (default)")
    network.add_argument("--tta", choices=("none", "rot4", "x8"), default="none", help="mean over quarter turns, "
                         "or over mirrored ones too; takes 4 or 8 times as long")  # fmt: skip
    network.add_argument("--tlc", action="store_true", help="local pools, for networks that pool whole images")
    machine = made.add_argument_group("machine")
    machine.add_argument("--tile", type=_tile, default="auto", metavar="auto|N|off", help="side of tiles in pixels; "
                         "auto plans it from the memory, off restores whole photographs (default: auto)")  # fmt: skip
    machine.add_argument(
        "--memory", type=memory_bytes, metavar="2G", help="most that may be taken (default: what is free)"
    )
    machine.add_argument("--runtime", choices=("torch", "onnx"), help="onnx restores without PyTorch, on the CPU, what "
                        "`deblur-lit export --format onnx` wrote (default: by the suffix of --checkpoint)")  # fmt: skip
    machine.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="bf16 is faster where the "
                         "machine has it (default: fp32)")  # fmt: skip
    machine.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="default: a GPU "
                         "where there is one")  # fmt: skip
    return made


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 1")
    return value


def _tile(text: str) -> int | str:
    if text in ("auto", "off"):
        return text
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is neither auto, off nor a number of pixels")
    return int(text)


def memory_bytes(text: str) -> int:
    """Return bytes.

    Example:
        >>> memory_bytes("1.5G"), memory_bytes("200M"), memory_bytes("64KiB")
        (1610612736, 209715200, 65536)
    """
    try:
        size = parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if not size:
        raise argparse.ArgumentTypeError(f"{text!r} is no memory to work in")
    return size


def runs_onnx(options: argparse.Namespace) -> bool:
    """Tell whether ONNX Runtime is to restore: as it was said, or for a file of that suffix."""
    named = options.checkpoint is not None and options.checkpoint.suffix == ONNX
    return options.runtime == "onnx" or (options.runtime is None and named)


def _check_onnx(options: argparse.Namespace) -> None:
    """Refuse what cannot be chosen for a network that was exported."""
    if options.checkpoint is None or options.checkpoint.suffix != ONNX:
        raise ValueError(
            "--runtime onnx needs --checkpoint X.onnx; `deblur-lit export --format onnx -o X.onnx` makes it"
        )
    if options.network is not None:
        raise ValueError(f"--network {options.network}: {shown(options.checkpoint)} brings its network, leave it out")
    if options.tlc or options.precision != "fp32" or options.device not in ("auto", "cpu"):
        raise ValueError(
            "ONNX Runtime restores with the pools of the file, in fp32, on the CPU: leave --tlc, --precision and "
            "--device out, or take --runtime torch and a folder of weights"
        )


def settings(options: argparse.Namespace) -> dict[str, Any]:
    """Check the choice of a network, and return all that a result depends on beside its source.

    Raises:
        ValueError, FileNotFoundError: as `weights_of`.
    """
    if runs_onnx(options):
        _check_onnx(options)
        weights = _present(options.checkpoint)
    else:
        weights = weights_of(options.network, options.checkpoint)
    names = ("network", "strength", "tta", "tlc", "tile", "precision")
    return {"weights": content_hash(weights), **{name: getattr(options, name) for name in names}}


def weights_of(network: str | None, weights: Path | None) -> Path:
    """Return the file or folder of weights that --network and --checkpoint choose.

    Raises:
        ValueError: if network and checkpoint do not go together.
        FileNotFoundError: if weights are not there.
    """
    if network is not None:
        from deblur_lit.nodes import network_config

        network_config(network)  # refuses an unknown name
        if weights is None:
            raise ValueError(f"--network {network} has random weights without --checkpoint F")
    elif weights is None:
        from deblur_lit.pretrained import SHIPPED

        weights = SHIPPED
    elif not weights.is_dir():
        raise ValueError(f"--checkpoint {shown(weights)}: a file of weights needs --network NAME; a folder brings it")
    return _present(weights)


def _present(weights: Path) -> Path:
    if not weights.exists():
        raise FileNotFoundError(f"{shown(weights)}: there are no weights; name others by --network and --checkpoint")
    return weights
