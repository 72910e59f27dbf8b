"""Fits a line filter to pairs of images in minutes, by what little of each pair its error depends on.

The squared error of a weighted sum of responses is a quadratic form of the weights. Once its coefficients are taken
from a pair, an epoch reads no pixel again.
"""

import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from deblur_lit.data.paired_folder import PairedFolder
from deblur_lit.networks.blocks import resize_to
from deblur_lit.networks.line_filter import LineFilter

CHUNK = 400  # pairs per file, about half a minute
AT_ONCE = 8  # pairs
BATCH = 256  # pairs
LEARNING_RATE = 3.0e-3
NOISE = 0.1  # standard deviation of what is added to energies: few photographs would be learned by heart
EPS = 3.0e-5  # squared image range, added to errors: below 45 dB a pair weighs less


class Moments(NamedTuple):
    """What the error of N pairs depends on, for K responses and E energies.

    Attributes:
        gram: (N, K, K), mean products of responses.
        along: (N, K), mean products of responses with what is to be added.
        error: (N), mean square of what is to be added, in squared image range.
        energies: (N, E), of the blurred image.
    """

    gram: Tensor
    along: Tensor
    error: Tensor
    energies: Tensor


@torch.no_grad()
def moments_of(line_filter: LineFilter, blur: Tensor, sharp: Tensor) -> Moments:
    """Return the moments of pairs (N, 3, H, W) in [0, 1] whose sides are multiples of 2 per halving."""
    sizes = line_filter.sizes(blur)
    responses = [line_filter.responses(size).transpose(1, 2).flatten(1, 2) for size in sizes]
    large = torch.cat([resize_to(some, blur.shape[-2:], "bilinear") for some in responses], dim=1)
    flat = large.reshape(len(blur), -1, blur[0].numel())  # (N, K, pixels of all colours)
    missing = (sharp - blur).flatten(1)
    pixels = missing.shape[1]
    return Moments(
        flat @ flat.transpose(1, 2) / pixels,
        (flat @ missing[..., None])[..., 0] / pixels,
        missing.square().mean(dim=1),
        line_filter.energies(sizes).flatten(1),
    )


def measure(line_filter: LineFilter, pairs: PairedFolder, folder: Path) -> Moments:
    """Return the moments of all pairs, which must be of one size; what `folder` holds is not measured again."""
    folder.mkdir(parents=True, exist_ok=True)
    found: list[dict[str, Tensor]] = []
    begun, measured = time.monotonic(), 0
    for first in range(0, len(pairs), CHUNK):
        path, end = folder / f"{first:06d}.safetensors", min(first + CHUNK, len(pairs))
        if not path.is_file():
            parts = [_read(line_filter, pairs, range(at, min(at + AT_ONCE, end))) for at in range(first, end, AT_ONCE)]
            part = path.with_suffix(".part")
            save_file(_joined([moments._asdict() for moments in parts])._asdict(), part)
            part.replace(path)
            measured += end - first
            left = (time.monotonic() - begun) / measured * (len(pairs) - end)
            print(f"measured {end}/{len(pairs)} pairs, {left:.0f} s left", flush=True)
        found.append(load_file(path))
    return _joined(found)


def fit(line_filter: LineFilter, moments: Moments, epochs: int, seed: int = 0) -> float:
    """Fit a line filter in place, to the mean gain in dB.

    Every batch is seen mirrored or turned by a quarter, which exchanges directions.

    Args:
        line_filter: with an even number of angles.
        moments: that it gave.
        epochs: over the pairs; the learning rate rises for the first 100 steps and then falls to 0.
        seed: of the order of the pairs.

    Returns:
        The mean gain of the last epoch, in dB, of errors to which `EPS` is added.
    """
    generator = torch.Generator().manual_seed(seed)
    turns = _symmetries(line_filter.angles)
    optimizer = torch.optim.AdamW(line_filter.parameters(), LEARNING_RATE, betas=(0.9, 0.99), weight_decay=1e-4)
    batches = max(1, len(moments.error) // BATCH)
    steps = epochs * batches
    scheduler = LambdaLR(optimizer, lambda step: min(1, (step + 1) / 100) * (1 - step / steps))
    begun, gain = time.monotonic(), 0.0
    for epoch in range(epochs):
        gains = []
        for batch in torch.randperm(len(moments.error), generator=generator).chunk(batches):
            turn = turns[int(torch.randint(len(turns), (), generator=generator))]
            some = Moments(*(part[batch] for part in moments))
            noise = NOISE * torch.randn(some.energies.shape, generator=generator, dtype=some.energies.dtype)
            gained = _gains(line_filter, some._replace(energies=some.energies + noise), turn).mean()
            optimizer.zero_grad()
            (-gained).backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(line_filter.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            gains.append(gained.item())
        gain = float(np.mean(gains))
        if (epoch + 1) % 10 == 0 or epoch + 1 == epochs:
            left = (time.monotonic() - begun) / (epoch + 1) * (epochs - epoch - 1)
            print(f"epoch {epoch + 1}/{epochs} | gain {gain:.3f} dB | {left:.0f} s left", flush=True)
    return gain


def _gains(line_filter: LineFilter, moments: Moments, turn: Tensor) -> Tensor:
    """Return the gains (N) in dB of turned or mirrored pairs, of which the moments are those of the upright ones."""
    angles = line_filter.angles
    energies = moments.energies.reshape(len(moments.error), -1, angles + 1)
    level, direction = energies[..., :1], energies[..., 1:]
    seen = torch.cat([level, direction[..., turn]], dim=2).flatten(1)
    weights = line_filter.mix(line_filter.describe(seen[:, :, None, None])).flatten(1)
    upright = weights.reshape(len(weights), -1, angles)[..., turn.argsort()].flatten(1)
    error = moments.error - 2 * (upright * moments.along).sum(dim=1)
    error = error + torch.einsum("nk,nkl,nl->n", upright, moments.gram, upright)
    return 10 * torch.log10((moments.error + EPS) / (error.clamp(min=0) + EPS))


def _symmetries(angles: int) -> list[Tensor]:
    """Return the orders of directions that mirrored and turned images have; half turns change none."""
    places = torch.arange(angles)
    return [places, (places + angles // 2) % angles, -places % angles, (angles // 2 - places) % angles]


def _read(line_filter: LineFilter, pairs: PairedFolder, indices: range) -> Moments:
    blurs, sharps = zip(*(pairs.read(index) for index in indices), strict=True)
    multiple = 2 ** (line_filter.scales - 1)
    height, width = (side - side % multiple for side in blurs[0].shape[:2])
    blur, sharp = (
        torch.from_numpy(np.stack(side)[:, :height, :width]).permute(0, 3, 1, 2).float() / 255
        for side in (blurs, sharps)
    )
    return moments_of(line_filter, blur, sharp)


def _joined(parts: list[dict[str, Tensor]]) -> Moments:
    return Moments(*(torch.cat([part[name] for part in parts]) for name in Moments._fields))
