"""The model card of the published weights: what they were made of and by, and scores that are measured on the spot."""

import hashlib
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import yaml
from omegaconf import OmegaConf

from deblur_lit import evaluate, provenance, runs
from deblur_lit.config import build, compose
from deblur_lit.data import photo_pairs, photographs
from deblur_lit.data.images import RGB
from deblur_lit.data.paired_folder import PairedFolder
from deblur_lit.networks.blocks import DeblurNetwork
from deblur_lit.networks.checkpoint import load_weights
from deblur_lit.networks.loading import count_parameters
from deblur_lit.restore import Restorer

RECIPE = ("network=photo", "experiment=pretrained")  # of the package's weights
LEVELS = (0, 1, 2, 4, 8, 16, 32, 64, 128, 192, 255)  # of flat patches
FLAT_SIDE = 64  # pixels
FITTED = "start.safetensors"  # in the folder of a training: weights with a line filter that was fitted before it
RESTORED = "restored-"  # begins the names of sequences that a network restored: input and target are the same
PICTURE = "picture.png"  # beside the card
PHOTO_SIZE = (720, 1280)  # height and width of the frame whose time is measured


class Harm(NamedTuple):
    """What a network does to pictures that need nothing.

    Attributes:
        least: lowest PSNR of a restored sharp picture to itself, in dB.
        mean: of all.
        pictures: how many there were.
        shift: largest change of a flat patch, in grey levels.
    """

    least: float
    mean: float
    pictures: int
    shift: float


def write(folder: Path, checkpoint: Path, chain: Sequence[Path], frames: Path | None) -> Path:
    """Measure exported weights and write `README.md` and a picture beside them.

    Args:
        folder: of the exported weights.
        checkpoint: that they were exported from.
        chain: folders of the trainings in their order, each with `pairs/` and `run/`; the last made the checkpoint.
        frames: real frames in GoPro's layout, with `test/`; without them the card has no such table.

    Raises:
        FileNotFoundError: if something is not there.
    """
    network: DeblurNetwork = build(yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8")))
    load_weights(network, folder / "model.safetensors")
    restore = Restorer(network.eval().to(memory_format=torch.channels_last))  # type: ignore[call-overload]
    mini = PairedFolder(build(compose("train", ["data=mini"]).data.root).root(), "test")
    sets = {f"the test split of data=mini, {len(mini)} frames": mini}
    if frames:
        real = PairedFolder(frames, "test")
        sets[f"{len(real)} real GoPro frames, not the GoPro test set"] = real
    held_out = PairedFolder(chain[-1] / "pairs", "val")
    scores = {
        label: evaluate.score(
            restore, found, label, complete=False, picture=folder / PICTURE if found is mini else None
        )
        for label, found in sets.items()
    }
    validation = evaluate.score(restore, held_out, "validation", complete=False)
    harm = measure_harm(restore, (found.read(index)[1] for found in sets.values() for index in range(len(found))))
    facts = {
        "parameters": count_parameters(network),
        "bytes": (folder / "model.safetensors").stat().st_size,
        "sha256": provenance.file_sha256(folder / "model.safetensors"),
        "seconds_of_a_photo": photo_seconds(restore),
        "threads": torch.get_num_threads(),
    }
    text = "\n".join(
        [
            *_introduction(facts),
            *_scores(scores, validation, harm),
            *_recipe(chain, checkpoint),
            *_data(chain),
        ]
    )
    path = folder / "README.md"
    path.write_text(text, encoding="utf-8")
    print(f"wrote {path}", flush=True)
    return path


def measure_harm(restore: evaluate.Restore, pictures: Iterable[RGB]) -> Harm:
    """Restore pictures that are sharp, and flat patches of several levels and colours."""
    found = [_psnr(restored(restore, picture), picture) for picture in pictures]
    shift = 0.0
    for level in LEVELS:
        for channel in (slice(0, 3), *range(3)):
            patch = np.zeros((FLAT_SIDE, FLAT_SIDE, 3), np.uint8)
            patch[..., channel] = level
            shift = max(shift, float(np.abs(restored(restore, patch).astype(int) - patch).max()))
    return Harm(min(found), float(np.mean(found)), len(found), shift)


def photo_seconds(restore: evaluate.Restore) -> float:
    """Return how long one photograph of 1280x720 takes, the faster of two."""
    image = torch.rand(1, 3, *PHOTO_SIZE).contiguous(memory_format=torch.channels_last)
    times = []
    for _ in range(2):
        start = time.perf_counter()
        restore(image)
        times.append(time.perf_counter() - start)
    return min(times)


def training_facts(checkpoint: Path) -> dict[str, Any]:
    """Return what a checkpoint and its run, finished or not, say of the training.

    Raises:
        FileNotFoundError: if there is none yet.
    """
    run = checkpoint.parent
    for path in (checkpoint, run / runs.CHECKPOINT):
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: train first")
    chosen, last = (
        torch.load(path, map_location="cpu", weights_only=True) for path in (checkpoint, run / runs.CHECKPOINT)
    )
    timer: dict[str, float] = next(
        (state["time_elapsed"] for name, state in last["callbacks"].items() if name.startswith("Timer")), {}
    )
    finished = runs.is_finished(run)
    record = runs.read_record(run) if finished else {}
    hardware = record.get("hardware") or provenance.hardware(["cpu"])
    versions = record.get("versions") or provenance.versions()
    return {
        "steps": last["global_step"],
        "chosen": chosen["global_step"],
        "hours": timer.get("train", 0.0) / 3600,
        "finished": finished,
        "commit": record.get("commit") or provenance.git_state()[0],
        "hardware": f"{', '.join(hardware['devices'])} of a machine with {hardware['cpu_count']} cores"
        f" ({hardware['platform']}), torch {versions['torch']}",
    }


def restored(restore: evaluate.Restore, picture: RGB) -> RGB:
    """Return what a network makes of a picture, rounded to 8 bits."""
    image = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    return (restore(image)[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()


def _psnr(restored: RGB, sharp: RGB) -> float:
    error = np.square(restored.astype(np.float64) - sharp).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-10)))


