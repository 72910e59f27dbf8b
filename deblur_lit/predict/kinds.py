"""Images of any kind: NumPy, PIL, torch."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

TYPES = ("uint8", "uint16", "float32", "float64")


def check(image: NDArray[Any]) -> None:
    """Refuse what is no image.

    Raises:
        ValueError: saying what it is and what it has to be.
    """
    if not isinstance(image, np.ndarray):
        raise ValueError(f"an image is a NumPy array, a PIL image or a torch tensor, not {type(image).__name__}")
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3) or not image.size:
        raise ValueError(f"an image is (H, W, 3) RGB or (H, W) grey, got {image.shape}")
    if image.dtype.name not in TYPES:
        raise ValueError(f"pixels are {', '.join(TYPES)}, not {image.dtype}")
    if image.dtype.kind == "f":
        low, high = float(image.min()), float(image.max())
        if not (low >= 0 and high <= 1):  # not-a-number is neither
            raise ValueError(f"float pixels lie in [0, 1], got {low:.4g} to {high:.4g}")


def convert(image: Any, restore: Callable[[NDArray[Any]], NDArray[Any]]) -> Any:
    """Restore an image of any kind and return the same kind.

    Raises:
        ValueError: for another kind, mode or shape.
    """
    if isinstance(image, np.ndarray):
        return restore(image)
    kind = type(image).__module__.partition(".")[0]
    if kind == "PIL":
        from PIL import Image as Pictures

        if image.mode not in ("RGB", "L"):
            raise ValueError(f"a PIL image of mode {image.mode}: convert it to RGB (or L for grey)")
        return Pictures.fromarray(restore(np.asarray(image)))
    if kind == "torch":
        import torch

        if image.dim() not in (3, 4) or image.shape[-3] != 3 or (image.dim() == 4 and len(image) != 1):
            raise ValueError(f"a torch image is (3, H, W) or (1, 3, H, W), got {tuple(image.shape)}")
        pixels = image.detach().cpu().reshape(image.shape[-3:]).permute(1, 2, 0).numpy()
        restored = torch.from_numpy(np.ascontiguousarray(restore(pixels).transpose(2, 0, 1)))
        return restored.reshape(image.shape).to(image.device)
    check(image)
    raise AssertionError("an array is an array")
