"""Charbonnier loss: L1 with a smooth bottom."""

from torch import Tensor

from deblur_lit.losses.pair import float_pair


def charbonnier(restored: Tensor, sharp: Tensor, eps: float = 1e-3) -> Tensor:
    r"""Return the mean Charbonnier distance of two images.

    .. math:: \frac{1}{BCHW} \sum \sqrt{(\hat S - S)^2 + \epsilon^2}

    Args:
        restored: (B, C, H, W), any float dtype, nominally [0, 1], not clamped.
        sharp: same shape, in [0, 1].
        eps: > 0, unit: image range. Errors well below it are squared, errors well above it are absolute.

    Returns:
        Scalar >= eps, and eps for equal images. float32, or float64 if an image is.

    Raises:
        ValueError: if the shapes differ, an image is not floating point or eps is not positive.

    Source: Charbonnier et al., ICIP 1994; in this form Zamir et al., MPRNet, CVPR 2021, arXiv:2102.02808.

    Example:
        >>> import torch
        >>> black = torch.zeros(1, 3, 4, 4)
        >>> charbonnier(black + 0.004, black, eps=0.003)
        tensor(0.0050)
    """
    if eps <= 0:
        raise ValueError(f"eps is {eps}: give a positive number, or the gradient at equality is NaN")
    restored, sharp = float_pair(restored, sharp)
    return ((restored - sharp).square() + eps**2).sqrt().mean()
