"""Every protocol on image pairs: published values, brute force, other tools."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor
from torch.nn import functional as F

from deblur_lit.metrics import PROTOCOLS, psnr, realblur, score, ssim
from deblur_lit.metrics.mean import MeanOverImages
from deblur_lit.metrics.protocols import choose, legend, unaligned

Protocol = Callable[[Tensor, Tensor], Tensor]
FUNCTIONS: dict[str, Protocol] = {
    name: getattr(realblur if "_realblur" in name else psnr if name.startswith("psnr") else ssim, name)
    for name in PROTOCOLS
    if name in unaligned()
}
psnr_uint8, ssim_matlab_volume = FUNCTIONS["psnr_uint8"], FUNCTIONS["ssim_matlab_volume"]
ROUNDED = {name: f for name, f in FUNCTIONS.items() if name not in ("psnr_float", "psnr_uint8_truncated")}
SKIMAGE: dict[str, dict[str, Any]] = {
    "ssim_gauss_valid_rgb": {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False},
    "ssim_gauss_samplecov_rgb": {"gaussian_weights": True, "sigma": 1.5},
    "ssim_uniform7_rgb": {},
}
SIZES = [(1, 1), (1, 7), (3, 2), (10, 11), (16, 16), (17, 31), (33, 48), (97, 12)]
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


def array(image: Tensor) -> NDArray[Any]:
    return image.permute(1, 2, 0).numpy()


def window_ssim(x: Tensor, y: Tensor, window: Tensor, sample: float = 1) -> float:
    """Mean SSIM of (D, H, W) under one window, wherever it lies within the volume."""
    x, y = x.double()[None, None], y.double()[None, None]
    mean_x, mean_y, xx, yy, xy = (F.conv3d(image, window[None, None]) for image in (x, y, x * x, y * y, x * y))
    c1, c2 = 2.55**2, 7.65**2
    covariance, variances = sample * (xy - mean_x * mean_y), sample * (xx - mean_x**2 + yy - mean_y**2)
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return (luminance * (2 * covariance + c2) / (variances + c2)).mean().item()


def gaussian(*radii: int) -> Tensor:
    window = torch.ones((), dtype=torch.float64)
    for radius in radii:
        position = torch.arange(-radius, radius + 1, dtype=torch.float64)
        window = window[..., None] * torch.exp(-(position**2) / (2 * 1.5**2))
    return window / window.sum()


def luma(image: Tensor) -> Tensor:
    weights = torch.tensor([65.481, 128.553, 24.966], dtype=torch.float64) / 255
    return torch.einsum("c,chw->hw", weights, image.double())[None] + 16


BRUTE_FORCE: dict[str, Callable[[Tensor, Tensor], float]] = {
    "ssim_matlab_volume": lambda x, y: window_ssim(
        *(F.pad(image.double()[None], (5,) * 6, mode="replicate")[0] for image in (x, y)), gaussian(5, 5, 5)
    ),
    "ssim_gauss_valid_rgb": lambda x, y: window_ssim(x, y, gaussian(0, 5, 5)),
    "ssim_gauss_samplecov_rgb": lambda x, y: window_ssim(x, y, gaussian(0, 5, 5), 121 / 120),
    "ssim_uniform7_rgb": lambda x, y: window_ssim(x, y, torch.ones(1, 7, 7, dtype=torch.float64) / 49, 49 / 48),
    "ssim_y601_valid": lambda x, y: window_ssim(luma(x), luma(y), gaussian(0, 5, 5)),
}


class Golden:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.json: dict[str, Any] = json.loads((folder / "metrics_public.json").read_text())
        self.pairs = {pair["id"]: pair for pair in self.json["pairs"]}
        self.tolerance = {name: protocol.get("tol") for name, protocol in self.json["protocols"].items()}

    def images(self, name: str) -> tuple[Tensor, Tensor]:
        files = (self.folder / self.pairs[name][key] for key in ("pred", "target"))
        restored, sharp = (torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1) for file in files)
        return restored, sharp

    def check(self, pair: str, values: dict[str, float], keys: dict[str, str]) -> None:
        for name, key in keys.items():
            expected = self.pairs[pair]["values"][key]
            assert values[name] == pytest.approx(expected, abs=self.tolerance[key], rel=0), name


@pytest.fixture(scope="module")
def golden(shared: Path) -> Golden:
    return Golden(shared / "goldens" / "metrics")


@pytest.mark.shared
@pytest.mark.parametrize("pair", GOLDEN_PAIRS)
def test_eight_bit_pairs_equal_the_published_tools(golden: Golden, pair: str) -> None:
    values = score(*golden.images(pair), unaligned())
    golden.check(pair, values, {name: name for name in ROUNDED if name in golden.tolerance})
    assert values["psnr_float"] == values["psnr_uint8_truncated"] == values["psnr_uint8"]


@pytest.mark.shared
@pytest.mark.parametrize("pair", GOLDEN_PAIRS)
def test_float_predictions_are_rounded_truncated_or_left_alone(golden: Golden, pair: str) -> None:
    restored, sharp = (image.double() for image in golden.images(pair))
    prediction = (0.6180339887 * restored + 0.3819660113 * sharp + 0.25).clamp(0, 255) / 255
    keys = {
        "psnr_uint8": "float_psnr_rounded_uint8",
        "psnr_float": "float_psnr_unrounded",
        "psnr_uint8_truncated": "float_psnr_truncated_uint8",
        "ssim_matlab_volume": "float_ssim_matlab_volume_rounded_uint8",
    }
    for target in (sharp.byte(), sharp / 255):
        golden.check(pair, score(prediction, target, list(keys)), keys)


@pytest.mark.shared
def test_set_score_is_the_mean_over_images_and_not_of_the_pooled_error(golden: Golden) -> None:
    psnr_mean, ssim_mean = MeanOverImages(psnr_uint8), MeanOverImages(ssim_matlab_volume)
    for name in GOLDEN_PAIRS:
        restored, sharp = (image[None] for image in golden.images(name))
        psnr_mean.update(restored, sharp)
        ssim_mean.update(restored, sharp)
    trap = golden.json["averaging_trap"]
    assert len(golden.pairs) == len(GOLDEN_PAIRS)
    assert psnr_mean.compute().item() == pytest.approx(trap["psnr_uint8_mean_over_images"], abs=1e-6)
    assert psnr_mean.compute().item() != pytest.approx(trap["psnr_of_pooled_mse"], abs=1)
    assert ssim_mean.compute().item() == pytest.approx(golden.json["set_means"]["ssim_matlab_volume"], abs=1e-7)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", BRUTE_FORCE)
def test_ssim_equals_brute_force_or_says_that_the_image_is_too_small(name: str, size: tuple[int, int]) -> None:
    restored, sharp = images(2, 3, *size)
    least = {"ssim_matlab_volume": 1, "ssim_uniform7_rgb": 7}.get(name, 11)
    if min(size) < least:
        message = f"{name} needs images of {least} x {least} pixels or more, this one is {size[1]}x{size[0]}"
        with pytest.raises(ValueError, match=message):
            FUNCTIONS[name](restored, sharp)
    else:
        expected = [BRUTE_FORCE[name](*pair) for pair in zip(restored, sharp, strict=True)]
        assert FUNCTIONS[name](restored, sharp).tolist() == pytest.approx(expected, abs=1e-12)


def hard_pairs() -> dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Large images on which variances from float32 means of squares are wrong in the sixth digit."""
    generator = np.random.default_rng(0)
    patches = np.kron(generator.integers(0, 256, (5, 8, 3)), np.ones((60, 60, 1)))
    others = np.kron(generator.integers(0, 256, (5, 8, 3)), np.ones((60, 60, 1)))
    noise = generator.normal(0, 8, patches.shape)
    edges = np.where(patches > 127, 255, 0)
    ramp = np.broadcast_to(np.linspace(0, 255, patches.shape[1])[:, None], patches.shape)
    pairs = {
        "noisy patches": (patches + noise, patches),
        "other patches": (others, patches),
        "inverse": (255 - edges, edges),
        "moved edges": (np.roll(edges, 3, 1), edges),
        "brighter ramp": (ramp + 60, ramp),
        "flat": (patches * 0 + 200, patches * 0 + 37),
        "noise": (generator.integers(0, 256, patches.shape), generator.integers(0, 256, patches.shape)),
    }
    return {name: (x.clip(0, 255).astype(np.uint8), y.clip(0, 255).astype(np.uint8)) for name, (x, y) in pairs.items()}


