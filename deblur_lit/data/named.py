"""A data set by the name of its YAML, for the commands that work on data without training on it."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from deblur_lit.config import build, compose, stems
from deblur_lit.data.pairs import PairList, nearest


def data_config(name: str, root: str | Path | None = None) -> DictConfig:
    """Return the resolved `data` node of conf/data/<name>.yaml.

    Args:
        name: stem of a YAML in conf/data.
        root: folder of the data in place of the YAML's.

    Raises:
        ValueError: if there is no such YAML; names the nearest.
    """
    known = stems("data")
    if name not in known:
        raise ValueError(f"there is no conf/data/{name}.yaml{nearest(name, known)}")
    cfg = compose("train", [f"data={name}"])
    if root is not None:
        OmegaConf.update(cfg, "data.root", str(root), merge=False)
    OmegaConf.resolve(cfg.data)
    return cfg.data


def data_root(data: DictConfig) -> Path:
    """Return the folder of a data set; the embedded benchmark is built where it is missing."""
    return Path(data.root) if isinstance(data.root, str) else build(data.root).root()


def open_split(data: DictConfig, split: str) -> PairList:
    """Return one whole split, held-out sequences included.

    Raises:
        FileNotFoundError: if the folder is missing.
        ValueError: if files lack their partner.
    """
    pairs: PairList = build(data.pairs)(data_root(data), split)
    return pairs


def splits_of(data: DictConfig) -> list[str]:
    """Return the names of the data set's splits, training first, each once; held-out sequences are no split."""
    names = [data.train, data.val if isinstance(data.val, str) else None, data.test]
    return list(dict.fromkeys(name for name in names if name not in (None, "none")))


def chosen_splits(data: DictConfig, chosen: Sequence[str] | None) -> list[str]:
    """Return the splits that were asked for, all of the data set where none was.

    Raises:
        ValueError: for a split that the data set does not have; names those it has.
    """
    known = splits_of(data)
    for split in chosen or ():
        if split not in known:
            raise ValueError(f"{data.name} has no split {split!r}{nearest(split, known)}")
    return list(dict.fromkeys(chosen or known))
