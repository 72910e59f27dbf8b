"""Make a table of the paper: plan, score what exists, train what may be trained, tabulate.

`python -m deblur_lit.reproduce table1` is what `make reproduce-table1` runs. Finished rows are kept, so the same
command continues after an interruption.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # or its import asks the package index for a newer version

from omegaconf import DictConfig, OmegaConf

from deblur_lit import runs
from deblur_lit.config import build, compose, metrics_config, stems
from deblur_lit.current import write_current
from deblur_lit.plan import (
    HARDWARE,
    RECIPE,
    TRAINED,
    Options,
    Plan,
    choice_of,
    find_elsewhere,
    has_network,
    make_plan,
    print_plan,
)
from deblur_lit.report.__main__ import main as report
from deblur_lit.report.spec import RowSpec, TableSpec, load_spec
from deblur_lit.variants import score_variants, weights_changed

if TYPE_CHECKING:
    from deblur_lit.data.datamodule import DeblurDataModule
    from deblur_lit.networks.blocks import DeblurNetwork
    from deblur_lit.restore import Restorer

POLL_SECONDS = 0.2
INPUT_ROW = "blur"
MISSING = "missing.json"  # why a row has no number, for the table
ALSO_SCORED = {"gopro": ["realblur_j"]}  # data sets that the same weights are scored on, where they are there


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status; a mistake is one message on stderr."""
    options = _parse(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, signal.default_int_handler)  # end like Ctrl-C: children first
    if options.data_root:
        os.environ["DATA_ROOT"] = str(options.data_root)  # conf/data reads it, here and in the jobs
    try:
        return reproduce(options)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; finished rows are kept, the same command continues", file=sys.stderr)
        return 130


