"""The named protocols: what each measures and which published code reports it. Data only, loaded in no time."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import NamedTuple


class Protocol(NamedTuple):
    """What a reader must know of a column.

    Attributes:
        unit: "dB", or "" for a pure number.
        text: what is measured, in one line.
        used_by: published code or papers that report it.
        aligned: whether the restored image is first aligned with the sharp one (seconds an image).
    """

    unit: str
    text: str
    used_by: str
    aligned: bool = False


PROTOCOLS: dict[str, Protocol] = {
    "psnr_uint8": Protocol(
        "dB",
        "RGB, rounded to 8 bits, peak 255",
        "NAFNet, BasicSR, MPRNet, Restormer, DMPHN (MATLAB psnr on 8-bit PNG)",
    ),
    "psnr_float": Protocol("dB", "RGB, clamped to [0, 1] but not rounded", "MIMO-UNet, ConvIR (eval.py)"),
    "psnr_uint8_truncated": Protocol(
        "dB", "RGB, the restored image cut down to whole levels in place of rounded", "DeblurGAN-v2, SRN (astype uint8)"
    ),
    "psnr_y601": Protocol(
        "dB",
        "luma of BT.601 in limited range, not rounded, from 8-bit RGB",
        "deraining papers (BasicSR test_y_channel); no deblurring table",
    ),
    "ssim_matlab_volume": Protocol(
        "",
        "MATLAB ssim of the H x W x 3 array: Gaussian window over the colours too, border repeated",
        "GoPro and HIDE columns of MPRNet, Restormer, NAFNet, HINet, TLC, SRN, SVRNN, DMPHN, Nah 2017",
    ),
    "ssim_gauss_valid_rgb": Protocol(
        "",
        "mean over colours, Gaussian window of 11 pixels, without the border",
        "DeepDeblur-PyTorch, BasicSR calculate_ssim, mmagic, SSIM of the RealBlur script",
    ),
    "ssim_gauss_samplecov_rgb": Protocol(
        "", "as ssim_gauss_valid_rgb with sample (n - 1) covariance", "SDWNet (scikit-image, gaussian_weights alone)"
    ),
    "ssim_uniform7_rgb": Protocol(
        "",
        "mean over colours, square window of 7 pixels, sample covariance, without the border",
        "DeblurGAN-v2 during training; code that calls scikit-image without options",
    ),
    "ssim_y601_valid": Protocol(
        "",
        "ssim_gauss_valid_rgb of the luma that psnr_y601 reads",
        "deraining papers (BasicSR test_y_channel); no deblurring table",
    ),
    "psnr_realblur": Protocol(
        "dB",
        "8-bit RGB after matching intensity and aligning by ECC with a homography, over the pixels that overlap",
        "RealBlur columns (evaluation_RealBlur_ecc.py), MPRNet and Restormer on RealBlur",
        aligned=True,
    ),
    "ssim_realblur": Protocol(
        "",
        "ssim_gauss_valid_rgb of the aligned images, weighted by the overlap",
        "RealBlur columns (evaluation_RealBlur_ecc.py), MPRNet and Restormer on RealBlur",
        aligned=True,
    ),
    "psnr_realblur_unaligned": Protocol(
        "dB", "psnr_realblur without alignment: equal to psnr_uint8", "RealBlur scores without the official script"
    ),
    "ssim_realblur_unaligned": Protocol(
        "", "ssim_realblur without alignment: equal to ssim_gauss_valid_rgb", "RealBlur scores without the script"
    ),
}


def unaligned() -> list[str]:
    """Return the protocols that compare pixel by pixel, without alignment; they take a fraction of a second."""
    return [name for name, protocol in PROTOCOLS.items() if not protocol.aligned]


def choose(names: Sequence[str] | None) -> list[str]:
    """Return the protocols that a command line or a call asks for, each once, in the order asked.

    Args:
        names: of the table above; "all" stands for every one, and None or nothing for all unaligned ones.

    Raises:
        ValueError: for an unknown name; the message names the nearest.

    Example:
        >>> choose(["psnr_float", "ssim_y601_valid", "psnr_float"])
        ['psnr_float', 'ssim_y601_valid']
    """
    if not names:
        return unaligned()
    if "all" in names:
        return list(PROTOCOLS)
    for name in names:
        if name not in PROTOCOLS:
            close = get_close_matches(name, PROTOCOLS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there is: {', '.join(PROTOCOLS)}"
            raise ValueError(f"there is no protocol {name!r}; {hint}")
    return list(dict.fromkeys(names))


def legend(names: Iterable[str]) -> list[str]:
    """Return one line for each protocol: name, what it measures, and who reports it.

    Example:
        >>> legend(["psnr_float"])
        ['psnr_float (dB): RGB, clamped to [0, 1] but not rounded. Used by: MIMO-UNet, ConvIR (eval.py)']
    """
    return [_line(name, PROTOCOLS[name]) for name in names]


def _line(name: str, protocol: Protocol) -> str:
    unit = f" ({protocol.unit})" if protocol.unit else ""
    return f"{name}{unit}: {protocol.text}. Used by: {protocol.used_by}"
