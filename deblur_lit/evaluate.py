"""Scoring restored full frames, and writing down what was scored."""

import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from deblur_lit import provenance, runs
from deblur_lit.metrics.psnr import psnr_uint8
from deblur_lit.metrics.ssim import ssim_matlab_volume
from deblur_lit.networks.blocks import DeblurNetwork
from deblur_lit.pictures import comparison, to_picture

PROTOCOL = {"psnr": "psnr_uint8", "ssim": "ssim_matlab_volume"}
SECONDS_BETWEEN_LINES = 5.0


class Frames(Protocol):
    """What scoring needs of a data set."""

    names: list[str]

    def __len__(self) -> int: ...

    def read(self, index: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]: ...

    def fingerprint(self) -> str: ...


def score(
    network: DeblurNetwork | None,
    frames: Frames,
    label: str,
    complete: bool,
    device: str | torch.device = "cpu",
    picture: Path | None = None,
) -> dict[str, Any]:
    """Score a network on full frames.

    Args:
        network: in evaluation mode; None scores the blurred input itself.
        frames: uint8 RGB pairs.
        label: how a table names this measurement.
        complete: whether `frames` is the whole official split.
        device: where the network runs, in float32.
        picture: where to write blur | restored | sharp of the image with the median gain.

    Returns:
        The entry of metrics.json's `scores`: means over images of per-image PSNR (dB) and SSIM, and each image's.
    """
    start = time.perf_counter()
    per_image: list[dict[str, Any]] = []
    said = start
    for index, (blur, sharp) in enumerate(_pairs(frames, device)):
        values = {
            "psnr_blur": float(psnr_uint8(blur, sharp)),
            "ssim_blur": float(ssim_matlab_volume(blur, sharp)),
        }
        if network is None:
            values |= {"psnr": values["psnr_blur"], "ssim": values["ssim_blur"]}
        else:
            restored = _restore(network, blur)
            values |= {
                "psnr": float(psnr_uint8(restored, sharp)),
                "ssim": float(ssim_matlab_volume(restored, sharp)),
            }
        per_image.append({"name": frames.names[index], **values})
        if time.perf_counter() - said > SECONDS_BETWEEN_LINES:
            said = time.perf_counter()
            print(f"scored {index + 1}/{len(frames)} of {label}", flush=True)
    if picture and network is not None:
        gains = [row["psnr"] - row["psnr_blur"] for row in per_image]
        write_comparison(network, frames, int(np.argsort(gains)[len(gains) // 2]), device, picture)
    means = {key: float(np.mean([row[key] for row in per_image])) for key in ("psnr", "ssim", "psnr_blur", "ssim_blur")}
    return {
        "split": "test",
        "images": len(frames),
        "complete": complete,
        "label": label,
        "data_hash": frames.fingerprint(),
        "protocol": PROTOCOL,
        **_for_json(means),
        "seconds": round(time.perf_counter() - start, 2),
        "per_image": [_for_json(row) for row in per_image],
    }


def _for_json(values: dict[str, Any]) -> dict[str, Any]:
    """Write the infinite PSNR of identical images as "inf", since JSON has no such number."""
    return {key: "inf" if value == math.inf else value for key, value in values.items()}


def write_comparison(
    network: DeblurNetwork, frames: Frames, index: int, device: str | torch.device, path: Path
) -> None:
    """Write blur | restored | sharp of one frame, each above an enlarged detail, as PNG."""
    blur, sharp = (_to_tensor(image, device) for image in frames.read(index))
    sheet = comparison(*(to_picture(image[0]) for image in (blur, _restore(network, blur), sharp)))
    Image.fromarray(sheet).save(path)


def _pairs(frames: Frames, device: str | torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    for index in range(len(frames)):
        blur, sharp = frames.read(index)
        yield _to_tensor(blur, device), _to_tensor(sharp, device)


def _to_tensor(image: npt.NDArray[np.uint8], device: str | torch.device) -> Tensor:
    tensor = torch.from_numpy(image).to(device).permute(2, 0, 1)[None]
    return tensor.float().div_(255).contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def _restore(network: DeblurNetwork, blur: Tensor) -> Tensor:
    return network(blur).full


def record(
    *,
    row: str,
    title: str,
    study: str,
    seed: int | None,
    config_hash: str,
    network: dict[str, Any] | None,
    training: dict[str, Any] | None,
    checkpoint: dict[str, Any] | None,
    scores: dict[str, Any],
    device: str | torch.device,
) -> dict[str, Any]:
    """Return a completion record (metrics.json): what was scored, and all that its numbers depend on."""
    commit, dirty = provenance.git_state()
    return {
        "schema": runs.SCHEMA,
        "row": row,
        "title": title,
        "study": study,
        "seed": seed,
        "config_hash": config_hash,
        "commit": commit,
        "dirty": dirty,
        "network": network,
        "training": training,
        "checkpoint": checkpoint,
        "scores": scores,
        "versions": provenance.versions(),
        "hardware": provenance.hardware([_name(torch.device(device))]),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def describe_checkpoint(path: Path, selection: str) -> dict[str, str]:
    """Return the `checkpoint` entry of a completion record: which file, its hash, how it was chosen."""
    return {"file": path.name, "sha256": provenance.file_sha256(path), "selection": selection}


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
