"""RealBlur's aligned scores: the official environment's values, each step, known warps, and pairs without alignment."""

import json
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage.metrics import structural_similarity
from torch import Tensor

from deblur_lit.metrics import ecc, float32, realblur, warp
from deblur_lit.metrics.mean import MeanOverImages
from deblur_lit.metrics.psnr import psnr_uint8
from deblur_lit.metrics.realblur import (
    RealBlurScore,
    psnr_realblur,
    psnr_realblur_unaligned,
    ssim_realblur,
    ssim_realblur_unaligned,
)

PROTOCOLS = [psnr_realblur, ssim_realblur, psnr_realblur_unaligned, ssim_realblur_unaligned]
ALIGNED_PAIRS = ["identity", "subpix", "shift_dark", "shift_bright_clip", "rot_scale", "persp_noise"]
WARPS = {
    "shift": [[1, 0, 2.25], [0, 1, -1.5], [0, 0, 1]],
    "turn": [[0.9993, -0.006, 0.8], [0.006, 1.002, -0.3], [0, 0, 1]],
    "perspective": [[1.002, 0.003, -1.2], [-0.002, 0.998, 0.7], [3e-5, -2e-5, 1]],
}
RGB = NDArray[np.uint8]
IDENTITY = np.eye(3)


def scene(height: int, width: int, homography: Any = IDENTITY) -> NDArray[np.float64]:
    """A smooth coloured texture (H, W, 3) in [0.1, 0.9], seen through a homography, without interpolation."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    inverse = np.linalg.inv(np.asarray(homography, np.float64))
    u, v, third = np.tensordot(inverse, np.stack([x, y, np.ones_like(x)]), axes=1)
    u, v = u / third, v / third
    waves = [
        np.sin(u / 5 + c) * np.cos(v / 7 - c) + np.sin(u * 0.11 - v * 0.17 + c) + np.cos(u * v / 900) for c in range(3)
    ]
    return 0.5 + 0.13 * np.stack(waves, axis=-1)


def pair(height: int = 96, width: int = 80, homography: Any = IDENTITY, gain: float = 1) -> tuple[RGB, RGB]:
    """Restored image, moved by a homography and darkened, and sharp image."""
    sharp, restored = scene(height, width), scene(height, width, homography) / gain
    return np.round(restored * 255).astype(np.uint8), np.round(sharp * 255).astype(np.uint8)


def batch(*pairs: tuple[RGB, RGB]) -> tuple[Tensor, Tensor]:
    restored, sharp = (torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2) for images in zip(*pairs, strict=True))
    return restored, sharp


def grey_pair(homography: Any, height: int = 96, width: int = 80) -> tuple[warp.Plane, warp.Plane]:
    restored, sharp = pair(height, width, homography)
    image, template = (ecc.grey(picture.transpose(2, 0, 1).astype(np.float32) / 255) for picture in (restored, sharp))
    return template, image


def inner_points(homography: Any) -> NDArray[np.float64]:
    """Where a homography takes points of the inner half of a (160, 200) image; a border moves the outer ones."""
    points = np.array([[50, 150, 50, 150, 100], [40, 40, 120, 120, 80], [1, 1, 1, 1, 1]])
    moved = np.asarray(homography, np.float64) @ points
    return moved[:2] / moved[2]


class Golden:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.json: dict[str, Any] = json.loads((folder / "metrics_public.json").read_text())
        self.pairs = {pair["id"].removeprefix("aligned_Flower_"): pair for pair in self.json["aligned_pairs"]}

    def images(self, name: str) -> tuple[RGB, RGB]:
        restored, sharp = (np.array(Image.open(self.folder / self.pairs[name][key])) for key in ("pred", "target"))
        return restored, sharp


@pytest.fixture(scope="module")
def golden(shared: Path) -> Golden:
    return Golden(shared / "goldens" / "metrics")


@pytest.mark.shared
@pytest.mark.parametrize("name", ALIGNED_PAIRS)
def test_aligned_scores_equal_the_official_environment(golden: Golden, name: str) -> None:
    score = realblur.realblur(*golden.images(name))
    expected = golden.pairs[name]["realblur_official"]
    assert (score.converged, score.reason) == (True, "")
    assert np.array_equal(score.warp, expected["warp_matrix"])
    assert score.gain == expected["intensity_gain"]
    assert score.valid_fraction == pytest.approx(expected["valid_fraction"], abs=1e-7)
    assert score.psnr == pytest.approx(expected["psnr"], abs=2e-6)  # the script adds up in float32
    assert score.ssim == pytest.approx(expected["ssim"], abs=1e-8)


@pytest.mark.shared
@pytest.mark.parametrize("name", ALIGNED_PAIRS)
def test_unaligned_scores_equal_the_official_functions(golden: Golden, name: str) -> None:
    restored, sharp = batch(golden.images(name))
    expected = golden.pairs[name]["noalign"]
    assert psnr_realblur_unaligned(restored, sharp).item() == pytest.approx(expected["psnr"], abs=2e-6)
    assert ssim_realblur_unaligned(restored, sharp).item() == pytest.approx(expected["ssim"], abs=1e-8)


@pytest.mark.shared
def test_every_golden_pair_is_tested_and_the_one_without_alignment_is_reported(golden: Golden) -> None:
    assert sorted(golden.pairs) == sorted([*ALIGNED_PAIRS, "uncorrelated"])
    images = golden.images("uncorrelated")
    score = realblur.realblur(*images)
    assert (score.converged, score.reason) == (False, "not aligned: the images are not correlated")
    assert score[:2] == realblur.realblur(*images, align=False)[:2]


@pytest.mark.parametrize("name", WARPS)
def test_known_warp_and_gain_are_recovered(name: str) -> None:
    homography = np.array(WARPS[name])
    images = pair(160, 200, homography, gain=1.25)
    score = realblur.realblur(*images)
    assert score.converged
    assert score.gain == pytest.approx(1.25, rel=0.02)
    assert np.abs(inner_points(score.warp) - inner_points(homography)).max() < 0.05
    assert 0.9 < score.valid_fraction < 1
    unaligned = realblur.realblur(*images, align=False)
    assert score.psnr > unaligned.psnr + 10
    assert score.ssim > unaligned.ssim


@pytest.mark.parametrize("name", WARPS)
def test_alignment_agrees_with_the_installed_opencv(name: str) -> None:
    template, image = grey_pair(WARPS[name], 160, 200)
    start = np.eye(3, dtype=np.float32)
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 0)
    _, expected = cv2.findTransformECC(template, image, start, cv2.MOTION_HOMOGRAPHY, criteria, None, 5)
    assert np.abs(inner_points(ecc.align(template, image)) - inner_points(expected)).max() < 0.05


def test_preparation_equals_opencv() -> None:
    image = np.random.default_rng(0).random((37, 50, 3), np.float32)
    grey = ecc.grey(np.ascontiguousarray(image.transpose(2, 0, 1)))
    assert grey == pytest.approx(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), abs=2e-7)
    assert ecc.smooth(grey) == pytest.approx(cv2.GaussianBlur(grey, (5, 5), 0), abs=2e-7)
    kernel = np.array([[-0.5, 0, 0.5]], np.float32)
    for slope, expected in zip(ecc.gradient(grey), (kernel, kernel.T), strict=True):
        assert slope == pytest.approx(cv2.filter2D(grey, -1, expected), abs=2e-7)


@pytest.mark.parametrize("shift", [(0, 0), (3, -5), (1.5, 0.25), (-2.03125, 7.96875), (45, 0), (-20, 30)])
def test_warps_on_the_grid_equal_opencv(shift: tuple[float, float]) -> None:
    planes = np.random.default_rng(0).random((2, 37, 50), np.float32)
    homography = np.array([[1, 0, shift[0]], [0, 1, shift[1]], [0, 0, 1]], np.float64)
    at = warp.positions(homography, slice(0, 37), 50)
    linear, cubic = warp.LinearSampler(planes)(at), warp.cubic(planes, homography)
    for plane, by_line, by_cube in zip(planes, linear, cubic, strict=True):
        flags = cv2.WARP_INVERSE_MAP
        expected = cv2.warpPerspective(plane, homography, (50, 37), flags=flags | cv2.INTER_LINEAR)
        assert by_line == pytest.approx(expected, abs=1e-6)
        expected = cv2.warpPerspective(
            plane, homography, (50, 37), flags=flags | cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
        )
        assert by_cube == pytest.approx(expected, abs=1e-6)


def test_far_beyond_the_borders_linear_is_zero_and_cubic_is_mirrored_again_and_again() -> None:
    planes = np.random.default_rng(0).random((1, 7, 5), np.float32)
    homography = np.array([[1, 0, -23], [0, 1, 16], [0, 0, 1]], np.float64)
    assert not warp.LinearSampler(planes)(warp.positions(homography, slice(0, 7), 5)).any()
    mirrored = np.pad(planes[0], 30, mode="symmetric")
    assert np.array_equal(warp.cubic(planes, homography)[0], mirrored[46:53, 7:12])


def test_positions_are_rounded_to_a_grid_and_follow_the_homography() -> None:
    homography = np.array(WARPS["perspective"])
    y, x = np.mgrid[:40, :30].astype(np.float32)
    at = warp.positions(homography, slice(0, 40), 30)
    third = homography[2, 0] * x + homography[2, 1] * y + 1
    assert at.x == pytest.approx((homography[0, 0] * x + homography[0, 1] * y + homography[0, 2]) / third, abs=1e-6)
    columns, lines = warp.LinearSampler(np.stack([x, y]))(at)
    inner = (at.x > 0) & (at.x < 29) & (at.y > 0) & (at.y < 39)
    assert np.array_equal(columns[inner], np.rint(at.x * 32)[inner].astype(np.float32) / 32)
    assert np.array_equal(lines[inner], np.rint(at.y * 32)[inner].astype(np.float32) / 32)


def test_a_pixel_is_valid_where_its_nearest_source_exists() -> None:
    homography = np.array([[1, 0, -1.5], [0, 1, 2.6], [0, 0, 1]])
    mask = warp.inside(warp.positions(homography, slice(0, 8), 6), 8, 6)
    assert mask[0].tolist() == [0, 1, 1, 1, 1, 1]  # -1.5 goes to -2, -0.5 to 0
    assert mask[:, 3].tolist() == [1, 1, 1, 1, 1, 0, 0, 0]


@pytest.mark.parametrize("width", [1, 3, 4, 7, 16, 23, 40, 61])
def test_dot_products_round_as_four_vectors_of_four(width: int) -> None:
    draw = np.random.default_rng(width)
    one, other = (draw.standard_normal((5, width), np.float32) for _ in range(2))
    order = float32.DotOrder(5, width)
    arranged = order.arrange(np.stack([one, other, one]))
    expected = [sum(rounded_dot(one[row], second[row]) for row in range(5)) for second in (other, one)]
    work = np.empty_like(arranged[1:])
    assert order.dots(arranged[0], arranged[1:], work).tolist() == pytest.approx(expected, rel=1e-15, abs=1e-15)
    assert order.dots(arranged[0], arranged[1:], arranged[1:]).tolist() == pytest.approx(expected, rel=1e-15, abs=1e-15)
    assert float32.dot(one, other) == pytest.approx(
        rounded_dot(one.reshape(-1), other.reshape(-1)), rel=1e-15, abs=1e-15
    )


def rounded_dot(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Dot product of one row, one vector after the other."""
    products = one * other
    sums = [np.zeros(4, np.float32) for _ in range(4)]
    chunks, vectors = len(products) // 16, len(products) % 16 // 4
    for chunk in range(chunks):
        for part in range(4):
            sums[part] = sums[part] + products[16 * chunk + 4 * part :][:4]
    total = sums[0] + ((sums[1] + sums[2]) + sums[3])
    for vector in range(vectors):
        total = total + products[16 * chunks + 4 * vector :][:4]
    singles = slice(16 * chunks + 4 * vectors, None)
    rest = (one[singles].astype(np.float64) * other[singles]).sum()
    return float((total[0] + total[2]) + (total[1] + total[3])) + rest


