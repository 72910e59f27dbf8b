"""Train one row: compose, instantiate, fit, score, record. `python -m deblur_lit.train [-m] [overrides]`."""

import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # or its import asks the package index for a newer version

import hydra
import yaml
from omegaconf import DictConfig, OmegaConf

from deblur_lit import runs
from deblur_lit.config import check, check_overrides, conf_dir, config_hash, row_name, row_title

CONFIG = "train_config.yaml"  # resolved, in the run folder from the first start on


def main() -> None:
    """Run the Hydra application; an override that names nothing valid ends it with the nearest valid one."""
    try:
        check_overrides("train", [word for word in sys.argv[1:] if not word.startswith("-")])
        _application()
    except (ValueError, OSError, runs.RunError) as error:
        sys.exit(f"error: {error}")


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="train")
def _application(cfg: DictConfig) -> float:
    finished = train(cfg)
    return float(finished["scores"][cfg.data.name]["psnr"]) if finished else float("nan")


def train(cfg: DictConfig) -> dict[str, Any]:
    """Train, score and record one run; continue it where it was interrupted, return at once where it is finished.

    Args:
        cfg: the composed conf/train.yaml.

    Returns:
        The completion record, also at `run_dir/metrics.json`; empty on other ranks than the first.

    Raises:
        ValueError: for a configuration that cannot mean what it says, or that differs from the one with which
            the run folder was started.
        SystemExit: after Ctrl-C or SIGTERM, with the checkpoint written.
    """
    check(cfg)
    folder = Path(cfg.run_dir)
    config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
    child = int(os.environ.get("LOCAL_RANK", "0")) > 0  # rank 0 holds the lock
    with nullcontext() if child else runs.lock(folder):
        _claim(folder, config)
        if runs.is_finished(folder):
            print(f"finished already: {folder / runs.RECORD}", flush=True)
            return runs.read_record(folder)
        return _train(cfg, config, folder)


def _claim(folder: Path, config: dict[str, Any]) -> None:
    """Refuse a folder that was started with a configuration of other numbers; else leave ours in it."""
    path = folder / CONFIG
    if path.is_file():
        differing = runs.differing_keys(yaml.safe_load(path.read_text()), config)
        if differing:
            raise ValueError(
                f"{folder} was started with other values of {', '.join(differing)}: "
                "choose another study= or variant=, or delete the folder"
            )
    elif int(os.environ.get("LOCAL_RANK", "0")) == 0:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(config, sort_keys=False))


def _train(cfg: DictConfig, config: dict[str, Any], folder: Path) -> dict[str, Any]:
    # Here, because the early errors above should not wait for them.
    import lightning
    import torch
    from hydra.utils import instantiate

    from deblur_lit import evaluate
    from deblur_lit.module import DeblurModule, NonFiniteLossError
    from deblur_lit.networks.checkpoint import load_weights
    from deblur_lit.networks.loading import count_macs, count_parameters

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = cfg.tf32
    lightning.seed_everything(cfg.seed, workers=True, verbose=False)
    datamodule = instantiate(cfg.data.module)
    module: DeblurModule = instantiate(cfg.module)
    callbacks = {name: node for name, node in cfg.callbacks.items() if node is not None}
    if not datamodule.has_validation:
        callbacks = {name: node for name, node in callbacks.items() if "monitor" not in node}
    loggers = [instantiate(node) for node in (cfg.logger or {}).values() if node is not None]
    trainer: lightning.Trainer = instantiate(
        cfg.trainer, callbacks=[instantiate(node) for node in callbacks.values()], logger=loggers
    )
    commit, dirty = evaluate.provenance.git_state()
    for logger in loggers:
        logger.log_hyperparams({**config, "commit": commit, "dirty": dirty})
        if getattr(logger, "_offline", False):
            print(f"wandb: no account here, logging offline; `wandb sync {folder}/wandb/offline-run-*` uploads")
    last = folder / "last.ckpt"
    if last.is_file() and trainer.is_global_zero:
        print(f"continuing from {last}", flush=True)
    try:
        trainer.fit(module, datamodule=datamodule, ckpt_path=last if last.is_file() else None, weights_only=True)
    except NonFiniteLossError as error:
        sys.exit(f"error: {error}")
    except SystemExit:
        if trainer.interrupted:
            print(f"interrupted; the same command continues from {last}", flush=True)
            sys.exit(130)
        raise
    finally:
        _close(loggers)
    if not trainer.is_global_zero:
        return {}

    best = folder / "best.ckpt"
    chosen = best if datamodule.has_validation and best.is_file() else last
    load_weights(module.network, chosen)
    device = trainer.strategy.root_device
    frames = datamodule.test_frames()
    scores = evaluate.score(
        module.network.eval().to(device), frames, cfg.data.label.format(images=len(frames)), datamodule.test_complete,
        device, folder / "test.png",
    )
    stored = torch.load(chosen, map_location="cpu", weights_only=True)
    finished = evaluate.record(
        row=row_name(cfg),
        title=row_title(cfg),
        study=cfg.study,
        seed=cfg.seed,
        config_hash=config_hash(cfg),
        network={
            "target": cfg.network._target_,
            "parameters": count_parameters(module.network),
            "macs_256": count_macs(cfg.network),
            "reduced": cfg.reduced,
        },
        training={
            "data": cfg.data.name,
            "data_hash": datamodule.train_fingerprint(),
            "steps": trainer.global_step,
            "epochs": trainer.current_epoch,
            "crops": datamodule.crops(trainer.global_step),
            "crop_size": cfg.data.module.crop_size,
            "batch_size": cfg.data.module.batch_size,
            "seconds": round(_seconds(trainer), 1),
            "best_epoch": stored["epoch"] if chosen == best else None,
            "val_psnr": _best_score(trainer),
            "precision": str(cfg.trainer.precision),
            "devices": trainer.world_size,
        },
        checkpoint={
            "file": chosen.name,
            "sha256": evaluate.provenance.file_sha256(chosen),
            "selection": "best by val/psnr" if chosen == best else "last",
        },
        scores={cfg.data.name: scores},
        devices=[torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"],
    )
    runs.write_record(folder, finished)
    print(f"{row_name(cfg)}: {scores['psnr']:.2f} dB, {scores['ssim']:.4f} on {scores['label']} ({folder})", flush=True)
    return finished
