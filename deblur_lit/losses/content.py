"""L1 between images: the content term of the paper."""

from torch import Tensor

from deblur_lit.losses.pair import float_pair


def content_l1(restored: Tensor, sharp: Tensor) -> Tensor:
    r"""Return the mean absolute difference of two images.

    .. math:: \frac{1}{BCHW} \sum |\hat S - S|

    Args:
        restored: (B, C, H, W), any float dtype, nominally [0, 1], not clamped.
        sharp: same shape, in [0, 1].

    Returns:
        Scalar >= 0, unit: image range. float32, or float64 if an image is.

    Raises:
        ValueError: if the shapes differ or an image is not floating point.

    Source: Wan et al., Infrared 44(4), 2023, Eq. 4; Cho et al., ICCV 2021, arXiv:2108.05054.

    Example:
        >>> import torch
        >>> black = torch.zeros(1, 3, 4, 4)
        >>> content_l1(black + 0.5, black)
        tensor(0.5000)
    """
    restored, sharp = float_pair(restored, sharp)
    return (restored - sharp).abs().mean()
