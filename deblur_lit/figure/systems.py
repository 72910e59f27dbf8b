"""Evaluated systems, read from the folders that `deblur-lit evaluate ... save=true` wrote."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deblur_lit import runs
from deblur_lit.evaluation import TABLE
from deblur_lit.metrics.protocols import PROTOCOLS

PAPER = ("deblurgan_v2", "dmphn", "dffm_msrm")  # Figures 4 and 5 of the paper, in their order
BLURRED, SHARP = "Blurred", "Sharp"  # how the two sides of a pair are labelled
RESTORED = "restored"  # folder of the images that an evaluation saved
_LISTED = 5  # names that an error lists before it stops


@dataclass(frozen=True)
class System:
    """What one evaluation found.

    Attributes:
        label: what figure and page call it.
        folder: where it lies.
        protocol: of the PSNR that the data set's tables show.
        rows: by image the values of per_image.csv by column; PSNR in dB.
        origin: checkpoint and code that it stands for, in words.
    """

    label: str
    folder: Path
    protocol: str
    rows: dict[str, dict[str, float]]
    origin: str

    @property
    def protocols(self) -> list[str]:
        """The columns that are values of the restored image."""
        return [column for column in next(iter(self.rows.values())) if not column.endswith(of_blur(""))]

    def psnr(self, image: str) -> float:
        """Return the PSNR (dB) of a restored frame."""
        return self.rows[image][self.protocol]

    def psnr_blurred(self, image: str) -> float:
        """Return the PSNR (dB) of the blurred frame."""
        return self.rows[image][of_blur(self.protocol)]

    def gain(self, image: str) -> float:
        """Return the PSNR (dB) above the blurred frame's; 0 where both equal the sharp one, -inf where it is NaN."""
        psnr, blurred = self.psnr(image), self.psnr_blurred(image)
        if math.isnan(psnr):
            return -math.inf
        return 0.0 if psnr == blurred else psnr - blurred

    def picture(self, image: str) -> Path:
        """Return the file of a restored frame."""
        return self.folder / RESTORED / f"{image}.png"


def of_blur(protocol: str) -> str:
    """Return the column that has a protocol's value of the blurred input."""
    return f"{protocol} of blur"


def open_systems(words: Sequence[str], data: str) -> list[System]:
    """Read evaluations, in the order given.

    Args:
        words: folders, or LABEL=FOLDER; none stands for the paper's three, where `evaluate` writes them.
        data: name of the data set that they were evaluated on.

    Raises:
        ValueError: if a folder is of another data set, has no restored images, two have one label, or they differ
            in the images or the PSNR that was scored.
        OSError: if a folder or its files are missing.
    """
    systems = [_open(word, data) for word in words or [f"evaluations/{name}/{data}" for name in PAPER]]
    labels = [BLURRED, SHARP]
    for system in systems:
        if system.label in labels:
            raise ValueError(f"{system.folder}: there are two of the label {system.label!r}; give LABEL=FOLDER")
        labels.append(system.label)
    for system in systems[1:]:
        _check_same(systems[0], system)
    return systems


def _open(word: str, data: str) -> System:
    label, separator, folder = word.partition("=")
    if not separator or Path(word).exists():
        label, folder = "", word
    path = Path(folder)
    if not path.is_dir():
        raise FileNotFoundError(f"{path} is no folder: name one that `deblur-lit evaluate data={data} save=true` wrote")
    if not (path / RESTORED).is_dir():
        raise FileNotFoundError(f"{path} has no {RESTORED}/: run its `deblur-lit evaluate` again with save=true")
    record = runs.read_record(path)
    if data not in record["scores"]:
        raise ValueError(f"{path} was evaluated on {', '.join(record['scores'])}, not on {data}")
    protocol = record["scores"][data]["protocol"]["psnr"]
    return System(label or record["title"], path, protocol, _read_table(path / TABLE, protocol), _origin(record))


def _read_table(path: Path, protocol: str) -> dict[str, dict[str, float]]:
    with path.open(newline="", encoding="utf-8") as file:
        try:
            rows = {
                row["name"]: {column: float(value) for column, value in row.items() if _is_value(column)}
                for row in csv.DictReader(file, strict=True)
            }
        except (KeyError, TypeError, ValueError, csv.Error) as error:
            raise ValueError(f"{path}: no table of numbers by name ({error}); run its evaluation again") from error
    for column in (protocol, of_blur(protocol)):
        if not rows or any(column not in row for row in rows.values()):
            raise ValueError(f"{path}: the column {column!r} is missing or empty; run its evaluation again")
    return rows


def _is_value(column: str) -> bool:
    """Tell values from names and remarks."""
    return column.removesuffix(of_blur("")) in PROTOCOLS


def _origin(record: dict[str, Any]) -> str:
    checkpoint = record["checkpoint"]
    weights = f"checkpoint sha256 {checkpoint['sha256'][:16]}" if checkpoint else "no network"
    return f"{record['title']}, {weights}, commit {record['commit'][:12]}{' (changed)' if record['dirty'] else ''}"


def _check_same(first: System, other: System) -> None:
    if first.protocol != other.protocol:
        told = f"{first.folder} by {first.protocol}, {other.folder} by {other.protocol}"
        raise ValueError(f"PSNR was measured differently: {told}; evaluate both by the same protocols")
    for one, two in ((first, other), (other, first)):
        if missing := [name for name in one.rows if name not in two.rows]:
            more = f" and {len(missing) - _LISTED} more" if len(missing) > _LISTED else ""
            listed = ", ".join(missing[:_LISTED]) + more
            raise ValueError(f"{two.folder} lacks images that {one.folder} has: {listed}; evaluate both on the same")
