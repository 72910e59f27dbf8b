"""Scoring restored full frames, and writing down what was scored."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from deblur_lit import provenance, runs
from deblur_lit.metrics.levels import LevelPair
from deblur_lit.metrics.measure import measure
from deblur_lit.metrics.protocols import PROTOCOLS, choose
from deblur_lit.pictures import comparison, to_picture

SECONDS_BETWEEN_LINES = 5.0
HEADLINE = ("psnr", "ssim", "psnr_blur", "ssim_blur")  # of every image

Row = dict[str, Any]  # one image: name, HEADLINE and the further protocols
Restore = Callable[[Tensor], Tensor]


class Frames(Protocol):
    """What scoring needs of a data set."""

    names: list[str]

    def __len__(self) -> int: ...

    def read(self, index: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]: ...

    def fingerprint(self) -> str: ...


@dataclass(frozen=True)
class Metrics:
    """The protocols that a data set is scored by: those of its tables, and others for comparison.

    Args:
        psnr: protocol of the PSNR that tables show.
        ssim: of the SSIM.
        also: further protocols.

    Raises:
        ValueError: for an unknown protocol; names the nearest.
    """

    psnr: str = "psnr_uint8"
    ssim: str = "ssim_matlab_volume"
    also: Sequence[str] = ()

    def __post_init__(self) -> None:
        choose([self.psnr, self.ssim, *self.also])

    def of(self, restored: npt.NDArray[Any], sharp: npt.NDArray[Any]) -> dict[str, Any]:
        """Score one image, (3, H, W) uint8 or float, by all protocols; `psnr` and `ssim` are the first two.

        Where images are aligned, `remark` says why this one was not; it is empty otherwise.
        """
        pair = LevelPair(restored, sharp)
        if pair.has_nan:
            return dict.fromkeys(("psnr", "ssim", *self.also), math.nan)
        found = measure(pair, list(dict.fromkeys([self.psnr, self.ssim, *self.also])))
        scores = {"psnr": found[self.psnr], "ssim": found[self.ssim], **{name: found[name] for name in self.also}}
        aligned = any(PROTOCOLS[name].aligned for name in found)
        return {**scores, "remark": "; ".join(pair.remarks)} if aligned else scores


def score(
    restore: Restore | None,
    frames: Frames,
    label: str,
    complete: bool,
    device: str | torch.device = "cpu",
    picture: Path | None = None,
    metrics: Metrics | None = None,
    known: Mapping[str, Row] | None = None,
    finished: Callable[[Row, npt.NDArray[np.uint8]], None] | None = None,
) -> dict[str, Any]:
    """Score full frames; images are scored in threads while the next are restored.

    Args:
        restore: maps (1, 3, H, W) float32 in [0, 1] to the same; None scores the blurred input itself.
        frames: uint8 RGB pairs.
        label: how a table names this measurement.
        complete: whether `frames` is the whole official split.
        device: where frames are restored.
        picture: where to write blur | restored | sharp of the image with the median gain.
        metrics: protocols; GoPro's by default.
        known: rows of images that were scored before, by name; they are not restored again.
        finished: is given each new row and its restored image, (H, W, 3) uint8, in the order of the frames.

    Returns:
        The entry of metrics.json's `scores`: means over images of per-image PSNR (dB) and SSIM, and each image's.
    """
    metrics = metrics or Metrics()
    start = time.perf_counter()
    said = start
    rows: list[Row] = []
    for row in _rows(restore, frames, device, metrics, known or {}, finished):
        rows.append(row)
        if time.perf_counter() - said > SECONDS_BETWEEN_LINES:
            said = time.perf_counter()
            print(f"scored {len(rows)}/{len(frames)} of {label}", flush=True)
    if failed := [row["name"] for row in rows if row.get("remark")]:
        print(f"{len(failed)} of {len(rows)} images have a remark in the record, such as {failed[0]}: not aligned?")
    if picture and restore is not None:
        gains = [row["psnr"] - row["psnr_blur"] for row in rows]
        write_comparison(restore, frames, int(np.argsort(gains)[len(gains) // 2]), device, picture)
    means = {key: float(np.mean([row[key] for row in rows])) for key in (*HEADLINE, *metrics.also)}
    return {
        "split": "test",
        "images": len(frames),
        "complete": complete,
        "label": label,
        "data_hash": frames.fingerprint(),
        "protocol": {"psnr": metrics.psnr, "ssim": metrics.ssim},
        **for_json(means),
        "seconds": round(time.perf_counter() - start, 2),
        "per_image": [for_json(row) for row in rows],
    }


def for_json(values: Row) -> Row:
    """Write the infinite PSNR of identical images as "inf", since JSON has no such number."""
    return {key: "inf" if value == math.inf else value for key, value in values.items()}


def write_comparison(restore: Restore, frames: Frames, index: int, device: str | torch.device, path: Path) -> None:
    """Write blur | restored | sharp of one frame, each above an enlarged detail, as PNG."""
    blur, sharp = (_to_tensor(image, device) for image in frames.read(index))
    sheet = comparison(*(to_picture(image[0]) for image in (blur, restore(blur), sharp)))
    Image.fromarray(sheet).save(path)


def _rows(
    restore: Restore | None,
    frames: Frames,
    device: str | torch.device,
    metrics: Metrics,
    known: Mapping[str, Row],
    finished: Callable[[Row, npt.NDArray[np.uint8]], None] | None,
) -> Iterator[Row]:
    """Give the row of each frame in order; a few frames ahead at most are held in memory."""
    waiting: deque[Row | Future[tuple[Row, npt.NDArray[np.uint8]]]] = deque()

    def oldest() -> Row:
        first = waiting.popleft()
        if isinstance(first, dict):
            return first
        row, image = first.result()
        if finished:
            finished(row, image)
        return row

    with ThreadPoolExecutor(runs.cores()) as pool:
        try:
            for index, name in enumerate(frames.names):
                if name in known:
                    waiting.append(known[name])
                else:
                    blur, sharp = frames.read(index)
                    restored = None if restore is None else restore(_to_tensor(blur, device))[0].cpu()
                    waiting.append(pool.submit(partial(_row, name, blur, restored, sharp, metrics)))
                if len(waiting) > 2 * runs.cores():
                    yield oldest()
            while waiting:
                yield oldest()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _row(
    name: str, blur: npt.NDArray[np.uint8], restored: Tensor | None, sharp: npt.NDArray[np.uint8], metrics: Metrics
) -> tuple[Row, npt.NDArray[np.uint8]]:
    """Score one image; returns its row and what was restored, at 8 bits."""
    planes = sharp.transpose(2, 0, 1)
    before = Metrics(metrics.psnr, metrics.ssim, () if restored is not None else metrics.also)
    of_blur = before.of(blur.transpose(2, 0, 1), planes)
    scores = of_blur if restored is None else metrics.of(restored.numpy(), planes)
    row = {"name": name, **scores, "psnr_blur": of_blur["psnr"], "ssim_blur": of_blur["ssim"]}
    return row, blur if restored is None else to_picture(restored)


def _to_tensor(image: npt.NDArray[np.uint8], device: str | torch.device) -> Tensor:
    tensor = torch.from_numpy(image).to(device).permute(2, 0, 1)[None]
    return tensor.float().div_(255).contiguous(memory_format=torch.channels_last)


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
