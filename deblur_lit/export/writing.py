"""The formats: how each is written and checked before it takes its place."""

import copy
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from deblur_lit.export.facts import measure
from deblur_lit.export.folder import FILES, write_folder
from deblur_lit.export.onnx_file import write_onnx
from deblur_lit.export.parity import MOST, SIZES, Restore, check, picture
from deblur_lit.export.program import write_program
from deblur_lit.export.source import Source
from deblur_lit.export.traced import least_traced
from deblur_lit.networks.blocks import DeblurNetwork
from deblur_lit.predict.onnx_backend import OnnxBackend
from deblur_lit.predict.onnx_facts import Facts
from deblur_lit.predict.system import beside
from deblur_lit.predict.torch_backend import TorchBackend
from deblur_lit.pretrained import load_folder
from deblur_lit.tensors import Pyramid

CUT = 8  # pixels: of the parts whose means are compared


def to_onnx(source: Source, half: bool, out: Path) -> str:
    """Write an ONNX file; returns a line on it."""
    network, note = _stored(source.network, half)
    with _step("writing it, which takes minutes for large networks"), beside(out) as part:
        facts = measure(source, half)
        write_onnx(network, facts, part)
        apart = _check_onnx(part, network, facts)
    return _line(out, note, apart)


def to_program(source: Source, half: bool, out: Path) -> str:
    """Write a program of torch.export; returns a line on it."""
    network, note = _stored(source.network, half)
    with _step("writing it"), beside(out) as part:
        facts = measure(source, half)
        facts = replace(facts, least=least_traced(facts.step, facts.least))
        write_program(network, facts, part)
        program: Any = torch.export.load(part).module()
        apart = check(_called(program), _called(network), facts.padded)
    return f"{_line(out, note, apart)}; sides are padded by you, to multiples of {facts.step}, at least {facts.least}"


def to_folder(source: Source, half: bool, out: Path) -> str:
    """Write a folder; returns a line on it.

    Raises:
        ValueError: if a folder in its place holds anything but a network's files.
    """
    kept = sorted({file.name for file in out.iterdir()} - set(FILES)) if out.exists() else []
    if kept:
        raise ValueError(f"{out}: {kept[0]} in it is none of a network's files and would be lost; choose another -o")
    network, note = _stored(source.network, half)
    made = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        write_folder(source, half, made)
        apart = check(_called(load_folder(made)), _called(network), _as_it_is)
        made.chmod(0o755)
        if out.exists():
            shutil.rmtree(out)
        made.rename(out)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return _line(out, note, apart)


def _stored(network: DeblurNetwork, half: bool) -> tuple[DeblurNetwork, str]:
    """Return a network with its weights as they are stored, in float32, and a note on them.

    Raises:
        ValueError: if a weight is too large for float16.
    """
    if not half:
        return network, "weights in float32"
    rounded = copy.deepcopy(network).half().float()
    for name, tensor in rounded.state_dict().items():
        if not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{name} holds values beyond 65504, the largest of float16: leave --half out")
    image = torch.from_numpy(picture(*SIZES[0]))
    with torch.inference_mode():
        change = float((network(image).full - rounded(image).full).abs().max())
    return rounded, f"weights in float16, whose rounding changes results by up to {change:.1e}"


def _check_onnx(path: Path, network: DeblurNetwork, facts: Facts) -> float:
    """Return the largest difference to PyTorch; of tiles that share means too, where the network takes such.

    Raises:
        ValueError: if it is too large.
    """
    written = OnnxBackend(path)
    apart = check(written.restore, _called(network), _as_it_is)
    if not facts.means:
        return apart
    expected = TorchBackend(network, "cpu")
    side = max(16 * CUT, *facts.least)
    parts = np.concatenate([picture(side, side, seed) for seed in (0, 1)])
    means = [backend.share(parts, CUT) for backend in (written, expected)]
    return max(apart, check(
        lambda tile: written.restore(tile, means[0]),
        lambda tile: expected.restore(tile, means[1]),
        _as_it_is,
    ))  # fmt: skip


def _called(network: Any) -> Restore:
    """Return how a network or a program restores NumPy images. Not by `TorchBackend`: its layout of features costs
    normalisations by the image some digits."""

    def restore(image: NDArray[Any]) -> NDArray[Any]:
        with torch.inference_mode():
            restored = network(torch.from_numpy(image))
        return (restored.full if isinstance(restored, Pyramid) else restored).numpy()

    return restore


def _as_it_is(height: int, width: int) -> tuple[int, int]:
    return height, width


def _line(path: Path, note: str, apart: float) -> str:
    files = [path] if path.is_file() else [file for file in path.iterdir() if file.is_file()]
    megabytes = sum(file.stat().st_size for file in files) / 1e6
    sizes = ", ".join(f"{width}x{height}" for height, width in SIZES)
    return f"{megabytes:.2f} MB, {note}; PyTorch differs by at most {apart:.1e} at {sizes} (limit {MOST:g})"


@contextmanager
def _step(text: str) -> Iterator[None]:
    """Show that something is going on, and for how long."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        progress.add_task(text, total=None)
        yield
