"""Whether blurred frames average encoded values (GoPro's `blur`) or linear light (`blur_gamma`), told from pixels."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deblur_lit.data.images import RGB

Verdict = Literal["linear", "gamma", "undecidable"]

GAMMA = 2.2  # exponent from encoded to linear light that GoPro's authors use
WINDOW = 32  # pixels
LEAST_GAP = 0.25  # grey levels between the two hypotheses, below which a frame says nothing
DECIDED = 0.25  # of the gap: how near to one hypothesis the measured place must be
ERRORS = 3.0  # standard errors that must lie between the measured place and the middle of the gap


class Conservation(NamedTuple):
    """What one pair says, in grey levels. Motion moves light about but neither makes nor takes it.

    Attributes:
        linear: mean of blur minus sharp of encoded values; 0 where encoded values were averaged.
        gamma: the same of linear light, in encoded levels; 0 where linear light was averaged, below 0 otherwise.
        variance: squared standard error of the two, from the scatter over windows.
    """

    linear: float
    gamma: float
    variance: float

    @property
    def gap(self) -> float:
        """How far apart the two hypotheses are: more where blur flattens more contrast, 0 for a static pair."""
        return self.linear - self.gamma


def conservation(blur: RGB, sharp: RGB) -> Conservation:
    """Compare the light in windows of a blurred frame with that in its own sharp frame.

    Args:
        blur: (H, W, 3) uint8.
        sharp: same shape.
    """
    encoded = _windows(blur, _LEVELS) - _windows(sharp, _LEVELS)
    light = _windows(sharp, _LIGHT)
    slope = GAMMA * np.maximum(light, 1e-3) ** (1 - 1 / GAMMA)  # of light over encoded value
    linearised = (_windows(blur, _LIGHT) - light) / slope
    variance = max(float(part.var()) / part.size for part in (encoded, linearised))
    return Conservation(float(encoded.mean()) * 255, float(linearised.mean()) * 255, variance * 255**2)


def verdict(pairs: Sequence[Conservation]) -> Verdict:
    """Return what frames of one kind say together.

    `undecidable`: the frames hardly move (or there are none), lie between the two, or scatter too much.

    Example:
        >>> verdict([Conservation(linear=-0.1, gamma=-2.5, variance=0.01)])
        'linear'
        >>> verdict([Conservation(linear=0.01, gamma=0.0, variance=0.01)])
        'undecidable'
    """
    gap = sum(pair.gap for pair in pairs)
    if gap < LEAST_GAP * max(len(pairs), 1):
        return "undecidable"
    place = sum(pair.linear for pair in pairs) / gap  # 0: encoded values are conserved, 1: linear light is
    error = sum(pair.variance for pair in pairs) ** 0.5 / gap
    if abs(place - 0.5) < max(0.5 - DECIDED, ERRORS * error):
        return "undecidable"
    return "linear" if place < 0.5 else "gamma"


_LEVELS: NDArray[np.float64] = np.arange(256) / 255
_LIGHT: NDArray[np.float64] = _LEVELS**GAMMA


def _windows(image: RGB, of_level: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of a function of the levels over each whole window, all colours apart."""
    side = min(WINDOW, *image.shape[:2])
    rows, columns = (length // side for length in image.shape[:2])
    values = of_level.astype(np.float32)[image[: rows * side, : columns * side]]
    return values.reshape(rows, side, columns, side, 3).mean(axis=(1, 3), dtype=np.float64)