def test_long_sums_are_cut_into_blocks() -> None:
    values = np.random.default_rng(0).standard_normal(2 * 8192 + 777, np.float32)
    blocks = [values[:8192], values[8192:16384], values[16384:]]
    assert float32.dot(values, np.ones_like(values)) == sum(rounded_dot(b, np.ones_like(b)) for b in blocks)
    total = np.float32(0)
    for block in blocks:
        total += float32.pairwise_sum(block)
    assert float32.pairwise_sum(values) == total
    assert total == pytest.approx(math.fsum(values), rel=1e-4)


@pytest.mark.parametrize("size", [1, 7, 8, 130, 1000])
def test_pairwise_sum_adds_everything_once(size: int) -> None:
    whole_numbers = np.arange(1, size + 1, dtype=np.float32)
    assert float32.pairwise_sum(whole_numbers) == size * (size + 1) / 2


def test_running_sums_continue() -> None:
    values = np.random.default_rng(0).random(100, np.float32)
    halves = float32.running_sums(float32.running_sums(0j, values[:50]), values[50:])
    assert halves == float32.running_sums(0j, values)
    assert halves == pytest.approx(complex(math.fsum(values), math.fsum(values.astype(np.float64) ** 2)))


def test_inverse_pivots_and_refuses_singular_matrices() -> None:
    matrix = np.array([[0, 2, 1], [1, 0.5, 0], [3, 0, 2]], np.float32)
    assert float32.inverse(matrix) == pytest.approx(np.linalg.inv(matrix), abs=1e-6)
    assert float32.inverse(np.ones((2, 2), np.float32)) is None
    assert float32.inverse(np.full((2, 2), np.nan, np.float32)) is None


