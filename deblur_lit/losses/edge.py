"""Edge loss: Charbonnier distance of Laplacians."""

from torch import Tensor
from torch.nn import functional as F

from deblur_lit.losses.charbonnier import charbonnier
from deblur_lit.losses.pair import float_pair


def laplacian(image: Tensor) -> Tensor:
    """Return the 3x3 Laplacian (four neighbours minus four times the pixel), border pixels repeated.

    Written as differences of differences: where the border repeats, the outer difference is zero. Unlike a
    convolution it is left alone by autocast, unlike replicate padding its gradient is deterministic on a GPU.

    Args:
        image: (B, C, H, W), any float dtype and size.

    Returns:
        Same shape and dtype; sums to zero over each channel.

    Example:
        >>> import torch
        >>> dot = torch.zeros(1, 1, 3, 3)
        >>> dot[..., 1, 1] = 1
        >>> laplacian(dot)[0, 0].int().tolist()
        [[0, 1, 0], [1, -4, 1], [0, 1, 0]]
    """
    down = F.pad(image.diff(dim=-2), (0, 0, 1, 1))
    right = F.pad(image.diff(dim=-1), (1, 1))
    return down.diff(dim=-2) + right.diff(dim=-1)


def edge_charbonnier(restored: Tensor, sharp: Tensor, eps: float = 1e-3) -> Tensor:
    r"""Return the mean Charbonnier distance of the Laplacians of two images.

    .. math:: \frac{1}{BCHW} \sum \sqrt{(\Delta \hat S - \Delta S)^2 + \epsilon^2}

    Args:
        restored: (B, C, H, W), any float dtype, nominally [0, 1], not clamped.
        sharp: same shape, in [0, 1].
        eps: > 0, unit: image range.

    Returns:
        Scalar >= eps, and eps for images that differ by a constant. float32, or float64 if an image is.

    Raises:
        ValueError: if the shapes differ, an image is not floating point or eps is not positive.

    Source: Zamir et al., MPRNet, CVPR 2021, arXiv:2102.02808. Delta is the 3x3 Laplacian of its formula; its
        published code takes one level of a Laplacian pyramid (5x5 Gaussian) instead.

    Example:
        >>> import torch
        >>> black = torch.zeros(1, 3, 4, 4)
        >>> edge_charbonnier(black + 0.5, black)
        tensor(0.0010)
    """
    restored, sharp = float_pair(restored, sharp)
    return charbonnier(laplacian(restored), laplacian(sharp), eps)
