"""Score a run folder, or a network with a checkpoint: `deblur-lit evaluate [overrides]`."""

import csv
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # or its import asks the package index for a newer version

import hydra
from omegaconf import DictConfig, OmegaConf

from deblur_lit import runs
from deblur_lit.config import NO_ABLATION, build, check_overrides, conf_dir, metrics_config, row_name, row_title
from deblur_lit.variants import PUBLISHED_CROP

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from deblur_lit.data.datamodule import DeblurDataModule
    from deblur_lit.evaluate import Metrics, Row
    from deblur_lit.networks.blocks import DeblurNetwork
    from deblur_lit.restore import Restorer

ROWS = "per_image.jsonl"  # one line per image, written as it is scored: where an interrupted evaluation goes on
TABLE = "per_image.csv"
PATHS = ("run", "checkpoint", "to", "data.root")


class Subject(NamedTuple):
    """What is scored, and where from."""

    name: str
    title: str
    network: "DeblurNetwork | None"
    node: dict[str, Any] | None  # of the configuration, resolved
    checkpoint: Path | None
    crop_size: int
    folder: Path


def main() -> None:
    """Run the Hydra application; what a user can put right ends it in one line."""
    sys.argv[1:] = map(_quoted, sys.argv[1:])
    try:
        check_overrides("evaluate", [word for word in sys.argv[1:] if "=" in word and not word.startswith("-")])
    except ValueError as error:
        sys.exit(f"error: {error}")
    _application()


def _quoted(word: str) -> str:
    """Quote a path for Hydra: the folders of runs name overrides, so that they hold signs of its grammar."""
    key, _, value = word.partition("=")
    if key not in PATHS or value in ("", "null") or value[0] in "'\"":
        return word
    escaped = value.replace("'", "\\'")
    return f"{key}='{escaped}'"


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="evaluate")
def _application(cfg: DictConfig) -> None:
    try:
        evaluate(cfg)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("interrupted; images that are scored are kept, the same command continues", file=sys.stderr)
        sys.exit(130)


def evaluate(cfg: DictConfig) -> dict[str, Any]:
    """Score every image of the test split; go on where the same evaluation was interrupted.

    Args:
        cfg: the composed conf/evaluate.yaml.

    Returns:
        The record, also at `<to>/metrics.json`; beside it per_image.csv, and restored/ where they are saved.

    Raises:
        ValueError: for settings that do not go together, a checkpoint that does not fit, unknown protocols.
        OSError: if the data or the checkpoint are not there, or nothing can be written.
    """
    subject = _subject(cfg)
    restore = _restorer(cfg, subject)
    metrics: Metrics = build(cfg.get("metrics") or metrics_config(cfg.data.name))
    datamodule: DeblurDataModule = build(cfg.data.module)
    datamodule.prepare_data()
    identity = _identity(cfg, subject, datamodule.test_pairs.fingerprint(), metrics)
    folder = Path(cfg.to) if cfg.to else subject.folder / _variant(cfg)
    with runs.lock(folder):
        if _is_done(folder, identity, datamodule.test_pairs.names if cfg.save else []):
            print(f"finished already: {folder / runs.RECORD}", flush=True)
            return runs.read_record(folder)
        scores = _score(cfg, restore, datamodule, metrics, folder, identity)
        _write_table(folder / TABLE, scores["per_image"], metrics.psnr, metrics.ssim)
        record = _record(cfg, subject, scores) | {"evaluation": identity}
        runs.write_record(folder, record)
    _print(scores, identity["protocols"], metrics.psnr, metrics.ssim)
    print(folder, flush=True)
    return record


def _identity(cfg: DictConfig, subject: Subject, data_hash: str, metrics: "Metrics") -> dict[str, Any]:
    """Return all that the numbers depend on, as it reads back from JSON."""
    what = {
        "network": subject.node,
        "checkpoint": _describe(subject),
        "data": data_hash,
        "precision": cfg.precision,
        "ensemble": cfg.ensemble,
        "tiles": cfg.tiles,
        "tlc": subject.crop_size if cfg.tlc else None,  # the training crop that its windows are made from
        "protocols": list(dict.fromkeys([metrics.psnr, metrics.ssim, *metrics.also])),
    }
    plain: dict[str, Any] = json.loads(json.dumps(what))
    return plain


def _score(
    cfg: DictConfig,
    restore: "Restorer | None",
    datamodule: "DeblurDataModule",
    metrics: "Metrics",
    folder: Path,
    identity: dict[str, Any],
) -> dict[str, Any]:
    """Score the images that are not scored yet; each is written down as soon as it is."""
    from deblur_lit import evaluate as scoring

    frames = datamodule.test_pairs
    known = _known_rows(folder, identity, cfg.save)
    if known:
        print(f"continuing behind {len(known)} of {len(frames)} images", flush=True)
    with (folder / ROWS).open("a", encoding="utf-8") as file:

        def finished(row: "Row", image: "npt.NDArray[np.uint8]") -> None:
            if cfg.save:
                _save(folder, row["name"], image)
            file.write(json.dumps(scoring.for_json(row)) + "\n")
            file.flush()

        label, complete = datamodule.test_label, datamodule.test_complete
        return scoring.score(restore, frames, label, complete, _device(cfg), None, metrics, known, finished)