def noise(seed: int) -> RGB:
    return np.random.default_rng(seed).integers(0, 256, (40, 50, 3), np.uint8)


FLAT = np.full((40, 50, 3), 90, np.uint8)
BLACK = np.zeros_like(FLAT)
STRIPES = np.broadcast_to((np.arange(50) % 9 * 20)[None, :, None], FLAT.shape).astype(np.uint8)
FAILURES = {
    "noise": (noise(0), noise(1), "not correlated"),
    "restored black": (BLACK, noise(1), "the restored image is black"),
    "sharp black": (noise(0), BLACK, "the sharp image is black"),
    "restored flat": (FLAT, noise(1), "the restored image is constant"),
    "sharp flat": (noise(0), FLAT, "the sharp image is constant"),
    "both flat": (FLAT, FLAT, "the restored image is constant"),
    "stripes": (STRIPES, STRIPES, "does not determine an alignment"),
    "negative": (255 - pair(40, 50)[1], pair(40, 50)[1], "not correlated"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_pairs_that_cannot_be_aligned_have_their_unaligned_scores_and_a_reason(name: str) -> None:
    restored, sharp, reason = FAILURES[name]
    score = realblur.realblur(restored, sharp)
    assert not score.converged
    assert score.reason.startswith("not aligned: ")
    assert reason in score.reason
    unaligned = realblur.realblur(restored, sharp, align=False)
    assert (unaligned.converged, unaligned.reason) == (True, "")
    assert score[:2] == unaligned[:2]
    assert np.array_equal(score.warp, np.eye(3))
    assert (score.gain, score.valid_fraction) == (1, 1)


def test_alignment_that_leaves_no_overlap_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    far = np.array([[1, 0, 1000], [0, 1, 0], [0, 0, 1]], np.float64)
    monkeypatch.setattr(realblur, "align", lambda template, image: far)
    assert realblur.realblur(*pair()).reason == "not aligned: the images do not overlap after alignment"
    template, image = grey_pair(np.eye(3))
    with pytest.raises(ecc.AlignmentError, match="do not overlap"):
        ecc._Step(template, image)(far.astype(np.float32))


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (4, 4), (6, 6), (10, 11), (11, 10)])
@pytest.mark.parametrize("kind", ["texture", "noise", "black"])
def test_tiny_images_have_no_ssim_and_say_so(size: tuple[int, int], kind: str) -> None:
    restored, sharp = pair(*size) if kind == "texture" else (noise(i)[: size[0], : size[1]] for i in range(2))
    if kind == "black":
        restored, sharp = restored * 0, sharp * 0
    score = realblur.realblur(restored, sharp)
    assert math.isnan(score.ssim)
    assert f"no SSIM: {size[1]} x {size[0]} is below 11 x 11 pixels" in score.reason
    assert score.converged != ("not aligned" in score.reason)
    assert not math.isnan(score.psnr)


