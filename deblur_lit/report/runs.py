"""What a run folder says of a finished run, as metrics.json holds it."""

from dataclasses import dataclass
from typing import Literal

SCHEMA = 1  # of metrics.json
RECORD = "metrics.json"  # written last: where it lies, the run is finished
INPUT_ROW = "blur"  # the row without a network
Weights = Literal["input", "trained", "published"]


@dataclass(frozen=True)
class SequenceMean:
    """Mean PSNR in dB over the images of one sequence: what comparisons between rows are made of."""

    name: str
    images: int
    psnr: float


@dataclass(frozen=True)
class Variant:
    """Means over the same images, restored in another way than the paper's; the label says how."""

    label: str
    psnr: float
    ssim: float
    sequences: tuple[SequenceMean, ...]


@dataclass(frozen=True)
class Score:
    """Means over the images of one benchmark: PSNR in dB, SSIM; `*_blur` are those of the blurred input.

    `variants` holds None where a variant would change nothing: TLC in a network that does not pool.
    """

    label: str
    split: str
    images: int
    complete: bool
    data_hash: str
    protocol: dict[str, str]
    psnr: float
    ssim: float
    psnr_blur: float
    ssim_blur: float
    sequences: tuple[SequenceMean, ...]
    variants: dict[str, Variant | None]


@dataclass(frozen=True)
class Network:
    """Trainable parameters and multiply-accumulates at 256x256 (None where they were not counted)."""

    target: str
    parameters: int
    macs_256: int | None
    reduced: bool


@dataclass(frozen=True)
class Training:
    """What the weights saw; `seconds` is the time spent training."""

    data: str
    data_hash: str
    steps: int
    crops: int
    crop_size: int
    batch_size: int
    seconds: float


@dataclass(frozen=True)
class Checkpoint:
    """The scored file; `selection` is `best by val/psnr`, `last` or `published`."""

    file: str
    sha256: str
    selection: str


@dataclass(frozen=True)
class Run:
    """One finished run. `folder` is written from the runs folder on, so that it is equal on every machine."""

    folder: str
    row: str
    weights: Weights
    seed: int | None
    config_hash: str
    commit: str
    network: Network | None
    training: Training | None
    checkpoint: Checkpoint | None
    scores: dict[str, Score]
