"""PSNR as a loss: minus the metric in dB, on floats and without rounding."""

from torch import Tensor

from deblur_lit.losses.pair import float_pair


def psnr_loss(restored: Tensor, sharp: Tensor, eps: float = 1e-8) -> Tensor:
    r"""Return the mean over images of minus the PSNR.

    .. math:: \frac{1}{B} \sum_b 10 \log_{10} \left( \mathrm{MSE}(\hat S_b, S_b) + \epsilon \right)

    Args:
        restored: (B, C, H, W), any float dtype, nominally [0, 1], not clamped.
        sharp: same shape, in [0, 1].
        eps: > 0, unit: squared image range. Keeps the loss at 10 log10(eps), -80 dB, for equal images.

    Returns:
        Scalar in dB, negative for any useful image. float32, or float64 if an image is.

    Raises:
        ValueError: if the shapes differ, an image is not floating point or eps is not positive.

    Source: Chen et al., HINet, CVPRW 2021, arXiv:2105.06086, and NAFNet, ECCV 2022, arXiv:2204.04676.

    Example:
        >>> import torch
        >>> black = torch.zeros(2, 3, 4, 4)
        >>> psnr_loss(black + 0.1, black)
        tensor(-20.0000)
    """
    if eps <= 0:
        raise ValueError(f"eps is {eps}: give a positive number, or the loss at equality is infinite")
    restored, sharp = float_pair(restored, sharp)
    mse = (restored - sharp).square().mean(dim=(1, 2, 3))
    return 10 * (mse + eps).log10().mean()