def test_eleven_pixels_have_an_ssim() -> None:
    restored, sharp = batch((noise(0)[:11, :11], noise(1)[:11, :11]))
    assert not ssim_realblur_unaligned(restored, sharp).isnan().any()


def test_identical_images_are_aligned_to_themselves() -> None:
    _, sharp = pair()
    score = realblur.realblur(sharp, sharp)
    assert score.converged
    assert score.psnr == float("inf")
    assert score.ssim == pytest.approx(1, abs=1e-12)
    assert np.abs(score.warp - np.eye(3)).max() < 1e-4  # far below the grid of 1/32 pixel
    assert (score.gain, score.valid_fraction) == (1, 1)


def test_unaligned_scores_equal_skimage_and_psnr_of_eight_bit_images() -> None:
    images = [pair(40, 50, WARPS["turn"]), (noise(0), noise(1))]
    restored, sharp = batch(*images)
    assert psnr_realblur_unaligned(restored, sharp).tolist() == pytest.approx(psnr_uint8(restored, sharp).tolist())
    expected = [
        structural_similarity(
            x, z, channel_axis=-1, gaussian_weights=True, use_sample_covariance=False, data_range=255, sigma=1.5
        )
        for z, x in images
    ]
    assert ssim_realblur_unaligned(restored, sharp).tolist() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_batch_and_float_images_score_as_single_eight_bit_images(protocol: Callable[[Tensor, Tensor], Tensor]) -> None:
    restored, sharp = batch(*(pair(40, 50, homography) for homography in WARPS.values()))
    singles = [protocol(restored[i : i + 1], sharp[i : i + 1]).item() for i in range(3)]
    scores = protocol(restored, sharp)
    assert scores.dtype == torch.float64
    assert scores.tolist() == singles
    unrounded = restored / 255 + 0.4 / 255
    realblur._LATEST.clear()
    assert protocol(unrounded.to(memory_format=torch.channels_last), sharp.double() / 255).tolist() == singles
    metric = MeanOverImages(protocol)
    metric.update(restored, sharp)
    assert metric.compute().item() == pytest.approx(sum(singles) / 3)


