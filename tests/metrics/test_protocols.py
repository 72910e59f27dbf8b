"""PSNR and SSIM of image pairs: published values, brute force, other tools."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor
from torch.nn import functional as F

from deblur_lit.metrics.psnr import PSNRUint8, psnr_uint8
from deblur_lit.metrics.ssim import SSIMMatlabVolume, ssim_matlab_volume

Protocol = Callable[[Tensor, Tensor], Tensor]
PROTOCOLS = [psnr_uint8, ssim_matlab_volume]
SIZES = [(1, 1), (1, 7), (3, 2), (10, 11), (16, 16), (17, 31), (33, 48)]
GOLDEN_PAIRS = [
    "full_Flower",
    "patch_000047_104",
    "patch_000047_110",
    "patch_000047_125",
    "output_DMPHN_1_2_4_8_000014",
    "output_SDNet4_000014",
]


def images(*shape: int, noise: int = 30, seed: int = 0) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    sharp = torch.randint(256, shape, generator=draw)
    restored = sharp + torch.randint(-noise, noise + 1, shape, generator=draw)
    return restored.clamp(0, 255).byte(), sharp.byte()


def volume_ssim(restored: Tensor, sharp: Tensor) -> float:
    """One image (3, H, W), one 11 x 11 x 11 window per voxel."""
    position = torch.arange(-5, 6, dtype=torch.float64)
    tap = torch.exp(-(position**2) / (2 * 1.5**2))
    window = torch.einsum("i,j,k->ijk", tap, tap, tap)
    window /= window.sum()
    x, y = (F.pad(image.double()[None, None], (5,) * 6, mode="replicate") for image in (restored, sharp))
    mean_x, mean_y, xx, yy, xy = (F.conv3d(image, window[None, None]) for image in (x, y, x * x, y * y, x * y))
    c1, c2 = 2.55**2, 7.65**2
    numerator = (2 * mean_x * mean_y + c1) * (2 * (xy - mean_x * mean_y) + c2)
    denominator = (mean_x**2 + mean_y**2 + c1) * (xx - mean_x**2 + yy - mean_y**2 + c2)
    return (numerator / denominator).mean().item()


class Golden:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.json: dict[str, Any] = json.loads((folder / "metrics_public.json").read_text())
        self.pairs = {pair["id"]: pair for pair in self.json["pairs"]}
        self.tolerance = {name: protocol.get("tol") for name, protocol in self.json["protocols"].items()}

    def images(self, name: str) -> tuple[Tensor, Tensor]:
        files = (self.folder / self.pairs[name][key] for key in ("pred", "target"))
        restored, sharp = (torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)[None] for file in files)
        return restored, sharp


@pytest.fixture(scope="module")
def golden(shared: Path) -> Golden:
    return Golden(shared / "goldens" / "metrics")


@pytest.mark.shared
@pytest.mark.parametrize("name", GOLDEN_PAIRS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", ["uint8", "float"])
def test_eight_bit_pairs_equal_the_published_tools(golden: Golden, name: str, protocol: Protocol, kind: str) -> None:
    restored, sharp = golden.images(name)
    if kind == "float":
        restored, sharp = restored / 255, sharp / 255
    expected = golden.pairs[name]["values"][protocol.__name__]
    tolerance = golden.tolerance[protocol.__name__]
    assert protocol(restored, sharp).item() == pytest.approx(expected, abs=tolerance, rel=0)


@pytest.mark.shared
@pytest.mark.parametrize("name", GOLDEN_PAIRS)
@pytest.mark.parametrize(
    ("protocol", "key"),
    [
        (psnr_uint8, "float_psnr_rounded_uint8"),
        (ssim_matlab_volume, "float_ssim_matlab_volume_rounded_uint8"),
    ],
)
def test_unrounded_predictions_are_rounded(golden: Golden, name: str, protocol: Protocol, key: str) -> None:
    restored, sharp = golden.images(name)
    prediction = (0.6180339887 * restored.double() + 0.3819660113 * sharp.double() + 0.25).clamp(0, 255) / 255
    expected = golden.pairs[name]["values"][key]
    assert protocol(prediction, sharp).item() == pytest.approx(expected, abs=golden.tolerance[key], rel=0)


@pytest.mark.shared
def test_set_score_is_the_mean_over_images_and_not_of_the_pooled_error(golden: Golden) -> None:
    psnr, ssim = PSNRUint8(), SSIMMatlabVolume()
    for name in GOLDEN_PAIRS:
        psnr.update(*golden.images(name))
        ssim.update(*golden.images(name))
    trap = golden.json["averaging_trap"]
    assert len(golden.pairs) == len(GOLDEN_PAIRS)
    assert psnr.compute().item() == pytest.approx(trap["psnr_uint8_mean_over_images"], abs=1e-6)
    assert psnr.compute().item() != pytest.approx(trap["psnr_of_pooled_mse"], abs=1)
    assert ssim.compute().item() == pytest.approx(golden.json["set_means"]["ssim_matlab_volume"], abs=1e-7)


@pytest.mark.parametrize("size", SIZES)
def test_ssim_equals_a_window_over_the_whole_volume(size: tuple[int, int]) -> None:
    restored, sharp = images(2, 3, *size)
    expected = [volume_ssim(*pair) for pair in zip(restored, sharp, strict=True)]
    assert ssim_matlab_volume(restored, sharp).tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("size", SIZES)
def test_psnr_equals_skimage(size: tuple[int, int]) -> None:
    restored, sharp = images(2, 3, *size)
    expected = [
        peak_signal_noise_ratio(y.numpy(), x.numpy(), data_range=255) for x, y in zip(restored, sharp, strict=True)
    ]
    assert psnr_uint8(restored, sharp).tolist() == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_batch_of_four_equals_four_images(protocol: Protocol) -> None:
    restored, sharp = images(4, 3, 20, 24)
    singles = [protocol(restored[i : i + 1], sharp[i : i + 1]).item() for i in range(4)]
    scores = protocol(restored, sharp)
    assert scores.dtype == torch.float64
    assert scores.tolist() == pytest.approx(singles, abs=1e-12)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_float_images_score_as_their_eight_bit_files(protocol: Protocol, dtype: torch.dtype) -> None:
    restored, sharp = images(2, 3, 20, 24)
    expected = protocol(restored, sharp)
    as_float = [image.to(dtype) / 255 for image in (restored, sharp)]
    assert torch.equal(protocol(*as_float), expected)
    assert torch.equal(protocol(as_float[0], sharp), expected)
    unrounded = as_float[0] + 0.4 / 255
    assert torch.equal(protocol(unrounded, as_float[1]), expected)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_levels_are_those_of_numpy_round(protocol: Protocol) -> None:
    draw = torch.Generator().manual_seed(0)
    restored = torch.rand(1, 3, 32, 32, generator=draw, dtype=torch.float64) * 1.2 - 0.1
    restored[..., 0] = (torch.arange(32) + 0.5) / 255  # half-way between two levels
    saved = torch.from_numpy(np.round(restored.numpy().clip(0, 1) * 255).astype(np.uint8))
    _, sharp = images(1, 3, 32, 32)
    assert torch.equal(protocol(restored, sharp), protocol(saved, sharp))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_and_half_precision_inputs_are_scored_in_float64(protocol: Protocol, dtype: torch.dtype) -> None:
    restored, sharp = images(1, 3, 24, 24)
    restored = (restored / 255).to(dtype)
    with torch.autocast("cpu", dtype=dtype):
        score = protocol(restored, sharp)
    assert torch.equal(score, protocol(restored.double(), sharp))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_memory_layout_and_gradients_do_not_matter(protocol: Protocol) -> None:
    restored, sharp = (image / 255 for image in images(2, 3, 24, 20))
    other = protocol(restored.to(memory_format=torch.channels_last).requires_grad_(), sharp)
    assert not other.requires_grad
    assert other.tolist() == pytest.approx(protocol(restored, sharp).tolist(), abs=1e-12)


def test_identical_images_have_infinite_psnr_and_unit_ssim() -> None:
    _, sharp = images(2, 3, 16, 16)
    assert psnr_uint8(sharp, sharp).tolist() == [float("inf")] * 2
    assert ssim_matlab_volume(sharp, sharp).tolist() == pytest.approx([1, 1], abs=1e-12)


def test_constant_images_have_the_score_of_their_levels() -> None:
    restored, sharp = (torch.full((1, 3, 12, 40), level, dtype=torch.uint8) for level in (100, 110))
    assert psnr_uint8(restored, sharp).item() == pytest.approx(20 * np.log10(255 / 10))
    luminance = (2 * 100 * 110 + 2.55**2) / (100**2 + 110**2 + 2.55**2)
    assert ssim_matlab_volume(restored, sharp).item() == pytest.approx(luminance, abs=1e-9)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nan_shows_in_the_score(protocol: Protocol) -> None:
    restored, sharp = (image / 255 for image in images(2, 3, 16, 16))
    restored[1, 0, 3, 3] = float("nan")
    assert protocol(restored, sharp).isnan().tolist() == [False, True]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 1, 16, 16), (1, 3, 16, 17)])
def test_wrong_shapes_are_refused(protocol: Protocol, shape: tuple[int, ...]) -> None:
    sharp = torch.zeros(shape if len(shape) == 3 or shape[1] == 1 else (1, 3, 16, 16))
    with pytest.raises(ValueError, match=r"restored is \(.*give two images of the same shape \(B, 3, H, W\)"):
        protocol(torch.zeros(shape), sharp)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_sixteen_bit_images_are_refused(protocol: Protocol) -> None:
    image = torch.zeros(1, 3, 16, 16, dtype=torch.uint16)
    with pytest.raises(ValueError, match=r"restored is torch\.uint16: give floats in \[0, 1\] or uint8"):
        protocol(image, image)