def _introduction(facts: dict[str, Any]) -> list[str]:
    return [
        "# photo: weights that deblur a photograph",
        "",
        "Written by `python -m deblur_lit.pretrain card`; every number is measured or read from the run.",
        "",
        "A small network of the paper's kind (NAFNet's U-Net with MSRM blocks and DFFM skips, after our line filter;"
        f" {facts['parameters']} parameters, {facts['bytes']} bytes as float16) that takes motion blur out of"
        " photographs: shaky hands, moving objects.",
        "",
        "- **Good for**: camera shake and moving objects whose blur is up to about 30 pixels long, 8-bit photographs"
        " with moderate noise and JPEG, screens and prints with letters.",
        "- **Not good for**: blur of a lens out of focus, strong noise, heavy compression, blur far longer than that;"
        " scores against published systems (it is far smaller, and trained on few photographs). It invents nothing:"
        " what the blur destroyed stays lost. Not for evidence: a restored picture is an estimate.",
        f"- **Time**: {facts['seconds_of_a_photo']:.1f} s for 1280x720 in float32 with {facts['threads']} threads"
        f" ({provenance.hardware(['cpu'])['platform']}).",
        f"- **Weights**: sha256 {facts['sha256']}.",
        "- **Pools**: MSRM, DFFM and the line filter pool globally: tiles differ a little from the whole picture.",
        "",
    ]


def _scores(scores: dict[str, dict[str, Any]], validation: dict[str, Any], harm: Harm) -> list[str]:
    lines = [
        "## Scores",
        "",
        f"![blur, restored and sharp, each above an enlarged detail]({PICTURE})",
        "",
        "The picture is the test image of data=mini with the median gain.",
        "",
        "`psnr_uint8` (dB) and `ssim_matlab_volume`, of the input and of the restored frame. None of these frames, nor"
        " any piece of the photographs that they are made of, was trained on or chose anything.",
        "",
    ]
    for label, score in scores.items():
        lines += [
            f"### {label[0].upper()}{label[1:]}",
            "",
            "| frame | PSNR before | after | gain | SSIM before | after |",
        ]
        lines += ["| --- | ---: | ---: | ---: | ---: | ---: |"]
        rows = [*score["per_image"], {**score, "name": "**mean**"}]
        lines += [
            f"| {row['name']} | {row['psnr_blur']:.2f} | {row['psnr']:.2f} | {row['psnr'] - row['psnr_blur']:+.2f} |"
            f" {row['ssim_blur']:.4f} | {row['ssim']:.4f} |"
            for row in rows
        ]
        lines.append("")
    gain = validation["psnr"] - validation["psnr_blur"]
    return [
        *lines,
        "### What needs nothing",
        "",
        f"The {harm.pictures} sharp frames of the tables above keep {harm.mean:.1f} dB of themselves in the mean,"
        f" {harm.least:.1f} dB at least; flat patches of {len(LEVELS)} levels move by {harm.shift:.0f} of 255 at most.",
        "",
        f"The checkpoint was chosen on {validation['images']} synthesised pairs of photographs that were not trained"
        f" on: {validation['psnr_blur']:.2f} dB before, {validation['psnr']:.2f} dB after ({gain:+.2f} dB).",
        "",
    ]


