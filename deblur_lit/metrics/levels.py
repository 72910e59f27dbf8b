"""Two images as the protocols read them: levels 0..255, from 8-bit files or from floats."""

from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Planes = NDArray[Any]  # (3, H, W) uint8, or float nominally in [0, 1]
Levels = NDArray[np.uint8]  # (3, H, W), contiguous
FLOATS = (np.float16, np.float32, np.float64)


class LevelPair:
    """A restored and a sharp image of one size. What no protocol asks for is never computed.

    A float image is clamped to [0, 1] and multiplied by 255 in float64. Published code differs in what follows,
    rounding (`numpy.round`: halves go to the even level), truncation or neither. 8-bit images are the same in all.

    Args:
        restored: (3, H, W), uint8 or float nominally in [0, 1].
        sharp: same shape, uint8 or float.

    Attributes:
        remarks: what a protocol has to say of its score of this pair, such as that it could not be aligned.

    Raises:
        ValueError: if the shapes differ, are not (3, H, W), or an image is neither float nor uint8.

    Example:
        >>> pixel = np.array([-0.1, 0.5, 1.1]).reshape(3, 1, 1)
        >>> LevelPair(pixel, pixel).rounded[0].flatten()  # 127.5 goes to 128
        array([  0, 128, 255], dtype=uint8)
    """

    def __init__(self, restored: Planes, sharp: Planes) -> None:
        if restored.shape != sharp.shape or restored.ndim != 3 or restored.shape[0] != 3 or restored.size == 0:
            shapes = f"restored is {restored.shape}, sharp is {sharp.shape}"
            raise ValueError(f"{shapes}: give two RGB images of the same shape")
        for name, image in (("restored", restored), ("sharp", sharp)):
            if image.dtype != np.uint8 and image.dtype not in FLOATS:
                raise ValueError(f"{name} is {image.dtype}: give floats in [0, 1] or uint8")
        self._restored, self._sharp = restored, sharp
        self.remarks: list[str] = []

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self._sharp.shape[1], self._sharp.shape[2]

    @cached_property
    def has_nan(self) -> bool:
        """Whether a score of this pair has to be NaN."""
        return any(image.dtype != np.uint8 and bool(np.isnan(image).any()) for image in (self._restored, self._sharp))

    @cached_property
    def exact(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """(restored, sharp) without rounding: float64 in [0, 255], or uint8 where the image is."""
        return _exact(self._restored), _exact(self._sharp)

    @cached_property
    def rounded(self) -> tuple[Levels, Levels]:
        """(restored, sharp) rounded to whole levels."""
        return _whole(np.rint, self.exact[0]), _whole(np.rint, self.exact[1])

    @cached_property
    def truncated(self) -> tuple[Levels, Levels]:
        """(restored, sharp); restored is cut down to whole levels, sharp is rounded, for it came from 8 bits."""
        return _whole(np.floor, self.exact[0]), self.rounded[1]


def _exact(image: Planes) -> NDArray[Any]:
    if image.dtype == np.uint8:
        if image.strides[0] != 1:
            return np.ascontiguousarray(image)
        planes = np.empty(image.shape, np.uint8)  # colours lie side by side in memory
        cv2.split(np.ascontiguousarray(image.transpose(1, 2, 0)), mv=list(planes))
        return planes
    levels = np.ascontiguousarray(image).clip(0, 1).astype(np.float64)
    levels *= 255
    return levels


def _whole(cut: np.ufunc, levels: NDArray[Any]) -> Levels:
    return levels if levels.dtype == np.uint8 else cut(levels).astype(np.uint8)
