"""Building a network by its name, and counting what it costs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from deblur_lit.networks.blocks import DeblurNetwork
from deblur_lit.networks.checkpoint import load_weights
from deblur_lit.nodes import build, stems
from deblur_lit.nodes import network_config as network_config


def network_names() -> list[str]:
    """Return the stems of conf/network, then those of conf/ablation."""
    return [*stems("network"), *stems("ablation")]


def load_network(name: str, checkpoint: str | Path | None = None, overrides: Sequence[str] = ()) -> DeblurNetwork:
    """Build a network in evaluation mode, with weights where a checkpoint is given.

    Args:
        name: a stem of conf/network or conf/ablation; the paper's method is `dffm_msrm`.
        checkpoint: our .safetensors or Lightning .ckpt, or the authors' published file (or folder of files).
            Without one the weights are random.
        overrides: `key=value` relative to the network, such as `channels=16`.

    Returns:
        A network whose forward takes RGB (B, 3, H, W) in [0, 1] of any size and returns a `Pyramid`.

    Raises:
        FileNotFoundError: if the checkpoint is not there.
        ValueError: for an unknown name or override, or a checkpoint that does not fit.

    Example:
        >>> network = load_network("dffm_msrm", overrides=["channels=4", "num_blocks=1"])
        >>> network(torch.zeros(1, 3, 5, 9)).full.shape
        torch.Size([1, 3, 5, 9])
    """
    network: DeblurNetwork = build(network_config(name, overrides).network)
    if checkpoint is not None:
        load_weights(network, Path(checkpoint))
    return network.eval()


def count_parameters(network: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def count_macs(config: Any, side: int = 256) -> int:
    """Count the multiply-accumulates of convolutions and matrix products for one square image.

    Runs on the meta device: nothing is computed or allocated.

    Args:
        config: a network node of a configuration, with its `_target_`.
        side: of the image, in pixels.
    """
    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
        build(config)(torch.empty(1, 3, side, side))
    return counter.get_total_flops() // 2


def describe(config: DictConfig) -> dict[str, Any]:
    """Return what a table says of a network node: its class, parameters, and MACs at 256x256."""
    with torch.device("meta"):
        parameters = count_parameters(build(config))
    return {"target": config._target_, "parameters": parameters, "macs_256": count_macs(config)}
