"""What the data and configurations of finished runs are now, for the table to say which of its cells are stale."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from deblur_lit import provenance, runs
from deblur_lit.config import build
from deblur_lit.report.fields import write_whole
from deblur_lit.report.stale import CURRENT

if TYPE_CHECKING:
    from deblur_lit.data.datamodule import DeblurDataModule


def write_current(
    base: Path, folders: Mapping[Path, DictConfig | None], sets: Mapping[str, "DeblurDataModule"], ignored: set[str]
) -> Path:
    """Write current.json, as `report.stale` reads it, and return its path.

    Args:
        base: runs/<table>/<data>.
        folders: finished trainings there, each with the table's recipe for it, None where it stands in for one.
        sets: the data sets that rows are scored on.
        ignored: keys that say on which hardware a run was trained.
    """
    trained_on: dict[str, str | None] = {}
    facts = {
        folder.relative_to(base).as_posix(): _facts(folder, recipe, ignored, trained_on)
        for folder, recipe in folders.items()
    }
    test = {name: data.test_pairs.fingerprint() for name, data in sets.items()}
    return write_whole(base / CURRENT, (json.dumps({"test": test, "runs": facts}, indent=1) + "\n").encode())


def _facts(
    folder: Path, recipe: DictConfig | None, ignored: set[str], trained_on: dict[str, str | None]
) -> dict[str, Any]:
    saved = runs.saved_config(folder)
    file = folder / runs.CONFIG
    return {
        "record": provenance.file_sha256(folder / runs.RECORD),
        "config_file": provenance.file_sha256(file) if file.is_file() else None,
        "config_hash": runs.config_hash(saved) if saved else None,
        "train": _training_images(saved, trained_on) if saved else None,
        "recipe": sorted({*runs.differing_keys(recipe, saved)} - ignored) if recipe is not None and saved else [],
    }


def _training_images(saved: Mapping[str, Any], known: dict[str, str | None]) -> str | None:
    """Return the hash of the images that a configuration trains on, None where they are not here."""
    node = OmegaConf.create(dict(saved)).data.module
    key = json.dumps(OmegaConf.to_container(node, resolve=True), sort_keys=True, default=str)
    if key not in known:
        datamodule: DeblurDataModule = build(node)
        try:
            datamodule.prepare_data()
            known[key] = datamodule.train_pairs.fingerprint()
        except (ValueError, OSError):
            known[key] = None  # scored on a machine without the training split
    return known[key]
