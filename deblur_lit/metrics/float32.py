"""Float32 arithmetic in the order of OpenCV 4.2's release for x86-64 and numpy 1.24: what is rounded, and when.

That OpenCV uses four-wide vectors and no fused multiply-add on every processor, so that its results can be repeated bit
for bit. An alignment amplifies one bit to a thousandth of a decibel, because it rounds positions to 1/32 pixel.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

LANES = 4  # numbers in a vector
CHUNK = 4 * LANES  # numbers that one turn of the unrolled loop of a dot product takes
BLOCK = 8192  # numbers that are added up in float32
RUN = 128  # numbers in a run of numpy's pairwise sum
LEAST_PIVOT = 10 * np.finfo(np.float32).eps  # below, a matrix counts as singular


class DotOrder:
    """Sums of products as a dot product of each row would round them.

    Planes are first brought into an order in which numpy adds up whole vectors: the chunks of all rows, then the
    vectors of four beyond the last chunk, then the single numbers beyond those, which are multiplied in float64.

    Args:
        rows: of a plane.
        width: numbers in a row, at most BLOCK for the exact order.
    """

    def __init__(self, rows: int, width: int) -> None:
        self.rows = rows
        ends = width // CHUNK * CHUNK, width // LANES * LANES, width  # columns where chunks, vectors, numbers end
        self.columns = list(zip((0, *ends), ends, (CHUNK, LANES, 1), strict=False))

    def arrange(self, planes: Floats) -> Floats:
        """Reorder (K, rows, width) to (K, rows * width)."""
        count = len(planes)
        arranged = np.empty((count, self.rows * planes.shape[2]), np.float32)
        for start, end, size in self.columns:
            shape = count, self.rows, (end - start) // size, size
            part = arranged[:, self.rows * start : self.rows * end].reshape(count, shape[2], self.rows, size)
            part[:] = planes[:, :, start:end].reshape(shape).transpose(0, 2, 1, 3)
        return arranged

    def dots(self, one: Floats, others: Floats, work: Floats) -> Doubles:
        """Return the dot products (K,) of one arranged plane (n,) with others (K, n); `work` (K, n) is overwritten."""
        count = len(others)
        (_, end, size), (_, vectors_end, _), _ = self.columns
        singles = slice(self.rows * vectors_end, None)
        # In float64, before `work`, which may be `others`; not by BLAS, whose threads cost more than the sum.
        of_singles = np.einsum("ki,i", others[:, singles].astype(np.float64), one[singles])
        np.multiply(one, others, out=work)
        chunks = work[:, : self.rows * end].reshape(count, end // size, self.rows * size)
        four = np.add.reduce(chunks, axis=1).reshape(count, self.rows, CHUNK // LANES, LANES)
        total = four[:, :, 0] + (four[:, :, 1] + four[:, :, 2] + four[:, :, 3])
        for start in range(end, vectors_end, LANES):
            total += work[:, self.rows * start : self.rows * (start + LANES)].reshape(total.shape)
        of_rows = (total[..., 0] + total[..., 2]) + (total[..., 1] + total[..., 3])
        return of_rows.sum(axis=1, dtype=np.float64) + of_singles


def dot(one: Floats, other: Floats) -> float:
    """Return the dot product of two arrays of the same shape, read as one row."""
    flat = np.stack([one.reshape(-1), other.reshape(-1)])
    whole = flat.shape[1] // BLOCK
    total = 0.0
    for part in (flat[:, : whole * BLOCK].reshape(2, whole, BLOCK), flat[:, None, whole * BLOCK :]):
        if part.size:
            order = DotOrder(*part.shape[1:])
            arranged = order.arrange(part)
            total += order.dots(arranged[0], arranged[1:], arranged[1:]).item()
    return total


def running_sums(start: complex, values: Floats) -> complex:
    """Add values and their squares in float64, one after the other; the squares are the imaginary part."""
    terms = np.empty(values.size, np.complex128)
    terms.real = values.reshape(-1)
    np.square(terms.real, out=terms.imag)
    terms[0] += start
    return complex(terms.cumsum()[-1])


def inverse(matrix: Floats) -> Floats | None:
    """Invert by Gaussian elimination with row pivots in float32; None where a pivot is too small or NaN."""
    size = len(matrix)
    left, right = matrix.astype(np.float32), np.eye(size, dtype=np.float32)
    for step in range(size):
        pivot = step + int(np.argmax(np.abs(left[step:, step])))
        if not abs(left[pivot, step]) >= LEAST_PIVOT:
            return None
        for side in (left, right):
            side[[step, pivot]] = side[[pivot, step]]
        factors = left[step + 1 :, step] * (np.float32(-1) / left[step, step])
        left[step + 1 :, step + 1 :] += factors[:, None] * left[step, step + 1 :]
        right[step + 1 :] += factors[:, None] * right[step]
    for step in reversed(range(size)):
        for below in range(step + 1, size):
            right[step] -= left[step, below] * right[below]
        right[step] /= left[step, step]
    return right


def pairwise_sum(values: Floats) -> np.float32:
    """Add up all values in float32 as numpy 1.24 does: blocks one after the other, each by halves of halves."""
    flat = values.reshape(-1)
    whole = flat.size // BLOCK
    total = np.float32(0)
    for part in (flat[: whole * BLOCK].reshape(whole, BLOCK), flat[None, whole * BLOCK :]):
        for of_block in _halved(part):
            total += of_block
    return total


def _halved(blocks: Floats) -> Floats:
    """Add up each row of (K, n); runs of up to RUN numbers have eight partial sums."""
    size = blocks.shape[1]
    if size > RUN:
        half = size // 2 - size // 2 % 8
        return _halved(blocks[:, :half]) + _halved(blocks[:, half:])
    whole = size - size % 8
    eight = np.add.reduce(blocks[:, :whole].reshape(len(blocks), whole // 8, 8), axis=1)
    two = (eight[:, 0::4] + eight[:, 1::4]) + (eight[:, 2::4] + eight[:, 3::4])
    total = two[:, 0] + two[:, 1]
    for column in range(whole, size):
        total += blocks[:, column]
    return total
