"""PSNR by four protocols."""

import math
from collections.abc import Collection
from typing import TYPE_CHECKING

import cv2
import numpy as np

from deblur_lit.metrics.batch import score_batch
from deblur_lit.metrics.levels import LevelPair, Planes
from deblur_lit.metrics.luma import luma

if TYPE_CHECKING:
    from torch import Tensor


def psnr_uint8(restored: "Tensor", sharp: "Tensor") -> "Tensor":
    r"""Return the PSNR of 8-bit RGB images, one value per image.

    .. math:: 10 \log_{10} \frac{255^2}{\mathrm{MSE}}

    The mean runs over all pixels and colours in float64, without a border crop or an epsilon. This is the
    protocol of NAFNet/BasicSR, MPRNet, Restormer and DMPHN (MATLAB's `psnr` on 8-bit PNG).

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
    return score_batch(measure, "psnr_uint8", restored, sharp)


def psnr_float(restored: "Tensor", sharp: "Tensor") -> "Tensor":
    """Return the PSNR of float images, clamped to [0, 1] and not rounded; else as `psnr_uint8`.

    The protocol of MIMO-UNet and ConvIR. About 0.01 dB above that of rounded images at 32 dB; equal on 8-bit images.

    Example:
        >>> import torch
        >>> black = torch.zeros(1, 3, 4, 4)
        >>> psnr_float(black + 0.1, black)
        tensor([20.0000], dtype=torch.float64)
    """
    return score_batch(measure, "psnr_float", restored, sharp)


def psnr_uint8_truncated(restored: "Tensor", sharp: "Tensor") -> "Tensor":
    """Return the PSNR of 8-bit images when the restored one was cut down to whole levels; else as `psnr_uint8`.

    Writing 255 times a float as an integer, as DeblurGAN-v2 and SRN do, loses half a level on average. The sharp
    image is rounded, because it comes from 8 bits and its float may lie just below its level.

    Example:
        >>> import torch
        >>> black = torch.zeros(1, 3, 4, 4)
        >>> psnr_uint8_truncated(black + 1.9 / 255, black)  # one level
        tensor([48.1308], dtype=torch.float64)
    """
    return score_batch(measure, "psnr_uint8_truncated", restored, sharp)


def psnr_y601(restored: "Tensor", sharp: "Tensor") -> "Tensor":
    """Return the PSNR of the BT.601 luma (16..235, not rounded) of 8-bit RGB images; else as `psnr_uint8`.

    The protocol of deraining papers, BasicSR's `test_y_channel`. No deblurring table reports it: it lies 1 to 2 dB
    higher than that of RGB.

    Example:
        >>> import torch
        >>> black = torch.zeros(1, 3, 4, 4)
        >>> psnr_y601(black + 1, black)  # 219 levels apart, and the peak is still 255
        tensor([1.3219], dtype=torch.float64)
    """
    return score_batch(measure, "psnr_y601", restored, sharp)


def measure(pair: LevelPair, names: Collection[str], threads: int = 1) -> dict[str, float]:
    """Return the PSNR of one pair by each of the protocols `names` of this module; `threads` has no effect."""
    return {name: _decibels(_ERRORS[name](pair)) for name in names}


def _decibels(mse: float) -> float:
    return 10 * math.log10(255**2 / mse) if mse else math.inf


def _mse(restored: Planes, sharp: Planes) -> float:
    if restored.dtype == sharp.dtype == np.uint8:  # exact: a sum of whole numbers
        return cv2.norm(restored.reshape(3, -1), sharp.reshape(3, -1), cv2.NORM_L2SQR) / restored.size
    return float(np.square(np.subtract(restored, sharp, dtype=np.float64)).mean())


_ERRORS = {
    "psnr_uint8": lambda pair: _mse(*pair.rounded),
    "psnr_float": lambda pair: _mse(*pair.exact),
    "psnr_uint8_truncated": lambda pair: _mse(*pair.truncated),
    "psnr_y601": lambda pair: _mse(*map(luma, pair.rounded)),
}
