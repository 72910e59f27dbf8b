"""The weights that come with the package, from photographs to a model card: `python -m deblur_lit.pretrain [STEP...]`.

Every step goes on where it was interrupted, and does nothing where it is done.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
import yaml
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import track
from safetensors.torch import save_file

from deblur_lit import line_filter_fit, model_card, runs
from deblur_lit.config import build, compose
from deblur_lit.data import photo_pairs, photographs
from deblur_lit.data.images import read_rgb, write_png
from deblur_lit.data.paired_folder import PairedFolder
from deblur_lit.data.pairs import evenly
from deblur_lit.data.photo_exposure import PhotoRecipe
from deblur_lit.model_card import RECIPE
from deblur_lit.networks.blocks import DeblurNetwork
from deblur_lit.networks.checkpoint import load_weights, read_weights
from deblur_lit.networks.line_filter import LineFilter
from deblur_lit.pretrained import CONFIG, WEIGHTS
from deblur_lit.restore import Restorer

STEPS = ("photographs", "pairs", "train", "export", "card")
CHECKPOINTS = ("best.ckpt", "last.ckpt")
PHOTO = Path(__file__).with_name("weights") / "photo"  # the weights that come with the package
LARGEST = 8_000_000  # bytes of the weights
HELD_OUT = {"val": 48, "test": 8}  # pairs of each stage


class Stage(NamedTuple):
    """One training of the chain; it begins with the weights of the one before.

    Attributes:
        name: folder of its pairs and its run.
        recipe: of the pairs.
        pairs: number of pairs to train on.
        overrides: what differs from `RECIPE`.
        fit: epochs for which the line filter is fitted to the pairs before; 0 where the network has none.
        restored: number of pairs that the network before restores and that are to stay as they are.
    """

    name: str
    recipe: PhotoRecipe
    pairs: int
    overrides: tuple[str, ...]
    fit: int = 0
    restored: int = 0


# Clean light and no sharp pair come first: a network that does not see blur yet learns from those to keep everything.
FAR = PhotoRecipe(
    side=192,
    margin=32,
    extent=(2.0, 32.0),
    substeps=3,
    bend=0.1,
    rotation=0.5,
    zoom=0.004,
    linear_share=0.7,
    foreground_share=0.1,
    collage_share=0.1,
    highlight_share=0.1,
    dark_share=0.03,
    noise_share=0.15,
    noise=1.0e-5,
    jpeg_share=0.05,
    jpeg=(85, 98),
    sharp_share=0.0,
)
# Then things that move by themselves, more of what a camera adds, and pictures that are sharp already.
ALL = replace(FAR, bend=0.15, foreground_share=0.15, dark_share=0.05, noise=2.0e-5, sharp_share=0.1)
# Then shorter blurs, and what a network changes unless it has seen it sharp: soft shades with sharp rims, pure colours.
LINES = replace(
    ALL,
    tilt=180.0,
    stretch=1.5,
    extent=(1.5, 32.0),
    short_share=0.4,
    shaded_share=0.3,
    sharp_share=0.15,
    sharp_collage_share=0.4,
    vivid_share=0.6,
)
# At last more that is to stay as it is: sharp pictures, and what the network before has restored.
KEEP = replace(LINES, sharp_share=0.3)
# In dB every picture weighs by its own error, so that long blurs do not drown short ones; below 40 dB it weighs less.
PSNR = ("loss=psnr", "loss.terms.psnr.eps=1.0e-4", "data.batch_size=8")
PLAIN = "network.prefilter=null"
STAGES = (
    Stage("far", FAR, 4000, (PLAIN, "scheduler.eta_min=5.0e-4", "trainer.max_epochs=15")),
    Stage("all", ALL, 8000, (PLAIN, *PSNR, "optimizer.lr=8.0e-4", "trainer.max_epochs=11")),
    Stage("lines", LINES, 8000, (*PSNR, "optimizer.lr=5.0e-4", "trainer.max_epochs=4"), fit=300),
    Stage("keep", KEEP, 4000, (*PSNR, "optimizer.lr=2.0e-4", "trainer.max_epochs=3"), restored=1500),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the steps; a mistake is one line on stderr."""
    options = _parser().parse_args(arguments)
    try:
        _run(options)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deblur_lit.pretrain", description=__doc__)
    parser.add_argument("steps", nargs="*", metavar="STEP", help=f"which of {', '.join(STEPS)}; all by default")
    parser.add_argument("--folder", type=Path, default=Path("runs/pretrained"), help="of data and run (%(default)s)")
    parser.add_argument("--to", type=Path, default=PHOTO, help="folder of the weights (%(default)s)")
    parser.add_argument(
        "--checkpoint",
        choices=CHECKPOINTS,
        default="best.ckpt",
        help="of the run; last: of a run that is not finished (%(default)s)",
    )
    parser.add_argument("--frames", type=Path, help="real frames for the card, a folder in GoPro's layout with test/")
    return parser


