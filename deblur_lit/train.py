"""Train one row: compose, instantiate, fit, score, record. `python -m deblur_lit.train [-m] [overrides]`."""

import logging
import os
import sys
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # or its import asks the package index for a newer version

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from deblur_lit import runs
from deblur_lit.config import build, check, check_overrides, conf_dir, metrics_config, row_name, row_title
from deblur_lit.devices import check_devices, check_single, lightning_node
from deblur_lit.meeting import meet
from deblur_lit.slurm import is_first_process, requeue

if TYPE_CHECKING:
    from lightning import Trainer
    from lightning.pytorch.loggers import Logger

    from deblur_lit.data.datamodule import DeblurDataModule
    from deblur_lit.module import DeblurModule

MEETING_PLACE = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "RANK")  # of the processes of a run, in the environment


def main() -> None:
    """Run the Hydra application; what a user can put right ends it in one line."""
    try:
        check_overrides("train", [word for word in sys.argv[1:] if "=" in word and not word.startswith("-")])
    except ValueError as error:
        sys.exit(f"error: {error}")
    _application()


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="train")
def _application(cfg: DictConfig) -> float | None:
    hydra_config = HydraConfig.get()
    try:
        if hydra_config.mode is RunMode.MULTIRUN:  # in the process of the sweep itself
            check_single(cfg.trainer, hydra_config.runtime.choices["hydra/launcher"])
        record = train(cfg)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    return record["scores"][cfg.data.name]["psnr"] if record else None


def train(cfg: DictConfig) -> dict[str, Any]:
    """Train, score and record one run; continue it where it was interrupted, return at once where it is finished.

    Args:
        cfg: the composed conf/train.yaml.

    Returns:
        The completion record, also at `run_dir/metrics.json`; empty on other ranks than the first.

    Raises:
        ValueError: for a configuration that cannot mean what it says, that differs from the one with which the
            folder was started, or whose folder another process works in.
        SystemExit: after Ctrl-C or SIGTERM, with the checkpoint written, and where the loss is not finite.
    """
    check(cfg)
    folder = Path(cfg.run_dir)
    first = is_first_process()  # the others belong to its run
    with runs.lock(folder) if first else nullcontext():
        if keys := runs.mismatch(folder, cfg):
            raise ValueError(
                f"{folder} was started with other values of {', '.join(keys)}: "
                "choose another study= or variant=, or delete the folder"
            )
        if runs.is_finished(folder):
            print(f"finished already: {folder / runs.RECORD}", flush=True)
            return runs.read_record(folder)
        if first:
            runs.save_config(folder, cfg)
        return _run(cfg, folder)


def _run(cfg: DictConfig, folder: Path) -> dict[str, Any]:
    processes = check_devices(cfg.trainer, cfg.data.batch_size)
    meet(int(cfg.trainer.num_nodes), float(cfg.trainer.meeting_seconds))
    import lightning  # here, because an error above should not wait for it
    import torch

    from deblur_lit.tracking import RunLogger

    _quiet()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = cfg.tf32
    lightning.seed_everything(cfg.seed, workers=True, verbose=False)
    datamodule: DeblurDataModule = build(cfg.data.module)
    module: DeblurModule = build(cfg.module)
    loggers = _loggers(cfg)
    exit_code: Any = 1
    try:
        trainer = _trainer(cfg, datamodule, processes, loggers)
        _fit(trainer, module, datamodule, folder)
        if not trainer.is_global_zero:
            return {}
        record = _record(cfg, trainer, module, datamodule, folder)
        for logger in loggers:
            if isinstance(logger, RunLogger):
                logger.log_record(record)
        runs.write_record(folder, record)
        exit_code = 0
    except SystemExit as stop:
        exit_code = stop.code
        raise
    finally:
        _close(loggers, exit_code if isinstance(exit_code, int) else 1)
    score = record["scores"][cfg.data.name]
    print(
        f"{record['row']}: {score['psnr']:.2f} dB, SSIM {score['ssim']:.4f} on {score['label']} ({folder})",
        flush=True,
    )
    return record


