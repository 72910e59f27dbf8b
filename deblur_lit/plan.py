"""What making a table will take: which rows exist, which are trained, how long, how much disk."""

import os
import shutil
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from deblur_lit import runs
from deblur_lit.config import build, compose, stems
from deblur_lit.networks.checkpoint import SUFFIXES, find_checkpoint
from deblur_lit.report.spec import RowSpec

if TYPE_CHECKING:
    from deblur_lit.data.datamodule import DeblurDataModule

# Rows trained here: with the embedded data, and with GoPro, where the rivals come from published weights.
TRAINED = {
    "mini": {"table1": ["dffm_msrm", "mimo_unet"], "table2": ["baseline", "dffm", "msrm", "dffm_msrm"]},
    "gopro": {"table1": ["dffm_msrm"], "table2": ["baseline", "dffm", "msrm", "dffm_msrm"]},
}
RECIPE = {"mini": "mini", "gopro": "paper"}  # conf/experiment
PROBE_STEPS = {"cuda": 5, "cpu": 2}  # of them the first warms up; the full network takes seconds a step on a CPU
HARDWARE = {
    f"trainer.{key}"
    for key in (
        "accelerator",
        "devices",
        "num_nodes",
        "strategy",
        "recipe_devices",
        "keep_global_batch",
    )
}
CHECKPOINTS_KEPT = 2  # last.ckpt and best.ckpt, of weights and Adam's two moments


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    table: str
    data_root: Path | None
    checkpoints: Path | None
    train: bool
    train_all: bool
    optional: bool
    rows: list[str]
    seeds: str
    runs: Path
    overrides: list[str]

    @property
    def data(self) -> str:
        """The data set of the table's runs."""
        return "gopro" if self.data_root else "mini"

    @property
    def base(self) -> Path:
        """The folder of the table's runs."""
        return self.runs / self.table / self.data

    def seed_folders(self, row: str) -> list[Path]:
        """Return the run folders of a trained row."""
        return [self.base / row / f"seed{seed}" for seed in self.seeds.split(",")]


@dataclass(frozen=True)
class Plan:
    """Where each row of a table comes from.

    `scored` maps rows to published checkpoints, `trained` lists rows to train or continue, `finished` rows whose
    trained runs are all there, `missing` maps the others to the reason.
    """

    scored: dict[str, Path]
    trained: list[str]
    finished: list[str]
    missing: dict[str, str]


def has_network(row: str) -> bool:
    """Tell whether a row of a table has a YAML in conf/network or conf/ablation."""
    return row in stems("ablation") or row in stems("network")


def choice_of(row: str) -> str:
    """Return the override that chooses a row's network.

    Example:
        >>> choice_of("dffm"), choice_of("mimo_unet")
        ('ablation=dffm', 'network=mimo_unet')
    """
    return f"ablation={row}" if row in stems("ablation") else f"network={row}"


def make_plan(options: Options, rows: Sequence[RowSpec], trainable: bool) -> Plan:
    """Decide where each row comes from: finished runs, then published weights, then training.

    Args:
        options: the command line.
        rows: of the table, without the blurred input.
        trainable: whether there are training images.
    """
    plan = Plan({}, [], [], {})
    trained_here = TRAINED[options.data][options.table]
    may_train = trainable and (options.train or options.data == "mini")
    reduced: dict[str, DictConfig] = {}
    for row in (row.key for row in rows):
        wanted = row in (*trained_here, *options.rows) or _is_extra(options, rows, row)
        checkpoint = find_checkpoint(options.checkpoints, row) if options.checkpoints else None
        if all(runs.is_finished(folder) for folder in options.seed_folders(row)):
            plan.finished.append(row)
        elif not has_network(row):
            plan.missing[row] = f"no network yet: there is no conf/network/{row}.yaml"
        elif checkpoint:
            plan.scored[row] = checkpoint
        elif wanted and may_train:
            network = compose("train", [choice_of(row), f"experiment={RECIPE[options.data]}"]).network
            twin = next((other for other in reduced if reduced[other] == network), None)
            if twin:
                plan.missing[row] = f"experiment={RECIPE[options.data]} reduces it to the same network as {twin}"
                continue
            reduced[row] = network
            plan.trained.append(row)
        else:
            plan.missing[row] = _reason(options, row, wanted, trainable)
    return plan


def find_elsewhere(options: Options, row: str, seed: str) -> Path | None:
    """Return a finished run of another study that may fill a row: trained on the table's data under the row's name.

    Args:
        options: the command line.
        row: a stem of conf/network or conf/ablation.
        seed: the run folder's name, such as `seed0`.

    Returns:
        A run of the table's recipe; where there is none and nothing is trained, the one of most steps, for the table
        shows its steps; else None.
    """
    found = {}
    for folder in sorted(options.runs.glob(f"*/{options.data}/{row}/{seed}")):
        if folder.parents[2].name != options.table and not folder.is_symlink() and runs.is_finished(folder):
            record = runs.read_record(folder)
            if record["row"] == row and record["training"] and record["training"]["data"] == options.data:
                found[folder] = record
    recipe = [choice_of(row), f"experiment={RECIPE[options.data]}", f"seed={seed.removeprefix('seed')}"]
    wanted = compose("train", [*recipe, *options.overrides]) if found else {}
    for folder in found:
        if not {*runs.differing_keys(wanted, runs.saved_config(folder))} - HARDWARE:
            return folder
    return None if options.train else max(found, key=lambda at: found[at]["training"]["steps"], default=None)