HARD = hard_pairs()


@pytest.mark.parametrize("pair", HARD)
def test_ssim_of_large_images_equals_skimage(pair: str) -> None:
    restored, sharp = HARD[pair]
    assert restored.size // 3 > ssim.SMALL
    values = score(restored, sharp, list(SKIMAGE))
    for name, options in SKIMAGE.items():
        expected = structural_similarity(sharp, restored, channel_axis=-1, data_range=255, **options)
        assert values[name] == pytest.approx(expected, abs=1e-7, rel=0), name


@pytest.mark.parametrize("pair", HARD)
def test_float32_of_large_images_equals_float64(pair: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [name for name in FUNCTIONS if name.startswith("ssim")]
    values = score(*HARD[pair], names)
    monkeypatch.setattr(ssim, "SMALL", 10**9)
    assert values == pytest.approx(score(*HARD[pair], names), abs=1e-7, rel=0)


@pytest.mark.parametrize("tile", [(1, 40), (7, 3), (16, 16), (100, 100)])
def test_tiles_do_not_show(tile: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssim, "TILE", tile)
    restored, sharp = images(3, 21, 40)
    values = score(array(restored), array(sharp), list(BRUTE_FORCE))
    assert values == pytest.approx({name: f(restored, sharp) for name, f in BRUTE_FORCE.items()}, abs=1e-12)


def test_threads_do_not_change_a_bit() -> None:
    pair = HARD["noisy patches"]
    once = score(*pair, threads=1)
    assert [score(*pair, threads=threads) for threads in (2, 3, 8)] == [once] * 3


def test_scores_do_not_depend_on_what_was_scored_before() -> None:
    small = [array(image) for image in images(3, 20, 30)]
    first = score(*small, threads=1)
    score(*HARD["inverse"], threads=1)
    assert score(*small, threads=1) == first


def test_one_call_gives_what_single_calls_give() -> None:
    restored, sharp = (array(image) for image in images(3, 40, 50))
    assert score(restored, sharp) == {name: score(restored, sharp, [name])[name] for name in FUNCTIONS}


@pytest.mark.parametrize("size", SIZES)
def test_psnr_equals_skimage(size: tuple[int, int]) -> None:
    restored, sharp = images(2, 3, *size)
    pairs = list(zip(restored, sharp, strict=True))
    expected = [peak_signal_noise_ratio(y.numpy(), x.numpy(), data_range=255) for x, y in pairs]
    assert psnr_uint8(restored, sharp).tolist() == pytest.approx(expected, abs=1e-10)
    expected = [peak_signal_noise_ratio(luma(y).numpy(), luma(x).numpy(), data_range=255) for x, y in pairs]
    assert FUNCTIONS["psnr_y601"](restored, sharp).tolist() == pytest.approx(expected, abs=1e-10)


def test_psnr_of_floats_equals_skimage() -> None:
    generator = np.random.default_rng(0)
    sharp = generator.random((20, 30, 3))
    restored = (sharp + generator.normal(0, 0.1, sharp.shape)).clip(0, 1)
    levels = np.rint(sharp * 255)
    values = score(restored, sharp, ["psnr_float", "psnr_uint8_truncated"])
    assert values["psnr_float"] == pytest.approx(peak_signal_noise_ratio(sharp, restored, data_range=1), abs=1e-10)
    truncated = np.floor(restored * 255)
    expected = peak_signal_noise_ratio(levels, truncated, data_range=255)
    assert values["psnr_uint8_truncated"] == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_batch_of_four_equals_four_images(name: str) -> None:
    restored, sharp = images(4, 3, 20, 24)
    protocol = FUNCTIONS[name]
    singles = [protocol(restored[i : i + 1], sharp[i : i + 1]).item() for i in range(4)]
    scores = protocol(restored, sharp)
    assert scores.dtype == torch.float64
    assert scores.tolist() == singles


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_floats_of_whole_levels_score_as_their_eight_bit_files(name: str, dtype: torch.dtype) -> None:
    restored, sharp = images(2, 3, 20, 24)
    restored[0, 0].view(-1)[:256] = torch.arange(256)  # every level
    as_float = [image.to(dtype) / 255 for image in (restored, sharp)]
    expected = FUNCTIONS[name](restored, sharp).tolist()
    assert FUNCTIONS[name](*as_float).tolist() == pytest.approx(expected, rel=1e-6)
    assert FUNCTIONS[name](as_float[0], sharp).tolist() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ROUNDED)
