"""PSNR and SSIM of the RealBlur benchmark: aligned by intensity and homography first, or not."""

import hashlib
from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deblur_lit.metrics import psnr, ssim
from deblur_lit.metrics.batch import score_batch
from deblur_lit.metrics.ecc import AlignmentError, align, grey
from deblur_lit.metrics.float32 import pairwise_sum
from deblur_lit.metrics.levels import LevelPair
from deblur_lit.metrics.warp import Doubles, Plane, Planes, bands, cubic, inside, positions
from deblur_lit.metrics.windows import C1, C2, RADIUS, TAPS

if TYPE_CHECKING:
    from torch import Tensor

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


def psnr_realblur(restored: "Tensor", sharp: "Tensor") -> "Tensor":
    """Return RealBlur's PSNR after alignment, one value per image; see `realblur`.

    The scores of the latest pairs are kept, so that `ssim_realblur` of the same images aligns nothing again. An image
    that cannot be aligned has its PSNR without alignment.

    Args:
        restored: (B, 3, H, W), float nominally in [0, 1] (clamped and rounded to 8 bits here), or uint8.
        sharp: same shape, float or uint8.

    Returns:
        (B,) float64 in dB; NaN for an image that holds NaN.

    Raises:
        ValueError: if the shapes differ, are not (B, 3, H, W), or an image is neither float nor uint8.
    """
    return score_batch(measure, "psnr_realblur", restored, sharp)


def ssim_realblur(restored: "Tensor", sharp: "Tensor") -> "Tensor":
    """Return RealBlur's SSIM after alignment, one value per image; see `realblur` and `psnr_realblur`.

    Returns:
        (B,) float64 in [-1, 1]; NaN where a side is below 11 pixels, and for an image that holds NaN.
    """
    return score_batch(measure, "ssim_realblur", restored, sharp)


def psnr_realblur_unaligned(restored: "Tensor", sharp: "Tensor") -> "Tensor":
    """Return RealBlur's PSNR of the images as they are, which is `psnr_uint8`."""
    return score_batch(measure, "psnr_realblur_unaligned", restored, sharp)


def ssim_realblur_unaligned(restored: "Tensor", sharp: "Tensor") -> "Tensor":
    """Return RealBlur's SSIM of the images as they are, which is `ssim_gauss_valid_rgb`."""
    return score_batch(measure, "ssim_realblur_unaligned", restored, sharp)


UNALIGNED = {"psnr_realblur_unaligned": "psnr_uint8", "ssim_realblur_unaligned": "ssim_gauss_valid_rgb"}


def measure(pair: LevelPair, names: Collection[str], threads: int = 1) -> dict[str, float]:
    """Return the scores of one pair by each of the protocols `names` of this module.

    Why a pair was not aligned, or has no SSIM, is added to its remarks.
    """
    found: dict[str, float] = {}
    for name in names:
        if name in UNALIGNED:
            family = psnr if name.startswith("psnr") else ssim
            found[name] = family.measure(pair, [UNALIGNED[name]], threads)[UNALIGNED[name]]
            continue
        score = _remembered(*(np.ascontiguousarray(image.transpose(1, 2, 0)) for image in pair.rounded))
        found[name] = score.psnr if name.startswith("psnr") else score.ssim
        if score.reason and score.reason not in pair.remarks:
            pair.remarks.append(score.reason)
    return found


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
    weight = mask[RADIUS:-RADIUS, RADIUS:-RADIUS].astype(np.float64)
    total = 0.0
    for one, other in zip(z.astype(np.float64) * 255, x.astype(np.float64) * 255, strict=True):
        mean_z, mean_x = _window_mean(one), _window_mean(other)
        product, squares = mean_z * mean_x, mean_z**2 + mean_x**2
        covariance = _window_mean(one * other) - product
        variances = _window_mean(one**2 + other**2) - squares
        similarity = (2 * product + C1) * (2 * covariance + C2) / ((squares + C1) * (variances + C2))
        total += float((similarity * weight).sum() / weight.sum())
    return total / len(z)


def _window_mean(plane: Doubles) -> Doubles:
    """Return the mean under the 11 x 11 Gaussian window, for windows that lie within the plane."""
    for _ in range(2):
        size = plane.shape[0] - 2 * RADIUS
        plane = sum(tap * plane[offset : offset + size] for offset, tap in enumerate(TAPS)).T
    return plane


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


_LATEST: dict[tuple[bytes, bytes], RealBlurScore] = {}
_KEPT = 64  # pairs, at least those of a batch


def _remembered(restored: RGB, sharp: RGB) -> RealBlurScore:
    """Score a pair, or return its score from a moment ago: PSNR and SSIM share the alignment."""
    key = _digest(restored), _digest(sharp)
    found = _LATEST.get(key)
    if found is None:
        found = realblur(restored, sharp)
        for oldest in list(_LATEST)[: len(_LATEST) - _KEPT + 1]:
            _LATEST.pop(oldest, None)  # another thread may have been faster
        _LATEST[key] = found
    return found


def _digest(image: RGB) -> bytes:
    return hashlib.blake2b(repr(image.shape).encode() + image.tobytes()).digest()
