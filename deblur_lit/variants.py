"""Scoring a finished run in ways beside the paper's: with local instead of global pools (TLC), and in tiles."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deblur_lit import provenance, runs

if TYPE_CHECKING:
    from deblur_lit.evaluate import Frames, Metrics
    from deblur_lit.networks.blocks import DeblurNetwork

PUBLISHED_CROP = 256  # pixels, what published networks were trained on


def score_variants(
    folder: Path,
    kinds: Sequence[str],
    sets: Mapping[str, tuple["Frames", "Metrics"]],
    load: Callable[[], "DeblurNetwork"],
    device: str,
) -> None:
    """Add the variants that a run folder's record lacks to its scores, each as soon as it is there.

    The record gains `scores.<data>.variants`: by key (`tlc`, `tiles<side>`) label, PSNR in dB and SSIM as means over
    images, seconds, and each image's. TLC is null for a network without pools. Windows and tiles are made from the
    training crop, so that a network sees at test what it saw in training.

    Args:
        folder: of a finished run.
        kinds: `tlc`, `tiles`.
        sets: test images and protocols by data set; one that the run was not scored on is left out.
        load: returns the network with the weights that were scored, on the device, in evaluation mode.
        device: where frames are restored.
    """
    record = runs.read_record(folder)
    crop = record["training"]["crop_size"] if record["training"] else PUBLISHED_CROP
    network = None
    for name, (frames, metrics) in sets.items():
        score = record["scores"].get(name)
        if score is None or score["data_hash"] != frames.fingerprint():
            continue
        for kind in kinds:
            key = f"tiles{crop}" if kind == "tiles" else kind
            if key in score.setdefault("variants", {}):
                continue
            network = network or load()
            found = _score(network, kind, crop, frames, replace(metrics, also=()), device, score["label"])
            score["variants"][key] = found
            runs.write_record(folder, record)
            if found:
                print(f"{folder}: {found['psnr']:.2f} dB with {found['label']}", flush=True)


def weights_changed(folder: Path, record: Mapping[str, Any]) -> bool:
    """Tell whether the scored checkpoint in a run folder is no longer what its record says."""
    path = folder / record["checkpoint"]["file"]
    return not path.is_file() or provenance.file_sha256(path) != record["checkpoint"]["sha256"]


def _score(
    network: "DeblurNetwork", kind: str, crop: int, frames: "Frames", metrics: "Metrics", device: str, title: str
) -> dict[str, Any] | None:
    """Return the entry of a variant, None where it changes nothing."""
    from deblur_lit import evaluate
    from deblur_lit.networks.tlc import WINDOW, local_pools, pools
    from deblur_lit.restore import Restorer

    if kind == "tlc" and not pools(network):
        return None
    label = f"TLC, windows of {int(WINDOW * crop)} pixels" if kind == "tlc" else f"tiles of {crop} pixels"
    with local_pools(network, crop) if kind == "tlc" else nullcontext():
        restore = Restorer(network, tiles=crop if kind == "tiles" else None)
        found = evaluate.score(restore, frames, f"{title}, {label}", False, device, metrics=metrics)
    images = [{key: image[key] for key in ("name", "psnr", "ssim")} for image in found["per_image"]]
    return {"label": label, **{key: found[key] for key in ("psnr", "ssim", "seconds")}, "per_image": images}