def _quiet() -> None:
    """Silence what Lightning says about choices that are ours."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).handlers.clear()  # Hydra's root logger prints already
    for tip in ("lightning.pytorch.utilities.rank_zero", "lightning.pytorch.accelerators.cuda"):
        logging.getLogger(tip).setLevel(logging.WARNING)
    for text in (
        "Checkpoint directory .* exists",
        "The number of training batches",
        ".*does not have many workers",
        ".*LeafSpec",
    ):
        warnings.filterwarnings("ignore", text)


def _loggers(cfg: DictConfig) -> "list[Logger]":
    """Return the loggers, told the resolved configuration."""
    from deblur_lit import provenance

    loggers = [build(node) for node in (cfg.logger or {}).values() if node is not None]
    if is_first_process():  # before there is a trainer, another process would not know that it is none
        commit, dirty = provenance.git_state()
        config: Any = OmegaConf.to_container(cfg, resolve=True)
        for logger in loggers:
            logger.log_hyperparams({**config, "row": row_name(cfg), "commit": commit, "dirty": dirty})
    return loggers


def _trainer(cfg: DictConfig, datamodule: "DeblurDataModule", processes: int, loggers: "list[Logger]") -> "Trainer":
    nodes = {name: node for name, node in cfg.callbacks.items() if node is not None}
    if not datamodule.has_validation:
        nodes = {name: node for name, node in nodes.items() if "monitor" not in node}
    node = lightning_node(cfg.trainer, processes)
    return build(node, {"callbacks": [build(node) for node in nodes.values()], "logger": loggers})


def _close(loggers: "list[Logger]", exit_code: int) -> None:
    from deblur_lit.tracking import RunLogger

    for logger in loggers:
        logger.finalize("failed" if exit_code else "success")
        if isinstance(logger, RunLogger):
            logger.close(exit_code)


def _fit(trainer: "Trainer", module: "DeblurModule", datamodule: "DeblurDataModule", folder: Path) -> None:
    """Fit from last.ckpt where there is one.

    Raises:
        ValueError: if the processes of the run do not find each other: a port in use, a machine that never came.
    """
    import torch

    from deblur_lit.module import NonFiniteLossError
    from deblur_lit.networks.checkpoint import read_weights

    last = folder / runs.CHECKPOINT
    if last.is_file():
        read_weights(last)  # a damaged file is named before anything starts
        if trainer.is_global_zero:
            print(f"continuing from {last}", flush=True)
    try:
        trainer.fit(module, datamodule=datamodule, ckpt_path=last if last.is_file() else None, weights_only=True)
    except NonFiniteLossError as error:
        sys.exit(f"error: {error}")
    except torch.distributed.DistError as error:
        where = ", ".join(f"{name}={os.environ[name]}" for name in MEETING_PLACE if name in os.environ)
        raise ValueError(
            f"the {trainer.world_size} processes of the run ({trainer.num_nodes} machines) did not meet or lost each "
            f"other; {where}: {str(error).splitlines()[0]}"
        ) from error
    except SystemExit:
        if trainer.interrupted:
            print(f"interrupted; the same command continues from {last}", flush=True)
            preempted = any(getattr(callback, "preempted", False) for callback in trainer.checkpoint_callbacks)
            if preempted and is_first_process() and (said := requeue()):
                print(said, flush=True)
            sys.exit(130)
        raise


def _record(
    cfg: DictConfig, trainer: "Trainer", module: "DeblurModule", datamodule: "DeblurDataModule", folder: Path
) -> dict[str, Any]:
    """Score the chosen checkpoint on the test split and return the completion record."""
    import torch

    from deblur_lit import evaluate
    from deblur_lit.networks.checkpoint import load_weights
    from deblur_lit.networks.loading import describe
    from deblur_lit.restore import Restorer

    best = folder / "best.ckpt"
    chosen = best if datamodule.has_validation and best.is_file() else folder / runs.CHECKPOINT
    load_weights(module.network, chosen)
    device = trainer.strategy.root_device
    scores = evaluate.score(
        Restorer(module.network.eval().to(device)),
        datamodule.test_pairs,
        datamodule.test_label,
        datamodule.test_complete,
        device,
        folder / "test.png",  # the report's picture of the row
        build(metrics_config(cfg.data.name)),
    )
    state = torch.load(chosen, map_location="cpu", weights_only=True)
    val_psnr = trainer.callback_metrics.get("val/psnr") if chosen != best else _best_score(trainer)
    training = {
        "data": cfg.data.name,
        "data_hash": datamodule.train_pairs.fingerprint(),
        "steps": trainer.global_step,
        "epochs": trainer.current_epoch,
        "crops": datamodule.crops(trainer.global_step),
        "crop_size": datamodule.crop_size,
        "batch_size": datamodule.batch_size,
        "seconds": round(_seconds(trainer), 1),
        "scored_step": state["global_step"],
        "val_psnr": None if val_psnr is None else round(float(val_psnr), 4),
        "precision": str(cfg.trainer.precision),
        "devices": trainer.world_size,
    }
    return evaluate.record(
        row=row_name(cfg),
        title=row_title(cfg),
        study=cfg.study,
        seed=cfg.seed,
        config_hash=runs.config_hash(cfg),
        network={**describe(cfg.network), "reduced": cfg.network_reduced},
        training=training,
        checkpoint=evaluate.describe_checkpoint(chosen, "best by val/psnr" if chosen == best else "last"),
        scores={cfg.data.name: scores},
        device=device,
    )


def _best_score(trainer: "Trainer") -> Any:
    """Return the validation PSNR of best.ckpt."""
    from lightning.pytorch.callbacks import ModelCheckpoint

    best = [callback for callback in trainer.checkpoint_callbacks if isinstance(callback, ModelCheckpoint)]
    return best[0].best_model_score


def _seconds(trainer: "Trainer") -> float:
    """Return the training time over all starts."""
    from lightning.pytorch.callbacks import Timer

    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    return float(sum(callback.time_elapsed("train") for callback in callbacks if isinstance(callback, Timer)))


if __name__ == "__main__":
    main()
