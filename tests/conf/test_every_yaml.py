"""Every YAML composes and finds what it names; a new file is covered the day it appears."""

import re
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from deblur_lit.config import check, compose, conf_dir, stems
from deblur_lit.data.sampler import EpochBatchSampler
from deblur_lit.report.spec import load_spec

FILES = sorted(path.relative_to(conf_dir()) for path in conf_dir().rglob("*.yaml"))
EXPERIMENTS = stems("experiment")
ROWS = [f"network={name}" for name in stems("network")] + [f"ablation={name}" for name in stems("ablation")]


def overrides_for(path: Path) -> list[str]:
    """The override that brings a file in: its group's choice; a network's part of an experiment needs both."""
    group, choice = path.parent.as_posix(), path.stem
    if group == ".":
        return []
    if group.startswith("experiment/"):
        return [f"experiment={path.parent.name}", f"network={choice}"]
    return [f"{group}={choice}"]


def resolve(cfg: DictConfig, folder: Path) -> Any:
    """All values, as a run in a folder sees them."""
    cfg.run_dir, cfg.variant = str(folder), ""  # here, since an override of a key costs a second composition
    return OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_it_composes_to_a_run_without_gaps(path: Path, tmp_path: Path) -> None:
    if path.parent.name == "table":
        assert load_spec(path.stem).rows
        return
    if path.stem == "evaluate" or path.parent.name == "metrics":
        OmegaConf.to_container(compose("evaluate", overrides_for(path)), resolve=True, throw_on_missing=True)
        return
    cfg = compose("train", overrides_for(path))
    check(cfg)
    resolve(cfg, tmp_path)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_its_first_lines_say_where_it_goes_and_what_it_is_for(path: Path) -> None:
    lines = (conf_dir() / path).read_text(encoding="utf-8").splitlines()
    packages = [number for number, line in enumerate(lines) if "@package" in line]
    assert packages in ([], [0])  # elsewhere Hydra ignores it silently
    assert bool(packages) == (path.parent.name in ("network", "ablation", "experiment"))
    assert re.match(r"# \w[^ ]* ", lines[len(packages)])


@pytest.mark.parametrize("path", FILES, ids=str)
def test_what_it_names_is_there(path: Path) -> None:
    targets = re.findall(r"_target_: *(\S+)", (conf_dir() / path).read_text(encoding="utf-8"))
    assert all(callable(get_object(target)) for target in targets)


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_takes_every_row(experiment: str, row: str, tmp_path: Path) -> None:
    cfg = compose("train", [row, f"experiment={experiment}"])
    check(cfg)
    resolve(cfg, tmp_path)
    part = conf_dir() / "experiment" / experiment / f"{cfg.card.name}.yaml"
    for key, value in (OmegaConf.load(part) if part.is_file() else {}).items():
        assert cfg.network[key] == value


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_an_experiment_that_makes_networks_smaller_says_so(experiment: str) -> None:
    smaller = (conf_dir() / "experiment" / experiment).is_dir()
    assert compose("train", [f"experiment={experiment}"]).network_reduced is smaller


@pytest.mark.parametrize("row", ["baseline", "dffm", "msrm", "dffm_msrm"])
def test_the_paper_is_its_recipe_to_the_letter(row: str) -> None:
    cfg = compose("train", [f"ablation={row}", "experiment=paper"])
    assert cfg.network == compose("train", [f"ablation={row}"]).network
    assert (cfg.network.channels, cfg.network.num_blocks, cfg.network.pyramid_mode) == (32, 8, "nearest")

    data = cfg.data
    assert (data.name, data.train, data.val, data.test, data.pairs.blur_folder) == (
        "gopro",
        "train",
        "none",
        "test",
        "blur",
    )
    assert (data.batch_size, data.crop_size, data.repeat) == (4, 256, 1)
    assert data.augment.transforms == [{"_target_": "albumentations.HorizontalFlip", "p": 0.5}]
    assert len(EpochBatchSampler(2103, data.batch_size, cfg.seed)) == 526

    assert cfg.optimizer == {
        "_target_": "torch.optim.Adam",
        "_partial_": True,
        "lr": 1e-4,
        "betas": [0.9, 0.999],
        "eps": 1e-8,
        "weight_decay": 0.0,
    }
    assert cfg.scheduler == {"_target_": "deblur_lit.schedulers.cosine", "_partial_": True, "eta_min": 1e-6}
    assert cfg.loss.weights == {"content": 1.0, "frequency": 0.1}
    assert cfg.loss.terms.frequency == {"_target_": "deblur_lit.losses.frequency.frequency_l1", "_partial_": True}

    trainer = cfg.trainer
    assert (trainer.max_epochs, trainer.max_steps, trainer.limit_train_batches) == (3000, -1, None)
    assert (trainer.precision, trainer.gradient_clip_val, cfg.tf32) == ("32-true", None, False)
    assert (trainer.accelerator, trainer.devices, cfg.module.compile) == ("gpu", 1, None)
    assert not [name for name, node in cfg.callbacks.items() if "WeightAveraging" in node._target_]
