"""The facts of a network that go into its file, measured."""

import torch
from torch import Tensor, nn

from deblur_lit import provenance
from deblur_lit.export.source import Source
from deblur_lit.networks.blocks import DeblurNetwork, ImageNorm
from deblur_lit.predict.onnx_facts import Facts
from deblur_lit.predict.peak import peak_bytes
from deblur_lit.predict.shared import hooked
from deblur_lit.predict.torch_backend import PROBE, TorchBackend

OTHERS = 2.0  # times the memory that PyTorch takes: ONNX Runtime took 0.4 to 1.95 times as much, by the network


def measure(source: Source, half: bool) -> Facts:
    """Look at a network.

    Args:
        source: of the network.
        half: whether its weights are stored in float16.

    Raises:
        ValueError: if it pads images in a way that the file cannot say.
    """
    network = source.network
    backend = TorchBackend(network, "cpu")
    needs = backend.needs
    step, least, extra = _sizes(network)
    probe = torch.zeros(1, 3, PROBE, PROBE).numpy()
    taken = peak_bytes(lambda: backend.restore(probe), backend.device)
    return Facts(
        network=source.node,
        weights="float16" if half else "float32",
        step=step,
        least=least,
        extra=extra,
        padding=network.padding_mode,
        value=network.padding_value,
        multiple=needs.multiple,
        minimum=needs.minimum,
        margin=needs.margin,
        means=_count_means(backend.network),
        bytes_per_pixel=round(OTHERS * taken / PROBE**2, 1),
        version=provenance.versions()["deblur_lit"],
    )


def _sizes(network: DeblurNetwork) -> tuple[tuple[int, int], tuple[int, int], int]:
    """Return step, least and extra of `Facts`, which tell the padded size of every image."""
    least = network.padded_size(1, 1)
    above = network.padded_size(least[0] + 1, least[1] + 1)
    step = above[0] - least[0], above[1] - least[1]
    extra = int(network.padded_size(*least) != least)
    for side in range(1, max(least) + 3 * max(step)):
        told = tuple(
            max(side + extra + -(side + extra) % by, smallest) for by, smallest in zip(step, least, strict=True)
        )
        if network.padded_size(side, side) != told:
            raise ValueError(
                f"{type(network).__name__} pads {side} pixels to {network.padded_size(side, side)}, by no rule"
            )
    return step, least, extra


def _count_means(network: nn.Module) -> int:
    """Return how many means of the whole image a network takes."""
    found = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal found
        found += inputs[0].shape[1] * (2 if isinstance(module, ImageNorm) else 1)

    with torch.inference_mode(), hooked(network, count):
        network(torch.zeros(1, 3, 1, 1))
    return found
