"""PSNR, one class per named protocol."""

from torch import Tensor

from deblur_lit.metrics.eight_bit import eight_bit_pair
from deblur_lit.metrics.mean import MeanOverImages


def psnr_uint8(restored: Tensor, sharp: Tensor) -> Tensor:
    r"""Return the PSNR of 8-bit RGB images, one value per image.

    .. math:: 10 \log_{10} \frac{255^2}{\mathrm{MSE}}

    The mean runs over all pixels and colours in float64, without a border crop or an epsilon. This is the
    protocol of NAFNet/BasicSR, MPRNet, Restormer, SRN and DMPHN (MATLAB's `psnr` on 8-bit PNG).

    Args:
        restored: (B, 3, H, W), float nominally in [0, 1] (clamped and rounded to 8 bits here), or uint8.
        sharp: same shape, float or uint8.

    Returns:
        (B,) float64 in dB; infinite for identical images.

    Raises:
        ValueError: if the shapes differ, are not (B, 3, H, W), or an image is neither float nor uint8.

    Example:
        >>> import torch
        >>> black = torch.zeros(1, 3, 4, 4)
        >>> psnr_uint8(black + 1, black)
        tensor([0.], dtype=torch.float64)
    """
    restored, sharp = eight_bit_pair(restored, sharp)
    mse = (restored - sharp).square().mean(dim=(1, 2, 3))
    return 10 * (255**2 / mse).log10()


class PSNRUint8(MeanOverImages):
    """Mean over images of `psnr_uint8`, in dB. Not the PSNR of the pooled error, which lies higher or lower.

    Example:
        >>> import torch
        >>> metric = PSNRUint8()
        >>> black = torch.zeros(1, 3, 4, 4)
        >>> metric.update(black + 1, black)
        >>> metric.update(black + 0.2, black)
        >>> metric.compute()  # of 0 dB and 13.98 dB
        tensor(6.9897, dtype=torch.float64)
    """

    def __init__(self) -> None:
        super().__init__(psnr_uint8)
