"""L1 between spectra: the frequency term of the paper."""

import torch
from torch import Tensor

from deblur_lit.losses.pair import float_pair


def frequency_l1(restored: Tensor, sharp: Tensor, size_invariant: bool = False) -> Tensor:
    r"""Return the mean absolute difference between the spectra of two images.

    .. math:: \frac{1}{2BCHW} \sum |\Re D| + |\Im D|, \quad D = \mathrm{DFT}(\hat S - S)

    The sum runs over the full spectrum. Only its left half is computed: the spectrum of a real image is
    conjugate symmetric, so a column and its mirror image have the same sum. The transform is float32
    whatever autocast says.

    Args:
        restored: (B, C, H, W), any float dtype, nominally [0, 1], not clamped.
        sharp: same shape, in [0, 1].
        size_invariant: divide by sqrt(HW), the orthonormal DFT. The value then depends on the error alone
            and not on the crop, and every scale of a pyramid weighs the same. At a crop of side s, the
            weight 0.1 * s gives the full scale what 0.1 gives it without this option.

    Returns:
        Scalar >= 0, float32, or float64 if an image is. Unit: unnormalised DFT amplitude. For errors without
        structure it doubles when the crop side doubles, so a weight tuned at 256 px is another weight at
        512 px, unless `size_invariant`.

    Raises:
        ValueError: if the shapes differ or an image is not floating point.

    Source: Wan et al., Infrared 44(4), 2023, Eq. 5, after Cho et al., ICCV 2021, arXiv:2108.05054.

    Example:
        >>> black = torch.zeros(1, 1, 4, 4)
        >>> frequency_l1(black + 0.5, black)  # one bin of 0.5 * 16 among 32 numbers
        tensor(0.2500)
    """
    restored, sharp = float_pair(restored, sharp)
    with torch.autocast(restored.device.type, enabled=False):
        half = torch.fft.rfft2(restored - sharp, norm="ortho" if size_invariant else "backward")
    columns = torch.view_as_real(half).abs().sum(dim=(0, 1, 2, 4))
    total = 2 * columns.sum() - columns[0]  # column 0 is its own mirror image
    if restored.shape[-1] % 2 == 0:
        total = total - columns[-1]  # and so is column W/2
    return total / (2 * restored.numel())