def _recipe(chain: Sequence[Path], checkpoint: Path) -> list[str]:
    lines = [
        "## Recipe",
        "",
        "`make pretrained`; its parts are `deblur_lit/pretrain.py`, `conf/experiment/pretrained.yaml`,"
        " `deblur_lit/data/photo_exposure.py` and `deblur_lit/data/photos/manifest.yaml`. The chain of trainings, each"
        " of which begins with the weights of the one before, the first with random ones:",
        "",
    ]
    hours = 0.0
    for number, stage in enumerate(chain, start=1):
        facts = training_facts(checkpoint if number == len(chain) else stage / "run" / "best.ckpt")
        hours += facts["hours"]
        fitted = " Before it the line filter was fitted to the pairs." if (stage / FITTED).is_file() else ""
        lines.append(f"{number}. {_training(OmegaConf.load(stage / 'run' / runs.CONFIG), facts)}{fitted}")
    return [
        *lines,
        "",
        f"{hours:.2f} hours of training in all.",
        "",
    ]


def _training(config: Any, facts: dict[str, Any]) -> str:
    """Return one training in words."""
    network, optimizer, loss = config.network, config.optimizer, config.loss
    terms = ", ".join(f"{weight} x {name}{_settings(loss.terms[name])}" for name, weight in loss.weights.items())
    state = "" if facts["finished"] else f", not finished at step {facts['steps']}"
    return (
        f"{facts['steps']} steps in {facts['hours']:.2f} hours{state}; weights of step {facts['chosen']}, which"
        f" validated best. network=photo, channels={network.channels}, blocks {list(network.encoder_blocks)},"
        f" {network.middle_blocks} and {list(network.decoder_blocks)};"
        f" {config.data.batch_size} crops of {config.data.crop_size} pixels a step, flips and quarter turns; loss"
        f" {terms}; Adam {list(optimizer.betas)}, learning rate {optimizer.lr} after a warm-up,"
        f" cosine to {config.scheduler.eta_min}; gradients clipped at {config.trainer.gradient_clip_val};"
        f" {config.trainer.precision}; averaged weights (EMA); seed {config.seed}; commit {facts['commit']};"
        f" {facts['hardware']}."
    )


def _settings(term: Any) -> str:
    """Return what a term of the loss is set to, in brackets."""
    settings = [f"{name}={value}" for name, value in term.items() if not name.startswith("_")]
    return f" ({', '.join(settings)})" if settings else ""


def _data(chain: Sequence[Path]) -> list[str]:
    """Return the section on the training data, from the manifests of the pairs and of the photographs."""
    lines = ["## Data", ""]
    used: list[str] = []
    for number, stage in enumerate(chain, start=1):
        made = yaml.safe_load((stage / "pairs" / photo_pairs.MANIFEST).read_text(encoding="utf-8"))
        used = list(made["photographs"])
        recipe = ", ".join(f"{name}={value}" for name, value in made["recipe"].items())
        numbers = ", ".join(f"{pairs} {split}" for split, pairs in made["pairs"].items())
        lines += [
            f"{number}. {numbers} pairs synthesised from {len(used)} photographs, seed {made['seed']}; sha256 of all"
            f" files {made['sha256']}: {recipe}."
        ]
        if kept := len(list((stage / "pairs" / "train").glob(f"{RESTORED}*/blur/*.png"))):
            lines[-1] += f" Besides, {kept} that the network before had restored, to be kept as they are."
    return [
        *lines,
        "",
        "No photograph of the test scenes of data=mini, and none of its validation scenes but for validation."
        f" The list of photographs has sha256 {hashlib.sha256(photographs.LIST.read_bytes()).hexdigest()}. They are"
        " downloaded by the recipe and not part of this package; their authors do not endorse it.",
        "",
        *_credits(photographs.manifest(), used),
        "",
    ]


def _credits(listed: dict[str, Any], used: Sequence[str]) -> list[str]:
    rows = [
        "| photograph | author | licence | package | serves for | sha256 |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name in used:
        entry = listed["photographs"][name]
        version = listed["packages"][entry["package"]]["version"]
        rows.append(
            f"| {entry['title']} | {entry['author']} | {entry['license']} | {entry['package']} {version} |"
            f" {entry['split']} | {entry['sha256'][:16]} |"
        )
    return rows