def _record(cfg: DictConfig, subject: Subject, scores: dict[str, Any]) -> dict[str, Any]:
    from deblur_lit import evaluate as scoring
    from deblur_lit.networks.loading import describe

    return scoring.record(
        row=subject.name,
        title=subject.title,
        study="evaluation",
        seed=None,
        config_hash=runs.config_hash({"network": subject.node, "data": cfg.data.name}),
        network=describe(OmegaConf.create(subject.node)) if subject.node else None,
        training=None,
        checkpoint=_describe(subject),
        scores={cfg.data.name: scores},
        device=_device(cfg),
    )


def _describe(subject: Subject) -> dict[str, str] | None:
    from deblur_lit.evaluate import describe_checkpoint

    return describe_checkpoint(subject.checkpoint, "given") if subject.checkpoint else None


def _device(cfg: DictConfig) -> str:
    import torch

    return str(cfg.device or ("cuda" if torch.cuda.is_available() else "cpu"))


def _restorer(cfg: DictConfig, subject: Subject) -> "Restorer | None":
    """Return the network as it is to be used, None for the blurred input."""
    from deblur_lit.networks.tlc import use_local_pools
    from deblur_lit.restore import Restorer

    if subject.network is None:
        if cfg.tlc or cfg.tiles or cfg.ensemble != "none":
            raise ValueError("tlc, tiles and ensemble are of a network: name one by run=, or network= and checkpoint=")
        return None
    if cfg.tlc:
        use_local_pools(subject.network, subject.crop_size)
    return Restorer(subject.network.to(_device(cfg)), str(cfg.precision), cfg.ensemble, cfg.tiles)


def _subject(cfg: DictConfig) -> Subject:
    """Build the network that was named, with its weights."""
    from deblur_lit.networks.checkpoint import load_weights

    named = row_name(cfg)
    if cfg.run:
        if named != NO_ABLATION:
            raise ValueError(f"run={cfg.run} has a network of its own: leave {named} out")
        folder = Path(cfg.run)
        record = runs.read_record(folder)
        node = OmegaConf.create(runs.saved_config(folder)).network
        checkpoint = Path(cfg.checkpoint or folder / record["checkpoint"]["file"])
        name, title, crop, where = record["row"], record["title"], record["training"]["crop_size"], folder
    elif cfg.checkpoint:
        node, checkpoint = cfg.network, Path(cfg.checkpoint)
        name, title, crop, where = named, row_title(cfg), PUBLISHED_CROP, Path()
    elif named != NO_ABLATION:
        raise ValueError(f"{named}: name its weights by checkpoint=, random ones restore nothing")
    else:
        return Subject("blur", "blurred input", None, None, None, PUBLISHED_CROP, Path("evaluations/blur"))
    network = build(node)
    load_weights(network, checkpoint)
    folder = where / "evaluations" if cfg.run else Path("evaluations") / name
    plain: Any = OmegaConf.to_container(node, resolve=True)
    return Subject(name, title, network.eval(), plain, checkpoint, cfg.train_crop or crop, folder)


def _variant(cfg: DictConfig) -> str:
    """Return the folder of an evaluation: its data, and what is not the default."""
    parts = [cfg.data.name]
    parts += ["tlc"] if cfg.tlc else []
    parts += [f"tiles{cfg.tiles}"] if cfg.tiles else []
    parts += [part for part, default in ((cfg.ensemble, "none"), (cfg.precision, "32")) if str(part) != default]
    return "-".join(map(str, parts))


def _known_rows(folder: Path, identity: dict[str, Any], saved: bool) -> dict[str, "Row"]:
    """Return the rows of an interrupted evaluation of the same things; begin the file anew for any other."""
    path = folder / ROWS
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
    whole = [line for line in lines if line.endswith("\n")]  # a killed process may leave half a line
    if not whole or json.loads(whole[0]) != identity:
        whole = [json.dumps(identity) + "\n"]
    rows = [json.loads(line) for line in whole[1:]]
    rows = [row for row in rows if not saved or _png(folder, row["name"]).is_file()]
    path.write_text(whole[0] + "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return {row["name"]: {k: float("inf") if v == "inf" else v for k, v in row.items()} for row in rows}


def _png(folder: Path, name: str) -> Path:
    return folder / "restored" / f"{name}.png"


def _is_done(folder: Path, identity: dict[str, Any], saved: list[str]) -> bool:
    """Tell whether this very evaluation is finished, and the images of these names are written."""
    done = runs.is_finished(folder) and runs.read_record(folder).get("evaluation") == identity
    return done and all(_png(folder, name).is_file() for name in saved)


def _save(folder: Path, name: str, image: "npt.NDArray[np.uint8]") -> None:
    from deblur_lit.data.images import write_png

    path = _png(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, image)


def _write_table(path: Path, rows: list["Row"], psnr: str, ssim: str) -> None:
    """Write one line per image; every column is named by its protocol."""
    names = {"psnr": psnr, "ssim": ssim, "psnr_blur": f"{psnr} of blur", "ssim_blur": f"{ssim} of blur"}
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([names.get(key, key) for key in rows[0]])
        writer.writerows(row.values() for row in rows)


def _print(scores: dict[str, Any], names: list[str], psnr: str, ssim: str) -> None:
    """Print the means and what they are."""
    from deblur_lit.metrics.protocols import legend

    values = {psnr: scores["psnr"], ssim: scores["ssim"], **{n: scores[n] for n in names if n in scores}}
    print(f"mean over {scores['label']}")
    for name in names:
        print(f"{values[name]:>10.4f}  {name}" if values[name] != "inf" else f"{'inf':>10}  {name}")
    print("\n".join(legend(names)), flush=True)


if __name__ == "__main__":
    main()
