"""PSNR and SSIM of the RealBlur benchmark: aligned by intensity and homography first, or not."""

import hashlib
import warnings
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deblur_lit.metrics.ecc import AlignmentError, align, grey
from deblur_lit.metrics.eight_bit import eight_bit_pair
from deblur_lit.metrics.float32 import pairwise_sum
from deblur_lit.metrics.ssim import RADIUS, _similarity, _weighted_sum
from deblur_lit.metrics.warp import Doubles, Plane, Planes, bands, cubic, inside, positions

RGB = NDArray[np.uint8]  # (H, W, 3)

WINDOW = 2 * RADIUS + 1  # of SSIM, pixels


class RealBlurScore(NamedTuple):
    """Scores of one pair and how it was aligned.

    `psnr` in dB, infinite where the images are equal; `ssim` in [-1, 1], NaN where a side is below 11 pixels.
    `converged` is False where the alignment failed: then both scores are those without alignment. `reason` says
    why, and why `ssim` is NaN; it is empty otherwise. `warp` (3, 3) float64 maps pixels (x, y, 1) of the sharp image to
    the restored one; `gain` multiplied the restored image; `valid_fraction` of the sharp image's pixels were compared.
    """

    psnr: float
    ssim: float
    converged: bool
    reason: str
    warp: Doubles
    gain: float
    valid_fraction: float


def realblur(restored: RGB, sharp: RGB, align: bool = True) -> RealBlurScore:
    r"""Score one pair as the RealBlur script does.

    With x the sharp and z the restored image in [0, 1]: z is multiplied by :math:`\sum xz / \sum z^2` without
    clipping, aligned to x by the homography that maximises the correlation coefficient of the grey images (100
    iterations), sampled by cubic interpolation, and compared with x where the nearest pixel of z exists. PSNR is that
    of the mean squared error there, peak 1. SSIM has Gaussian windows of 11 x 11 pixels, sigma 1.5, population
    moments, per channel, on both images set to 0 elsewhere; its map is cut by 5 pixels on each side and averaged
    where z exists.

    The script stops where the alignment fails. Here such a pair gets its scores without alignment, `converged=False`
    and a reason. That is so for uncorrelated images, images without overlap, flat images, and texture that
    does not determine a homography, such as stripes; small images often are one of these.

    Args:
        restored: (H, W, 3) uint8, any size.
        sharp: same shape and type.
        align: False compares the images as they are.

    Returns:
        The scores. They equal the script's with OpenCV 4.2.0, scikit-image 0.17.2 and numpy 1.24, the homography bit
        for bit, the scores up to the script's float32 sums (1e-6 dB); other versions of OpenCV differ by up to
        0.005 dB. No OpenCV is used here.

    Raises:
        ValueError: if the shapes differ, are not (H, W, 3), or an image is not uint8.

    Source: github.com/rimchang/RealBlur, evaluation_RealBlur_ecc.py; Rim et al., ECCV 2020.

    Example:
        >>> black = np.zeros((16, 16, 3), np.uint8)
        >>> score = realblur(black + np.uint8(51), black)
        >>> round(score.psnr, 2), score.converged, score.reason
        (13.98, False, 'not aligned: the sharp image is black')
    """
    _check(restored, sharp)
    z, x = _unit(restored), _unit(sharp)
    reasons = [] if min(x.shape[1:]) >= WINDOW else [f"no SSIM: {_size(x)} is below {WINDOW} x {WINDOW} pixels"]
    gain, warp, mask = 1.0, np.eye(3), np.ones(x.shape[1:], np.float32)
    failure = ""
    if align:
        try:
            z, mask, warp, gain = _aligned(z, x)
        except AlignmentError as error:
            failure = f"not aligned: {error}"
    reason = "; ".join(filter(None, [failure, *reasons]))
    ssim = float("nan") if min(x.shape[1:]) < WINDOW else _ssim(z * mask, x * mask, mask)
    fraction = float(mask.mean(dtype=np.float64))
    return RealBlurScore(_psnr(z, x, mask), ssim, not failure, reason, warp, gain, fraction)


def psnr_realblur(restored: Tensor, sharp: Tensor) -> Tensor:
    """Return RealBlur's PSNR after alignment, one value per image; see `realblur`.

    The scores of the latest pairs are kept, so that `ssim_realblur` of the same images aligns nothing again.

    Args:
        restored: (B, 3, H, W), float nominally in [0, 1] (clamped and rounded to 8 bits here), or uint8.
        sharp: same shape, float or uint8.

    Returns:
        (B,) float64 in dB; NaN for an image that holds NaN. An image that cannot be aligned has its PSNR without
        alignment, and a RuntimeWarning says why.

    Raises:
        ValueError: if the shapes differ, are not (B, 3, H, W), or an image is neither float nor uint8.
    """
    return _scores(restored, sharp, "psnr", aligned=True)


def ssim_realblur(restored: Tensor, sharp: Tensor) -> Tensor:
    """Return RealBlur's SSIM after alignment, one value per image; see `realblur` and `psnr_realblur`.

    Returns:
        (B,) float64 in [-1, 1]; NaN where a side is below 11 pixels, and for an image that holds NaN.
    """
    return _scores(restored, sharp, "ssim", aligned=True)


