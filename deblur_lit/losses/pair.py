"""What every loss term asks of its two images."""

import torch
from torch import Tensor


def float_pair(restored: Tensor, sharp: Tensor) -> tuple[Tensor, Tensor]:
    """Return both images in one dtype of at least float32.

    Half-precision images come from autocast; squares and spectra would overflow in float16 and lose digits
    in bfloat16.

    Args:
        restored: (B, C, H, W), any float dtype.
        sharp: same shape, any float dtype.

    Returns:
        The two images as float32, or as float64 if either of them is.

    Raises:
        ValueError: if the shapes differ or an image is not floating point.

    Example:
        >>> half = torch.zeros(1, 3, 2, 2, dtype=torch.bfloat16)
        >>> [image.dtype for image in float_pair(half, half)]
        [torch.float32, torch.float32]
    """
    if restored.shape != sharp.shape:
        raise ValueError(f"restored is {tuple(restored.shape)}, sharp is {tuple(sharp.shape)}: give equal shapes")
    for name, image in (("restored", restored), ("sharp", sharp)):
        if not image.is_floating_point():
            raise ValueError(f"{name} is {image.dtype}: give floats in [0, 1], 8-bit images divided by 255")
    dtype = torch.promote_types(torch.promote_types(restored.dtype, sharp.dtype), torch.float32)
    return restored.to(dtype), sharp.to(dtype)