def _parse(arguments: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(prog="python -m deblur_lit.reproduce", description=__doc__)
    parser.add_argument("table", choices=sorted(TRAINED["mini"]))
    parser.add_argument("--data-root", type=Path, help="folder that holds gopro/ (and realblur_j/); without: data=mini")
    parser.add_argument("--checkpoints", type=Path, help="published weights as <network>.<ext> or <network>/")
    parser.add_argument("--train", action="store_true", help="with --data-root: train what is missing, on GPUs")
    parser.add_argument("--train-all", action="store_true", help="mini: train every row that has a network")
    parser.add_argument("--optional", action="store_true", help="also the table's optional rows (controls, extras)")
    parser.add_argument("--rows", type=_rows, default="", help="further stems of conf/ablation or conf/network")
    parser.add_argument("--seeds", type=_seeds, default="0", help="comma-separated (default: %(default)s)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="default: %(default)s")
    parser.add_argument("overrides", nargs="*", help="Hydra overrides of the trainings, such as trainer=ddp")
    return Options(**vars(parser.parse_intermixed_args(arguments)))  # so that overrides may follow options


def _is_wanted(options: Options, optional_row: str) -> bool:
    """Tell whether an optional row is asked for; further networks cost nothing where published weights are scored."""
    return options.optional or (options.data != "mini" and optional_row in stems("network"))


def _rows(text: str) -> list[str]:
    rows = text.replace(",", " ").split()
    if unknown := [row for row in rows if not has_network(row)]:
        raise argparse.ArgumentTypeError(
            f"there is no conf/ablation/{unknown[0]}.yaml or conf/network/{unknown[0]}.yaml"
        )
    return rows


def _seeds(text: str) -> str:
    seeds = text.replace(",", " ").split()
    if not seeds or not all(seed.isdecimal() for seed in seeds):
        raise argparse.ArgumentTypeError(f"{text!r} must be whole numbers, such as 0,1,2")
    return ",".join(str(int(seed)) for seed in seeds)  # as the run folders are named


def reproduce(options: Options) -> int:
    """Plan, score, train and tabulate; return 1 if a training failed, else 0.

    Raises:
        ValueError: if training was asked for where it is refused, or data or checkpoints are wrong.
        FileNotFoundError: if a folder is missing.
    """
    for folder in (options.data_root, options.checkpoints):
        if folder and not folder.is_dir():
            raise FileNotFoundError(f"{folder}: no such folder")
    if options.data == "mini":
        print(
            "No DATA_ROOT: this runs data=mini, reduced networks on synthetic blur, on the CPU. Its numbers compare "
            "with each other, not with the published ones.",
            flush=True,
        )
    spec = load_spec(options.table)
    rows = [row for row in spec.rows if row.key != INPUT_ROW and (not row.optional or _is_wanted(options, row.key))]
    rows += [RowSpec(name, name, "", False, {}, ()) for name in options.rows if name not in {row.key for row in rows}]
    datamodule = _open(options.data)
    trainable = _is_trainable(options, datamodule)
    if options.data_root:
        _take_over(options, rows)
    plan = make_plan(options, rows, trainable)
    options.base.mkdir(parents=True, exist_ok=True)
    print_plan(options, plan, datamodule, trainable)

    also = [name for name in ALSO_SCORED.get(options.data, []) if _is_there(name)]
    sets = {options.data: datamodule, **{name: _open(name) for name in also}}
    for row in (row for row in spec.rows if row.key == INPUT_ROW):
        _score_row(options, row, None, sets)
    for row in rows:
        if row.key in plan.scored:
            _score_row(options, row, plan.scored[row.key], sets)
    succeeded = _train(options, _sweeps(options, plan.trained))
    _score_further(options, spec, rows, plan, sets)
    (options.base / MISSING).write_text(json.dumps(plan.missing, indent=1) + "\n")
    status = report(
        [
            options.table,
            "--data",
            options.data,
            "--runs",
            str(options.runs),
            *["--optional"] * options.optional,
        ]
    )
    return status if succeeded else 1


def _score_further(
    options: Options, spec: TableSpec, rows: Sequence[RowSpec], plan: Plan, sets: Mapping[str, "DeblurDataModule"]
) -> None:
    """Score finished rows on what they were not scored on yet, in each of the table's ways; note what changed since."""
    trained = {folder: row.key for row in rows for folder in options.seed_folders(row.key) if runs.is_finished(folder)}
    for folder in trained:
        if not weights_changed(folder, runs.read_record(folder)):
            _score_also(folder, sets)
            _score_variants(folder, spec.variants, sets, partial(_trained_network, folder))
    for row, checkpoint in plan.scored.items():
        _score_variants(
            options.base / row / "published", spec.variants, sets, partial(_published_network, row, checkpoint)
        )
    recipes = {folder: _recipe(options, row, folder) for folder, row in trained.items()}
    write_current(options.base, recipes, sets, HARDWARE)


def _recipe(options: Options, row: str, folder: Path) -> DictConfig | None:
    """Return the table's configuration of a run, None for one of another study that stands in for it."""
    if folder.is_symlink() or not has_network(row):
        return None
    choices = [choice_of(row), f"study={options.table}", f"experiment={RECIPE[options.data]}"]
    return compose("train", [*choices, f"seed={folder.name.removeprefix('seed')}", *options.overrides])


def _open(data: str) -> "DeblurDataModule":
    # All training images, as the paper uses them: sequences that are not there cannot be held out.
    datamodule: DeblurDataModule = build(compose("train", [f"data={data}", "data.val=none"]).data.module)
    datamodule.prepare_data()
    return datamodule


def _is_trainable(options: Options, datamodule: "DeblurDataModule") -> bool:
    """Tell whether there is a training split.

    Raises:
        ValueError: if training was asked for without one, or without a GPU.
    """
    if not options.data_root:
        return True
    try:
        _ = datamodule.train_pairs
    except (ValueError, OSError) as error:
        if options.train:
            raise ValueError(f"TRAIN=1, but there is nothing to train on: {error}. Or leave TRAIN out") from error
        return False
    if options.train:
        import torch

        if not torch.cuda.is_available():
            raise ValueError(
                "TRAIN=1, but there is no GPU here, and 3000 epochs on a CPU would take years: leave it out"
            )
    return True


def _take_over(options: Options, rows: Sequence[RowSpec]) -> None:
    """Link finished GoPro runs of other studies, such as `train` or the other table, to where this table reads.

    A run of the table's own recipe comes first; another one stands in where nothing is trained now.
    """
    for row in (row.key for row in rows if has_network(row.key)):
        for folder in options.seed_folders(row):
            if folder.is_symlink():
                folder.unlink()  # chosen anew: it may be gone, or a better one may have finished
            if folder.exists():
                continue
            taken = find_elsewhere(options, row, folder.name)
            if taken:
                folder.parent.mkdir(parents=True, exist_ok=True)
                folder.symlink_to(os.path.relpath(taken.resolve(), folder.parent.resolve()))


def _score_row(options: Options, row: RowSpec, checkpoint: Path | None, sets: Mapping[str, "DeblurDataModule"]) -> None:
    """Score published weights, or the blurred input where there is no checkpoint."""
    from deblur_lit import evaluate
    from deblur_lit.networks.loading import describe, load_network, network_config
    from deblur_lit.restore import Restorer

    folder = options.base / row.key if checkpoint is None else options.base / row.key / "published"
    described = evaluate.describe_checkpoint(checkpoint, "published") if checkpoint else None
    if runs.is_finished(folder):
        before = runs.read_record(folder)
        hashes = {name: score["data_hash"] for name, score in before["scores"].items()}
        if before["checkpoint"] == described and hashes == {n: d.test_pairs.fingerprint() for n, d in sets.items()}:
            print(f"{row.key}: finished already", flush=True)
            return
    network = load_network(row.key, checkpoint) if checkpoint else None
    config = network_config(row.key).network if checkpoint else None
    folder.mkdir(parents=True, exist_ok=True)
    device = _device()
    if network is not None:
        network.to(device)
    restore = Restorer(network) if network is not None else None
    scores = {name: _score(restore, name, data, device) for name, data in sets.items()}
    record = evaluate.record(
        row=row.key,
        title=row.title,
        study=options.table,
        seed=None,
        config_hash=runs.config_hash({"network": config, "data": options.data}),
        network={**describe(config), "reduced": False} if config else None,
        training=None,
        checkpoint=described,
        scores=scores,
        device=device,
    )
    runs.write_record(folder, record)
    print(f"{row.key}: {scores[options.data]['psnr']:.2f} dB on {scores[options.data]['label']}", flush=True)


def _score_also(folder: Path, sets: Mapping[str, "DeblurDataModule"]) -> None:
    """Score a trained run on the data sets that it was not scored on yet, or that changed since."""
    from deblur_lit.restore import Restorer

    record = runs.read_record(folder)
    for name, data in sets.items():
        if name in record["scores"] and record["scores"][name]["data_hash"] == data.test_pairs.fingerprint():
            continue
        record["scores"][name] = _score(Restorer(_trained_network(folder)), name, data, _device())
        runs.write_record(folder, record)


def _score_variants(
    folder: Path, kinds: Sequence[str], sets: Mapping[str, "DeblurDataModule"], load: Callable[[], "DeblurNetwork"]
) -> None:
    """Score a finished run in the table's further ways."""
    pairs = {name: (data.test_pairs, build(metrics_config(name))) for name, data in sets.items()}
    score_variants(folder, kinds, pairs, load, _device())


def _trained_network(folder: Path) -> "DeblurNetwork":
    """Return the network of a finished training with the weights that were scored."""
    from deblur_lit.networks.checkpoint import load_weights

    network: DeblurNetwork = build(OmegaConf.create(runs.saved_config(folder)).network)  # with its overrides
    load_weights(network, folder / runs.read_record(folder)["checkpoint"]["file"])
    return network.eval().to(_device())


def _published_network(row: str, checkpoint: Path) -> "DeblurNetwork":
    from deblur_lit.networks.loading import load_network

    return load_network(row, checkpoint).to(_device())


def _score(restore: "Restorer | None", name: str, data: "DeblurDataModule", device: str) -> dict[str, Any]:
    """Score one data set by the protocols of its tables."""
    from deblur_lit import evaluate

    metrics = build(metrics_config(name))
    return evaluate.score(restore, data.test_pairs, data.test_label, data.test_complete, device, metrics=metrics)


def _is_there(data: str) -> bool:
    return Path(compose("train", [f"data={data}"]).data.root).is_dir()


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _sweeps(options: Options, rows: Sequence[str]) -> list[list[str]]:
    """Return the overrides of the multiruns that train `rows`: the ablations shared out to the lanes, and one per
    other network."""
    ablations = [row for row in rows if row in stems("ablation")]
    shares = [ablations[lane :: _lanes(options)] for lane in range(_lanes(options))]
    sweeps = [[f"ablation={','.join(share)}"] for share in shares if share]
    return sweeps + [[choice_of(row)] for row in rows if row not in ablations]


def _lanes(options: Options) -> int:
    """Return how many multiruns go side by side: small networks on a CPU use one core each better than all together."""
    return runs.cores() if options.data == "mini" else 1


def _train(options: Options, sweeps: Sequence[Sequence[str]]) -> bool:
    """Run multiruns, each in a process of its own; return whether all succeeded."""
    waiting, succeeded, interrupted = list(sweeps), True, False
    running: list[subprocess.Popen[bytes]] = []
    while waiting or running:
        try:
            while waiting and len(running) < _lanes(options):
                running.append(_start(options, waiting.pop(0)))
            time.sleep(POLL_SECONDS)
            succeeded &= all(process.returncode == 0 for process in running if process.poll() is not None)
            running = [process for process in running if process.returncode is None]
        except KeyboardInterrupt:
            interrupted, waiting = True, []
            for process in running:
                process.send_signal(signal.SIGINT)  # it ends its jobs, at the first with a checkpoint
    if interrupted:
        raise KeyboardInterrupt
    return succeeded


def _start(options: Options, choice: Sequence[str]) -> subprocess.Popen[bytes]:
    common = [f"study={options.table}", f"experiment={RECIPE[options.data]}", f"seed={options.seeds}"]
    folder = [f"hydra.sweep.dir='{options.runs / options.table}'", "variant=''"]
    command = [sys.executable, "-m", "deblur_lit.train", "-m", *choice, *common, *folder, *options.overrides]
    print("$ python " + " ".join(command[1:]), flush=True)
    threads = {"OMP_NUM_THREADS": "1"} if options.data == "mini" else {}
    # In a session of its own: a terminal's Ctrl-C would reach it beside ours, and the second one kills its jobs.
    return subprocess.Popen(command, start_new_session=True, env={**os.environ, **threads})


if __name__ == "__main__":
    sys.exit(main())
