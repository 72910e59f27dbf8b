"""Networks as modules that can be traced: of any size, with weights in float16, with means that are given."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.func import functional_call

from deblur_lit.networks.blocks import DeblurNetwork, ImageNorm
from deblur_lit.predict.shared import applied, hooked

LONGEST = 2**15  # pixels: of a side


class Restoring(nn.Module):
    """`restore` of a network, from a padded image to the restored one of full size.

    Args:
        network: a copy of it is kept.
        half: whether its weights are kept in float16; they are computed with in float32.
    """

    def __init__(self, network: DeblurNetwork, half: bool = False) -> None:
        super().__init__()
        self.body = _Body(copy.deepcopy(network).eval().requires_grad_(False))
        self.half_weights = half
        if half:
            self.body.half()

    def forward(self, blur: Tensor) -> Tensor:
        """Restore (B, 3, H, W), whose sides the network takes without padding."""
        if not self.half_weights:
            return self.body(blur)
        tensors = {**dict(self.body.named_parameters()), **dict(self.body.named_buffers())}
        return functional_call(self.body, {name: tensor.float() for name, tensor in tensors.items()}, (blur,))


class _Body(nn.Module):
    def __init__(self, network: DeblurNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, blur: Tensor) -> Tensor:
        return self.network.restore(blur).full


class Sharing(Restoring):
    """The same for a network that takes means of whole images, which tiles of an image have to share."""

    def forward(self, blur: Tensor, means: Tensor, given: Tensor, cut: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Restore an image, or parts of one image.

        Args:
            blur: (B, 3, H, W), whose sides the network takes without padding. Its means are taken over the batch.
            means: (P,), those that are used where `given` is true, in order of use.
            given: () bool.
            cut: () int64, pixels at the ends of the parts that do not count; a side below four times that counts in
                all.

        Returns:
            The restored (B, 3, H, W), and the means (P,) that were used.
        """
        used: list[Tensor] = []
        place = 0

        def take(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            nonlocal place
            features = inputs[0]
            rows, columns = (
                _inner(inside, whole, cut) for inside, whole in zip(features.shape[-2:], blur.shape[-2:], strict=True)
            )
            found: list[Tensor] = []
            for _ in range(2 if isinstance(module, ImageNorm) else 1):
                values = (features - found[0]).square() if found else features
                mean = values.matmul(columns).matmul(rows).mean(0).reshape(1, -1, 1, 1)
                own = means[place : place + mean.numel()].reshape(1, -1, 1, 1)
                place += mean.numel()
                found.append(torch.where(given, own, mean))
            used.extend(found)
            return applied(module, features, (found[0], found[-1]))

        with hooked(self.body, take):
            restored = super().forward(blur)
        return restored, torch.cat([mean.flatten() for mean in used])


def _inner(side: int, whole: int, cut: Tensor) -> Tensor:
    """Return the weights (side,) of a mean over features without what lies in the outer `cut` pixels of the image."""
    left = torch.where(cut * 4 <= whole, torch.div(cut * side, whole, rounding_mode="floor"), torch.zeros_like(cut))
    places = torch.arange(side, device=cut.device)
    counts = ((places >= left) & (places < side - left)).float()
    return counts / counts.sum()


def least_traced(step: tuple[int, int], least: tuple[int, int]) -> tuple[int, int]:
    """Return the smallest (rows, columns) that a traced module takes: torch holds a side of one step for fixed."""
    rows, columns = (max(side, 2 * by) for by, side in zip(step, least, strict=True))
    return rows, columns


def trace(
    module: Restoring, step: tuple[int, int], least: tuple[int, int], further: Mapping[str, Tensor] | None = None
) -> ExportedProgram:
    """Trace a module for images of any size.

    Args:
        module: takes `blur` and what `further` names.
        step: (rows, columns) that the sides of images are multiples of.
        least: (rows, columns) of the smallest image that the network takes.
        further: inputs of a fixed size.

    Raises:
        ValueError: if its computation depends on the size of the image, so that it has no program of its own.
    """
    smallest = least_traced(step, least)
    sizes = [smallest[0] + step[0], smallest[1] + 2 * step[1]]
    axes = [
        by * Dim(name, min=side // by, max=LONGEST // by) if by > 1 else Dim(name, min=side, max=LONGEST)
        for name, by, side in zip(("rows", "columns"), step, smallest, strict=True)
    ]
    blur = torch.rand(2, 3, *sizes, generator=torch.Generator().manual_seed(0))
    shapes: dict[str, Any] = {"blur": {0: Dim("batch", min=1, max=2**12), 2: axes[0], 3: axes[1]}}
    shapes.update(dict.fromkeys(further or {}))
    try:
        program = torch.export.export(module, (blur, *(further or {}).values()), dynamic_shapes=shapes)
    except (RuntimeError, ValueError, TypeError) as error:  # torch's own errors are of these
        reason = " ".join(line.strip(" -") for line in str(error).splitlines()[:2])
        name = type(module.body.network).__name__
        raise ValueError(f"{name} has no program for images of any size: {reason}") from None
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine
    return program
