"""SSIM, one class per named protocol."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from deblur_lit.metrics.eight_bit import eight_bit_pair
from deblur_lit.metrics.mean import MeanOverImages

RADIUS, SIGMA = 5, 1.5  # window, pixels
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2  # Wang et al., IEEE TIP 2004, for levels 0..255
_GAUSSIAN = [math.exp(-(offset**2) / (2 * SIGMA**2)) for offset in range(-RADIUS, RADIUS + 1)]
TAPS = [value / sum(_GAUSSIAN) for value in _GAUSSIAN]  # of the window along one axis
# The taps along the colours as a 3x3 matrix: red and blue repeat beyond the ends, so that taps add up.
COLOUR_MIX = [
    [sum(tap for i, tap in enumerate(TAPS, start=to - RADIUS) if min(max(i, 0), 2) == source) for source in range(3)]
    for to in range(3)
]


def ssim_matlab_volume(restored: Tensor, sharp: Tensor) -> Tensor:
    """Return MATLAB's `ssim` of 8-bit RGB images, one value per image.

    MATLAB takes an H x W x 3 array for a volume: the Gaussian window has 11 x 11 x 11 taps and runs over the
    colours too, so "variance" holds the difference between colours, which blur hardly changes. Values lie
    0.02 to 0.03 above SSIM per channel. Sigma 1.5, K1 0.01, K2 0.03, levels 0..255, border voxels repeated on
    all three axes, population moments, mean over all H x W x 3 positions without a crop. This is the protocol
    of the GoPro column of MPRNet, Restormer, NAFNet, HINet, SRN, DMPHN and Nah et al.

    Args:
        restored: (B, 3, H, W) of any size, float nominally in [0, 1] (clamped and rounded to 8 bits here), or
            uint8.
        sharp: same shape, float or uint8.

    Returns:
        (B,) float64 in [-1, 1], 1 for identical images.

    Raises:
        ValueError: if the shapes differ, are not (B, 3, H, W), or an image is neither float nor uint8.

    Source: MATLAB documentation of `ssim`; github.com/SeungjunNah/DeepDeblur_release, issue 51.

    Example:
        >>> black = torch.zeros(1, 3, 4, 4)
        >>> ssim_matlab_volume(black + 0.02, black)  # 5 levels, no contrast: C1 / (5^2 + C1)
        tensor([0.2064], dtype=torch.float64)
    """
    restored, sharp = eight_bit_pair(restored, sharp)
    return torch.stack([_volume_ssim(*pair) for pair in zip(restored, sharp, strict=True)])


class SSIMMatlabVolume(MeanOverImages):
    """Mean over images of `ssim_matlab_volume`.

    Example:
        >>> metric = SSIMMatlabVolume()
        >>> black = torch.zeros(1, 3, 4, 4)
        >>> metric.update(black, black)
        >>> metric.compute()
        tensor(1., dtype=torch.float64)
    """

    def __init__(self) -> None:
        super().__init__(ssim_matlab_volume)


def _volume_ssim(restored: Tensor, sharp: Tensor) -> Tensor:
    """SSIM of one pair (3, H, W)."""
    moments = (restored, sharp, restored.square().addcmul_(sharp, sharp), restored * sharp)
    return _similarity(*(_volume_mean(moment) for moment in moments)).mean()


def _similarity(mean_x: Tensor, mean_y: Tensor, mean_squares: Tensor, mean_xy: Tensor) -> Tensor:
    """SSIM map from the local means of x, y, x^2 + y^2 and xy: the two variances only occur as a sum."""
    product = mean_x * mean_y
    squares = mean_x.square().addcmul_(mean_y, mean_y)
    luminance = (2 * product + C1) / (squares + C1)
    contrast_structure = (2 * (mean_xy - product) + C2) / (mean_squares - squares + C2)
    return luminance * contrast_structure


def _volume_mean(volume: Tensor) -> Tensor:
    """Mean of (3, H, W) under the 11 x 11 x 11 window around each voxel, one axis after the other."""
    padded = F.pad(volume, (RADIUS, RADIUS, RADIUS, RADIUS), mode="replicate")
    plane = _weighted_sum(_weighted_sum(padded, axis=1), axis=2)
    return (volume.new_tensor(COLOUR_MIX) @ plane.flatten(1)).reshape(volume.shape)


def _weighted_sum(image: Tensor, axis: int) -> Tensor:
    """Gaussian along one axis, which loses RADIUS pixels at both ends.

    Adding shifted images is several times faster than torch's float64 convolution on a CPU.
    """
    size = image.shape[axis] - 2 * RADIUS
    total = image.narrow(axis, 0, size) * TAPS[0]
    for offset, tap in enumerate(TAPS[1:], start=1):
        total.add_(image.narrow(axis, offset, size), alpha=tap)
    return total