def test_levels_are_those_of_numpy_round(name: str) -> None:
    draw = torch.Generator().manual_seed(0)
    restored = torch.rand(1, 3, 32, 32, generator=draw, dtype=torch.float64) * 1.2 - 0.1
    restored[..., 0] = (torch.arange(32) + 0.5) / 255  # half-way between two levels
    saved = torch.from_numpy(np.round(restored.numpy().clip(0, 1) * 255).astype(np.uint8))
    _, sharp = images(1, 3, 32, 32)
    assert torch.equal(ROUNDED[name](restored, sharp), ROUNDED[name](saved, sharp))


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_and_half_precision_inputs_are_scored_in_full(name: str, dtype: torch.dtype) -> None:
    restored, sharp = images(1, 3, 24, 24)
    restored = (restored / 255).to(dtype)
    with torch.autocast("cpu", dtype=dtype):
        value = FUNCTIONS[name](restored, sharp)
    assert torch.equal(value, FUNCTIONS[name](restored.double(), sharp))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_memory_layout_and_gradients_do_not_matter(name: str) -> None:
    restored, sharp = (image / 255 for image in images(2, 3, 24, 20))
    other = FUNCTIONS[name](restored.to(memory_format=torch.channels_last).requires_grad_(), sharp)
    assert not other.requires_grad
    assert torch.equal(other, FUNCTIONS[name](restored, sharp))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_identical_images_have_infinite_psnr_and_unit_ssim(name: str) -> None:
    _, sharp = images(2, 3, 16, 16)
    expected = float("inf") if name.startswith("psnr") else 1
    assert FUNCTIONS[name](sharp, sharp).tolist() == [expected] * 2