def _is_extra(options: Options, rows: Sequence[RowSpec], key: str) -> bool:
    """Tell whether a row is trained because of what was asked for: on mini all rows, or the table's optional ones.

    With GoPro only Table 2's controls, which are ablations, are trained beyond the paper's own rows.
    """
    optional = any(row.key == key and row.optional for row in rows)
    return (optional or options.train_all) if options.data == "mini" else optional and key in stems("ablation")


def _reason(options: Options, row: str, wanted: bool, trainable: bool) -> str:
    kinds = ",".join(suffix.lstrip(".") for suffix in SUFFIXES)
    place = options.checkpoints or "CHECKPOINTS"
    looked = f"looked for {place}/{row}.{{{kinds}}} and {place}/{row}/"
    if not wanted:
        return looked
    train = "TRAIN=1 trains it on a GPU" if trainable else "there is no train/ to train it on"
    return f"{looked}, and for {options.base / row}/seed{options.seeds.split(',')[0]}; {train}"


def print_plan(options: Options, plan: Plan, datamodule: "DeblurDataModule", trainable: bool) -> None:
    """Print where each row comes from, and with training images what the trainings cost in hours and disk."""
    print(f"{options.table} on {datamodule.test_label}", flush=True)
    for row, checkpoint in plan.scored.items():
        print(f"  {row}: published weights {checkpoint}")
    for row in plan.finished:
        print(f"  {row}: finished, {', '.join(str(_origin(folder)) for folder in options.seed_folders(row))}")
    for row in plan.trained:
        begun = any(runs.is_begun(folder) for folder in options.seed_folders(row))
        how = "continues" if begun else "to train"
        print(f"  {row}: {how} (experiment={RECIPE[options.data]}, seeds {options.seeds})")
    for row, reason in plan.missing.items():
        print(f"  {row}: - ({reason})")
    wanted = [row for row in TRAINED[options.data][options.table] if row not in (*plan.scored, *plan.finished)]
    if options.data_root and trainable and wanted:
        print(_cost(options, wanted), flush=True)
    print(flush=True)


def _origin(folder: Path) -> Path:
    """Return the run folder itself where a table's folder is a link to one of another study."""
    return Path(os.path.normpath(folder.parent / folder.readlink())) if folder.is_symlink() else folder


def _cost(options: Options, rows: Sequence[str]) -> str:
    seeds = len(options.seeds.split(","))
    hours, size = 0.0, 0.0
    device, steps, crops = "", 0, 0
    for row in rows:
        cfg = compose("train", [choice_of(row), f"experiment={RECIPE[options.data]}", *options.overrides])
        seconds, parameters, device = probe(cfg)
        steps = cfg.trainer.max_epochs * -(-2103 // cfg.data.batch_size)
        crops = cfg.trainer.max_epochs * 2103
        hours += seeds * steps * seconds / 3600
        size += seeds * CHECKPOINTS_KEPT * 3 * 4 * parameters / 2**30
    free = shutil.disk_usage(options.base).free / 2**30
    kind = "GPU-hours" if device != "cpu" else "hours on this CPU, where it is refused"
    return (
        f"  to train {', '.join(rows)}: {steps} steps and {crops} images seen each, about {hours:.0f} {kind} "
        f"({seeds} seed(s), probed {PROBE_STEPS['cpu' if device == 'cpu' else 'cuda']} steps on {device}), "
        f"checkpoints {size:.1f} GiB of {free:.0f} GiB free"
    )


def probe(cfg: DictConfig) -> tuple[float, int, str]:
    """Time a few training steps of a configuration on random images.

    Returns:
        (seconds per step, parameters of the network, name of the device).
    """
    import torch

    from deblur_lit.tensors import Batch

    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    module: Any = build(cfg.module).to(device)
    optimizer = module.make_optimizer(module.network.parameters())
    shape = (cfg.data.batch_size, 3, cfg.data.crop_size, cfg.data.crop_size)
    image = torch.rand(shape, device=device).contiguous(memory_format=torch.channels_last)
    batch = Batch(blur=image, sharp=image.flip(-1), name=[])
    times = []
    for _ in range(PROBE_STEPS[device.type]):
        start = time.perf_counter()
        optimizer.zero_grad()
        torch.stack(list(module.loss(module.network(batch["blur"]), batch["sharp"]).values())).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if cuda:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    parameters = sum(parameter.numel() for parameter in module.network.parameters())
    return (
        statistics.median_low(times[1:]),
        parameters,
        torch.cuda.get_device_name() if cuda else "cpu",
    )