def test_psnr_and_ssim_share_one_alignment(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, ...]] = []

    def counted(template: warp.Plane, image: warp.Plane) -> warp.Doubles:
        calls.append(template.shape)
        return np.eye(3)

    monkeypatch.setattr(realblur, "align", counted)
    monkeypatch.setattr(realblur, "_LATEST", {})
    monkeypatch.setattr(realblur, "_KEPT", 2)
    restored, sharp = batch((noise(0), noise(1)), (noise(2), noise(3)))
    psnr, ssim = psnr_realblur(restored, sharp), ssim_realblur(restored, sharp)
    assert len(calls) == 2
    assert psnr.tolist() != ssim.tolist()
    psnr_realblur(sharp, restored)
    assert len(calls) == 4
    assert len(realblur._LATEST) == 2


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nan_shows_in_the_score(protocol: Callable[[Tensor, Tensor], Tensor]) -> None:
    restored, sharp = (image / 255 for image in batch(pair(40, 50), pair(40, 50, WARPS["turn"])))
    restored[0, 0, 3, 3] = float("nan")
    assert protocol(restored, sharp).isnan().tolist() == [True, False]


def test_unaligned_score_in_place_of_an_aligned_one_is_warned_of() -> None:
    images = batch((noise(0), noise(1)))
    with pytest.warns(RuntimeWarning, match="not aligned: the images are not corr"):
        score = psnr_realblur(*images)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.testing.assert_close(psnr_realblur_unaligned(*images), score, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("restored", "sharp", "message"),
    [
        (FLAT, FLAT[1:], r"restored is \(40, 50, 3\), sharp is \(39, 50, 3\): give two images of the same shape"),
        (FLAT[..., :1], FLAT[..., :1], r"restored is \(40, 50, 1\)"),
        (FLAT[:0], FLAT[:0], r"restored is \(0, 50, 3\)"),
        (FLAT, FLAT.astype(np.uint16), "sharp is uint16: give uint8"),
    ],
)
def test_wrong_images_are_refused(restored: RGB, sharp: RGB, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        realblur.realblur(restored, sharp)


def test_score_names_its_fields() -> None:
    fields = ("psnr", "ssim", "converged", "reason", "warp", "gain", "valid_fraction")
    assert RealBlurScore._fields == fields
