"""Arrays that are used again. Fresh ones of this size come from the kernel page by page, slower than the arithmetic."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Scratch:
    """Memory by name, for one thread at a time.

    Example:
        >>> scratch = Scratch()
        >>> scratch.take("plane", (2, 3), np.float32)[:] = 1
        >>> scratch.take("plane", (3,), np.float32)  # the same memory
        array([1., 1., 1.], dtype=float32)
    """

    def __init__(self) -> None:
        self._bytes: dict[str, NDArray[np.uint8]] = {}

    def take(self, name: str, shape: tuple[int, ...], kind: type[np.number[Any]]) -> NDArray[Any]:
        """Return an array of any content. It is the caller's until the next `take` of the name."""
        size = math.prod(shape) * np.dtype(kind).itemsize
        if name not in self._bytes or self._bytes[name].size < size:
            self._bytes[name] = np.empty(size, np.uint8)
        return self._bytes[name][:size].view(kind).reshape(shape)


_IDLE: list[Scratch] = []  # as many as were ever lent at once


@contextmanager
def lend() -> Iterator[Scratch]:
    """Lend a Scratch, one that was used before if there is one."""
    try:
        scratch = _IDLE.pop()
    except IndexError:
        scratch = Scratch()
    yield scratch
    _IDLE.append(scratch)
