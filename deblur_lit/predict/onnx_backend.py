"""Tiles restored by ONNX Runtime, on the CPU and without PyTorch."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deblur_lit.predict.engine import OVERHEAD
from deblur_lit.predict.memory import room
from deblur_lit.predict.onnx_facts import KEY, Facts, from_json
from deblur_lit.predict.plan import Needs

EXTRA = "pip install 'deblur_lit[export]'"
BLUR, MEANS, GIVEN, CUT = "blur", "means", "given", "cut"  # inputs; all but the first have defaults
RESTORED, POOLED = "restored", "pooled"  # outputs


class OnnxBackend:
    """A network from a file that `deblur-lit export --format onnx` wrote.

    Args:
        path: of the file.

    Raises:
        FileNotFoundError: if it is not there.
        ValueError: if it is no such file, or ONNX Runtime is not installed.
    """

    dtype: np.dtype[Any] = np.dtype(np.float32)

    def __init__(self, path: str | Path) -> None:
        self._session = _session(Path(path))
        self.facts = _facts(self._session, Path(path))
        self.shares = self.facts.means > 0

    @property
    def needs(self) -> Needs:
        """What the network needs of tiles."""
        return Needs(self.facts.multiple, self.facts.minimum, self.facts.margin)

    def pixels(self, memory: int | None, beside: int) -> int:
        """Return how many pixels a tile may have.

        Args:
            memory: bytes that may be held in all; None for what is free.
            beside: bytes that are needed besides tiles.
        """
        return int(room(memory, beside) / (self.facts.bytes_per_pixel + OVERHEAD))

    def restore(self, tile: NDArray[Any], shared: Any = None) -> NDArray[Any]:
        """Restore (1, 3, h, w) in [0, 1]; returns the same shape, not clamped.

        Args:
            tile: float32.
            shared: what `share` gave, for a tile of a larger image.

        Raises:
            MemoryError: if the memory is too small for it.
        """
        given = {} if shared is None else {MEANS: shared, GIVEN: np.array(True)}
        return self._run(RESTORED, {BLUR: tile, **given})

    def share(self, parts: NDArray[Any], margin: int) -> NDArray[Any]:
        """Return the means of a whole image, taken over parts (N, 3, h, w) of it without their outer `margin`.

        Raises:
            MemoryError: if the memory is too small for them.
        """
        return self._run(POOLED, {BLUR: parts, CUT: np.array(margin)})

    def _run(self, output: str, inputs: dict[str, NDArray[Any]]) -> NDArray[Any]:
        try:
            return self._session.run([output], inputs)[0]
        except Exception as error:  # ONNX Runtime's own classes have no name for it
            if "alloc" in str(error):
                raise MemoryError(str(error).strip().partition("\n")[0]) from None
            raise


def _session(path: Path) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise ValueError(f"{path}: ONNX Runtime is not installed; {EXTRA}") from None
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; `deblur-lit export --format onnx -o {path}` makes one")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    # Tiles differ in size, and the memory of one must not be held beside the next.
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    # The next level lays features out anew, which takes half as much memory again and is no faster.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its classes share no base but this
        raise ValueError(f"{path}: no ONNX file, or damaged ({str(error).strip().partition(chr(10))[0]})") from None


def _facts(session: Any, path: Path) -> Facts:
    found = session.get_modelmeta().custom_metadata_map.get(KEY)
    if found is None:
        raise ValueError(f"{path}: was not written by `deblur-lit export`, so that nobody knows what it needs")
    try:
        return from_json(found)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