def psnr_realblur_unaligned(restored: Tensor, sharp: Tensor) -> Tensor:
    """Return RealBlur's PSNR of the images as they are: on 8-bit images it equals `psnr_uint8`.

    Returns:
        (B,) float64 in dB.
    """
    return _scores(restored, sharp, "psnr", aligned=False)


def ssim_realblur_unaligned(restored: Tensor, sharp: Tensor) -> Tensor:
    """Return RealBlur's SSIM of the images as they are: per channel, Gaussian window, cut by 5 pixels.

    Returns:
        (B,) float64 in [-1, 1]; NaN where a side is below 11 pixels, and for an image that holds NaN.
    """
    return _scores(restored, sharp, "ssim", aligned=False)


def _aligned(z: Planes, x: Planes) -> tuple[Planes, Plane, Doubles, float]:
    """Return the restored image with its intensity and position matched, its mask, the warp, and the gain."""
    for name, image in (("restored", z), ("sharp", x)):
        if not image.any():
            raise AlignmentError(f"the {name} image is black")
    by_pixel = [np.ascontiguousarray(image.transpose(1, 2, 0)) for image in (x, z)]  # the script's order of summation
    gain = pairwise_sum(by_pixel[0] * by_pixel[1]) / pairwise_sum(by_pixel[1] * by_pixel[1])
    matched = z * gain
    warp = align(grey(x), grey(matched))
    height, width = x.shape[1:]
    mask = np.concatenate([inside(positions(warp, rows, width), height, width) for rows in bands(height)])
    if not mask.any() or (min(height, width) >= WINDOW and not mask[RADIUS:-RADIUS, RADIUS:-RADIUS].any()):
        raise AlignmentError("the images do not overlap after alignment")
    return cubic(matched, warp), mask, warp, float(gain)


def _psnr(z: Planes, x: Planes, mask: Plane) -> float:
    squares = np.square((x - z).astype(np.float64) * mask)
    error = squares.sum() / (len(x) * mask.sum(dtype=np.float64))
    return float("inf") if error == 0 else float(-10 * np.log10(error))


def _ssim(z: Planes, x: Planes, mask: Plane) -> float:
    """SSIM of masked images; windows that straddle the border of the mask count."""
    restored, sharp = (torch.from_numpy(image).double().mul(255) for image in (z, x))
    moments = (restored, sharp, restored.square().addcmul_(sharp, sharp), restored * sharp)
    similarity = _similarity(*(_weighted_sum(_weighted_sum(moment, axis=1), axis=2) for moment in moments))
    weight = torch.from_numpy(mask).double()[RADIUS:-RADIUS, RADIUS:-RADIUS]
    return ((similarity * weight).sum() / (len(similarity) * weight.sum())).item()


def _check(restored: RGB, sharp: RGB) -> None:
    if restored.shape != sharp.shape or restored.ndim != 3 or restored.shape[2] != 3 or not restored.size:
        shapes = f"restored is {restored.shape}, sharp is {sharp.shape}"
        raise ValueError(f"{shapes}: give two images of the same shape (H, W, 3)")
    for name, image in (("restored", restored), ("sharp", sharp)):
        if image.dtype != np.uint8:
            raise ValueError(f"{name} is {image.dtype}: give uint8")


def _unit(image: RGB) -> Planes:
    planes = np.ascontiguousarray(image.transpose(2, 0, 1)).astype(np.float32)
    return planes / np.float32(255)


def _size(planes: Planes) -> str:
    return f"{planes.shape[2]} x {planes.shape[1]}"


def _scores(restored: Tensor, sharp: Tensor, score: Literal["psnr", "ssim"], aligned: bool) -> Tensor:
    levels = [image.permute(0, 2, 3, 1).cpu() for image in eight_bit_pair(restored, sharp)]
    values = []
    for z, x in zip(*levels, strict=True):
        if z.isnan().any() or x.isnan().any():
            values.append(float("nan"))
            continue
        found = _remembered(z.byte().numpy(), x.byte().numpy(), aligned)
        if not found.converged:
            warnings.warn(f"RealBlur score of an image that is {found.reason}", RuntimeWarning, stacklevel=3)
        values.append(getattr(found, score))
    return torch.tensor(values, dtype=torch.float64, device=restored.device)


_LATEST: dict[tuple[bytes, bytes, bool], RealBlurScore] = {}
_KEPT = 64  # pairs, at least those of a batch


def _remembered(restored: RGB, sharp: RGB, aligned: bool) -> RealBlurScore:
    """Score a pair, or return its score from a moment ago: PSNR and SSIM share the alignment."""
    key = _digest(restored), _digest(sharp), aligned
    if key not in _LATEST:
        while len(_LATEST) >= _KEPT:
            del _LATEST[next(iter(_LATEST))]
        _LATEST[key] = realblur(restored, sharp, align=aligned)
    return _LATEST[key]


def _digest(image: RGB) -> bytes:
    return hashlib.blake2b(repr(image.shape).encode() + image.tobytes()).digest()