def _run(options: argparse.Namespace) -> None:
    if unknown := [step for step in options.steps if step not in STEPS]:
        raise ValueError(f"{unknown[0]} is no step: there is {', '.join(STEPS)}")
    steps = options.steps or STEPS
    if {"photographs", "pairs"} & {*steps}:
        listed = photographs.fetch(options.folder / "photographs")
    for number, stage in enumerate(STAGES):
        folder = options.folder / stage.name
        if "pairs" in steps:
            photo_pairs.build(folder / "pairs", listed, stage.recipe, {"train": stage.pairs, **HELD_OUT}, seed=0)
        if "train" in steps:
            train(stage, folder, options.folder / STAGES[number - 1].name / "run/best.ckpt" if number else None)
    last = options.folder / STAGES[-1].name
    if "export" in steps:
        export(last / "run" / options.checkpoint, options.to)
    if "card" in steps:
        chain = [options.folder / stage.name for stage in STAGES]
        model_card.write(options.to, last / "run" / options.checkpoint, chain, options.frames)


def train(stage: Stage, folder: Path, start: Path | None) -> None:
    """Train in a process of its own, on a GPU where there is one, from `last.ckpt` where there is one.

    Raises:
        ValueError: if the training fails or is interrupted; what it printed says why.
    """
    if stage.fit and start:
        start = fitted(stage, folder, start)
    if stage.restored and start:
        add_restored(folder / "pairs", start, stage.restored)
    words = [*RECIPE, *stage.overrides, f"data.root={folder / 'pairs'}", f"hydra.run.dir={folder / 'run'}"]
    words += [f"+module.start={start}"] if start else []
    if torch.cuda.is_available():
        words += ["trainer=gpu", "module.compile=reduce-overhead", f"data.num_workers={max(1, runs.cores() - 2)}"]
    done = subprocess.run([sys.executable, "-m", "deblur_lit.train", *words], check=False)
    if done.returncode:
        raise ValueError(f"the training in {folder / 'run'} is not finished; the same command goes on with it")


def fitted(stage: Stage, folder: Path, trained: Path) -> Path:
    """Fit the line filter to the pairs of a stage, and return weights of it and of a U-Net that was trained without.

    Raises:
        ValueError: if the U-Net is another one.
    """
    path = folder / model_card.FITTED
    if path.is_file():
        return path
    torch.manual_seed(0)
    network: DeblurNetwork = build(compose("train", [*RECIPE, *stage.overrides]).network)
    absent, unknown = network.load_state_dict(read_weights(trained), strict=False)
    if unknown or (absent := [name for name in absent if not name.startswith(("prefilter.", "hint."))]):
        raise ValueError(f"{trained}: {[*unknown, *absent][0]} does not fit the network of this stage")
    line_filter = network.get_submodule("prefilter")
    assert isinstance(line_filter, LineFilter)
    moments = line_filter_fit.measure(line_filter, PairedFolder(folder / "pairs", "train"), folder / "moments")
    line_filter_fit.fit(line_filter, moments, stage.fit)
    part = path.with_suffix(".part")
    save_file(network.state_dict(), part)
    part.replace(path)
    return path


def add_restored(pairs: Path, trained: Path, number: int) -> None:
    """Add pairs to train on whose two sides are what a network makes of blurred sides, evenly chosen.

    Args:
        pairs: folder of the pairs of a stage; they come into sequences of their own, `model_card.RESTORED` before the
            name, and those that are there stay.
        trained: checkpoint of the network.
        number: of pairs.
    """
    network: DeblurNetwork = build(compose("train", RECIPE).network)
    load_weights(network, trained)
    restore = Restorer(network.eval().to(memory_format=torch.channels_last))  # type: ignore[call-overload]
    blurs = sorted((pairs / "train").glob("*/blur/*.png"))
    blurs = [path for path in blurs if not path.parts[-3].startswith(model_card.RESTORED)]
    for index in track(evenly(len(blurs), number), "restoring pairs", console=Console(stderr=True)):
        folder = pairs / "train" / f"{model_card.RESTORED}{blurs[index].parts[-3]}"
        paths = [folder / side / blurs[index].name for side in ("sharp", "blur")]
        if not paths[-1].is_file():
            restored = model_card.restored(restore, read_rgb(blurs[index]))
            for path in paths:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_png(path, restored)


def export(checkpoint: Path, folder: Path) -> None:
    """Write the averaged weights of a checkpoint as float16, and the configuration of their network.

    Raises:
        FileNotFoundError: if the checkpoint is not there yet.
        ValueError: if the weights are too large, or too large for float16.
    """
    config = compose("train", RECIPE).network
    network: DeblurNetwork = build(config)
    load_weights(network, checkpoint)
    half = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    if broken := [name for name, value in half.items() if not bool(torch.isfinite(value).all())]:
        raise ValueError(f"{checkpoint}: {broken[0]} does not fit float16; train on, or with weight decay")
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{WEIGHTS}.part"
    save_file(half, part)
    if (size := part.stat().st_size) > LARGEST:
        part.unlink()
        raise ValueError(f"{checkpoint}: {size} bytes as float16, more than {LARGEST}; choose a smaller network")
    part.chmod(0o644)  # it is written for its owner alone
    part.replace(folder / WEIGHTS)
    (folder / CONFIG).write_text(_text_of(config), encoding="utf-8")
    print(f"{folder}: {size} bytes of weights", flush=True)


def _text_of(config: DictConfig) -> str:
    plain = OmegaConf.to_container(config, resolve=True)
    return yaml.safe_dump(plain, sort_keys=False)


if __name__ == "__main__":
    sys.exit(main())
