"""A network as a program of torch.export."""

from pathlib import Path

import torch

from deblur_lit.export.traced import Restoring, trace
from deblur_lit.networks.blocks import DeblurNetwork
from deblur_lit.predict.onnx_facts import KEY, Facts

EXTRA_FILE = f"{KEY}.json"  # inside


def write_program(network: DeblurNetwork, facts: Facts, path: Path) -> None:
    """Write a network for `torch.export.load(path).module()`.

    It maps (batch, 3, H, W), RGB in [0, 1], to the same shape, not clamped. It does not pad: H and W have to be
    multiples of `step` and at least `least`. Those facts lie inside as `deblur_lit.json`
    (`torch.export.load(path, extra_files={"deblur_lit.json": ""})` fills them in).

    Raises:
        ValueError: if the network has no program for images of any size.
    """
    program = trace(Restoring(network, facts.weights == "float16"), facts.step, facts.least)
    torch.export.save(program, path, extra_files={EXTRA_FILE: facts.to_json()})
