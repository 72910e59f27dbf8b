"""What is exported: a network, its configuration, and what is known of its weights."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from deblur_lit import runs
from deblur_lit.networks.blocks import DeblurNetwork
from deblur_lit.networks.checkpoint import load_weights
from deblur_lit.nodes import build, network_config
from deblur_lit.pretrained import CONFIG, SHIPPED, WEIGHTS, load_folder

CARD = "README.md"


@dataclass(frozen=True)
class Source:
    """A network to export.

    Attributes:
        network: in evaluation mode and in float32.
        node: its configuration, resolved.
        title: in words.
        facts: lines of its model card on where it comes from.
        card: the text of a model card that it has already.
    """

    network: DeblurNetwork
    node: dict[str, Any]
    title: str
    facts: tuple[str, ...] = ()
    card: str | None = None


def find(folder: Path | None, name: str | None, checkpoint: Path | None) -> Source:
    """Load what is named.

    Args:
        folder: with `config.yaml` and `model.safetensors`, or of a finished run; None, without a name, for the network
            that comes with the package.
        name: a stem of conf/network or conf/ablation, in place of a folder.
        checkpoint: its weights.

    Raises:
        ValueError: if these do not go together, or do not fit each other.
        FileNotFoundError: if something is not there.
    """
    if name is None and checkpoint is None:
        folder = folder or SHIPPED
        return _of_folder(folder) if (folder / WEIGHTS).is_file() or not _is_run(folder) else _of_run(folder)
    if folder is not None:
        raise ValueError(f"{folder} brings its network and weights: leave --network and --checkpoint out")
    if name is None:
        raise ValueError(f"--checkpoint {checkpoint} needs --network NAME; a folder is named without --checkpoint")
    if checkpoint is None:
        raise ValueError(f"--network {name} has random weights without --checkpoint F")
    config = network_config(name)
    network: DeblurNetwork = build(config.network)
    load_weights(network, checkpoint)
    card = config.card
    facts = [f"Paper: {card.paper}"]
    if card.weights.url:
        facts.append(f"Weights are published at {card.weights.url}; licence: {card.weights.licence or 'none stated'}")
    title = config.ablation.title if config.ablation.name == name else card.title
    return Source(network.eval(), _plain(config.network), title, (*facts, f"Exported from `{checkpoint.name}`"))


def _of_folder(folder: Path) -> Source:
    network = load_folder(folder)
    node = _plain(OmegaConf.load(folder / CONFIG))
    card = (folder / CARD).read_text(encoding="utf-8") if (folder / CARD).is_file() else None
    return Source(network, node, folder.resolve().name, card=card)


def _is_run(folder: Path) -> bool:
    return (folder / runs.RECORD).is_file()


def _of_run(folder: Path) -> Source:
    record = runs.read_record(folder)
    node = _plain(OmegaConf.create(runs.saved_config(folder)).network)
    network: DeblurNetwork = build(node, inside="deblur_lit.")
    load_weights(network, folder / record["checkpoint"]["file"])
    facts = (
        f"Row {record['row']} of study {record['study']}, seed {record['seed']}",
        f"Commit of deblur_lit: {record['commit']}",
    )
    return Source(network.eval(), node, record["title"], facts)


def _plain(node: Any) -> dict[str, Any]:
    plain: Any = OmegaConf.to_container(node, resolve=True)
    return plain
