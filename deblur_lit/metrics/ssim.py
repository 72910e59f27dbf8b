"""SSIM, one class per named protocol."""

import torch
from torch import Tensor
from torch.nn import functional as F

from deblur_lit.metrics.eight_bit import eight_bit_pair
from deblur_lit.metrics.mean import MeanOverImages

RADIUS, SIGMA = 5, 1.5  # Gaussian window of 11 taps, pixels
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2  # Wang et al., IEEE TIP 2004, for levels 0..255
BLOCK = 16  # output pixels per small matrix product; 8 and 32 are no faster


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
    moments = (restored, sharp, restored.square() + sharp.square(), restored * sharp)
    return _similarity(*(_window_mean(moment) for moment in moments)).mean()


def _window_mean(volume: Tensor) -> Tensor:
    """Mean of (3, H, W) under the window centred on each voxel: over rows, then columns, then colours."""
    height, width = volume.shape[-2:]
    taps = gaussian_taps()
    band, mix = _band(taps).to(volume.device), _colour_mix(taps).to(volume.device)
    right, bottom = -width % BLOCK, -height % BLOCK  # up to whole blocks; cut off again below
    mean = F.pad(volume, (RADIUS, RADIUS + right, RADIUS, RADIUS + bottom), mode="replicate")
    mean = band.T @ mean.unfold(-2, len(band), BLOCK).transpose(-1, -2)  # (3, blocks, BLOCK, padded width)
    mean = (mean.unfold(-1, len(band), BLOCK) @ band).flatten(-2).flatten(1, 2)
    return (mix @ mean[:, :height, :width].flatten(1)).reshape(volume.shape)


def _similarity(mean_x: Tensor, mean_y: Tensor, mean_squares: Tensor, mean_xy: Tensor) -> Tensor:
    """SSIM map from the local means of x, y, x^2 + y^2 and xy: the two variances only occur as a sum."""
    product = mean_x * mean_y
    squares = mean_x.square() + mean_y.square()
    luminance = (2 * product + C1) / (squares + C1)
    contrast_structure = (2 * (mean_xy - product) + C2) / (mean_squares - squares + C2)
    return luminance * contrast_structure


def gaussian_taps() -> Tensor:
    """Return the (11,) float64 taps of the window along one axis; they sum to 1."""
    position = torch.arange(-RADIUS, RADIUS + 1, dtype=torch.float64)
    taps = torch.exp(-position.square() / (2 * SIGMA**2))
    return taps / taps.sum()


def _band(taps: Tensor) -> Tensor:
    """The filter as a matrix (BLOCK + 10, BLOCK): column i weighs inputs i..i+10.

    Matrix products with it are several times faster than torch's float64 convolution on a CPU.
    """
    return torch.stack([F.pad(taps, (i, BLOCK - 1 - i)) for i in range(BLOCK)], dim=1)


def _colour_mix(taps: Tensor) -> Tensor:
    """The 11 taps over the colour axis as a 3x3 matrix: red and blue repeat beyond the ends."""
    mix = taps.new_zeros(3, 3)
    for colour in range(3):
        for offset, tap in enumerate(taps, start=-RADIUS):
            mix[colour, min(max(colour + offset, 0), 2)] += tap
    return mix
