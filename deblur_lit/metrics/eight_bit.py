"""Images as the protocols that read 8-bit files see them."""

import torch
from torch import Tensor


def eight_bit_pair(restored: Tensor, sharp: Tensor) -> tuple[Tensor, Tensor]:
    """Return both images at their 8-bit levels.

    A float image is clamped to [0, 1], multiplied by 255 in float64 and rounded, halves to the even level
    (what `numpy.round` does before the published code saves a PNG). NaN stays NaN and shows in the score.

    Args:
        restored: (B, 3, H, W), float nominally in [0, 1], or uint8.
        sharp: same shape, float or uint8.

    Returns:
        The two images as float64 whole numbers in [0, 255].

    Raises:
        ValueError: if the shapes differ, are not (B, 3, H, W), or an image is neither float nor uint8.

    Example:
        >>> pixel = torch.tensor([-0.1, 0.5, 1.1]).reshape(1, 3, 1, 1)
        >>> eight_bit_pair(pixel, pixel)[0].flatten()  # 127.5 goes to 128
        tensor([  0., 128., 255.], dtype=torch.float64)
    """
    if restored.shape != sharp.shape or restored.ndim != 4 or restored.shape[1] != 3:
        shapes = f"restored is {tuple(restored.shape)}, sharp is {tuple(sharp.shape)}"
        raise ValueError(f"{shapes}: give two images of the same shape (B, 3, H, W)")
    return _levels("restored", restored), _levels("sharp", sharp)


def _levels(name: str, image: Tensor) -> Tensor:
    if image.dtype == torch.uint8:
        return image.double()
    if image.is_floating_point():
        return image.detach().double().clamp(0, 1).mul(255).round()
    raise ValueError(f"{name} is {image.dtype}: give floats in [0, 1] or uint8")