def test_constant_images_have_the_score_of_their_levels() -> None:
    restored, sharp = (torch.full((1, 3, 12, 40), level, dtype=torch.uint8) for level in (100, 110))
    assert psnr_uint8(restored, sharp).item() == pytest.approx(20 * np.log10(255 / 10))
    luminance = (2 * 100 * 110 + 2.55**2) / (100**2 + 110**2 + 2.55**2)
    assert ssim_matlab_volume(restored, sharp).item() == pytest.approx(luminance, abs=1e-12)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_nan_shows_in_the_score(name: str) -> None:
    restored, sharp = (image / 255 for image in images(2, 3, 16, 16))
    restored[1, 0, 3, 3] = float("nan")
    assert FUNCTIONS[name](restored, sharp).isnan().tolist() == [False, True]


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 1, 16, 16), (1, 3, 16, 17)])
def test_wrong_shapes_are_refused(name: str, shape: tuple[int, ...]) -> None:
    sharp = torch.zeros(shape if len(shape) == 3 or shape[1] == 1 else (1, 3, 16, 16))
    with pytest.raises(ValueError, match=r"restored is \(.*give two images of the same shape \(B, 3, H, W\)"):
        FUNCTIONS[name](torch.zeros(shape), sharp)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_sixteen_bit_images_are_refused(name: str) -> None:
    image = torch.zeros(1, 3, 16, 16, dtype=torch.uint16)
    with pytest.raises(ValueError, match=r"restored is torch\.uint16: give floats in \[0, 1\] or uint8"):
        FUNCTIONS[name](image, image)


GREY = np.full((16, 16, 3), 0.5)


@pytest.mark.parametrize(
    ("restored", "sharp", "message"),
    [
        (GREY * np.nan, GREY, "restored has 768 values that are NaN"),
        (GREY, GREY * 255, r"sharp has values from 0 to 127.5; give floats in \[0, 1\]"),
        (GREY - 1, GREY, r"restored has values from -0.5 to 0; give floats in \[0, 1\]"),
        (GREY, GREY[:, :-1], r"restored is \(3, 16, 16\), sharp is \(3, 16, 15\)"),
        (GREY[..., 0], GREY, r"restored is an array of shape \(16, 16\): give an RGB image \(H, W, 3\)"),
        (torch.zeros(9, 9, 3), GREY, r"restored is a tensor of shape \(9, 9, 3\): give an RGB image \(3, H, W\)"),
        (GREY.astype(np.uint16), GREY, "restored is uint16"),
        (GREY[:0], GREY[:0], r"restored is \(3, 0, 16\)"),
    ],
)
def test_score_refuses_what_would_give_a_wrong_number(restored: Any, sharp: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score(restored, sharp)


def test_score_keeps_the_order_asked_and_names_the_nearest_protocol() -> None:
    image = np.zeros((16, 16, 3), np.uint8)
    assert list(score(image, image, ["ssim_y601_valid", "psnr_uint8"])) == ["ssim_y601_valid", "psnr_uint8"]
    assert list(score(image, image)) == unaligned()
    assert choose(["psnr_uint8", "all"]) == list(PROTOCOLS)
    with pytest.raises(ValueError, match="there is no protocol 'psnr_uint'; did you mean 'psnr_uint8'"):
        score(image, image, ["psnr_uint"])
    with pytest.raises(ValueError, match=r"there is no protocol 'lpips'; there is: psnr_uint8, .*ssim_y601_valid"):
        score(image, image, ["lpips"])


def test_the_legend_says_what_each_protocol_is_and_who_uses_it() -> None:
    for name, line in zip(PROTOCOLS, legend(PROTOCOLS), strict=True):
        assert line.startswith(f"{name} (dB): " if name.startswith("psnr") else f"{name}: ")
        assert line.partition("Used by: ")[2] == PROTOCOLS[name].used_by != ""
