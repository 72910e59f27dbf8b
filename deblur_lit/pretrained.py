"""Networks from a folder with their configuration and weights, and the one that comes with the package."""

from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

if TYPE_CHECKING:
    from deblur_lit.networks.blocks import DeblurNetwork

SHIPPED = Path(__file__).resolve().parent / "weights" / "photo"
CONFIG, WEIGHTS = "config.yaml", "model.safetensors"
OURS = "deblur_lit."  # a folder may come from anywhere: nothing else of it is called


def load_folder(folder: str | Path) -> "DeblurNetwork":
    """Build the network of a folder, in evaluation mode and in float32.

    Args:
        folder: with `config.yaml`, a resolved network node with its `_target_`, and `model.safetensors`.

    Raises:
        FileNotFoundError: if one of the two files is not there.
        ValueError: if the configuration is none or names a part outside of deblur_lit, or the weights do not fit.
    """
    # Not above: where the weights lie is told without torch.
    from deblur_lit.networks.blocks import DeblurNetwork
    from deblur_lit.networks.checkpoint import load_weights
    from deblur_lit.nodes import build

    folder = Path(folder)
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder}: no {name} there; a network's folder holds {CONFIG} and {WEIGHTS}")
    try:
        node = OmegaConf.to_container(OmegaConf.load(folder / CONFIG), resolve=True)
    except (yaml.YAMLError, OmegaConfBaseException, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{folder / CONFIG}: no configuration ({error})") from None
    if not isinstance(node, dict) or "_target_" not in node:
        raise ValueError(f"{folder / CONFIG}: has no _target_, so it is not the node of a network")
    try:
        network = build(node, inside=OURS)
    except ValueError as error:
        raise ValueError(f"{folder / CONFIG}: {error}") from None
    if not isinstance(network, DeblurNetwork):
        raise ValueError(f"{folder / CONFIG}: _target_={node['_target_']} is no network")
    load_weights(network, folder / WEIGHTS)  # copies float16 into float32
    return network.eval()


def shipped() -> "DeblurNetwork":
    """Build the network that comes with the package: see the model card beside its weights.

    Raises:
        FileNotFoundError: if the package came without weights.
    """
    if not (SHIPPED / WEIGHTS).is_file():
        raise FileNotFoundError(
            f"{SHIPPED}: this copy of deblur_lit came without weights; reinstall it, or name a network and a checkpoint"
        )
    return load_folder(SHIPPED)
