"""The virtual camera: what it conserves, what it may see, and that a seed decides everything."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from deblur_lit.data.images import RGB, read_rgb
from deblur_lit.data.synthesis import GAMMA, Camera, draw_blob, draw_path, expose, render, synthesize

MARGIN = Camera().margin
STILL = Camera(speed=(0, 0), rotation=0, zoom=0, foreground_speed=(0, 0))


def photograph(seed: int = 0, height: int = 108, width: int = 140) -> RGB:
    """Blocks of 4 pixels in random colours: sharp edges everywhere."""
    colours = np.random.default_rng(seed).integers(0, 256, (-(-height // 4), -(-width // 4), 3), dtype=np.uint8)
    return np.ascontiguousarray(colours.repeat(4, axis=0).repeat(4, axis=1)[:height, :width])


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_seed_decides_every_pixel() -> None:
    first, again, other = (synthesize(photograph(), draw(seed), foreground=photograph(1)) for seed in (0, 0, 1))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert (first[0] != other[0]).any()


def test_the_global_generator_is_neither_read_nor_moved() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    synthesize(photograph(), draw(), foreground=photograph(1))
    assert torch.equal(before, torch.get_rng_state())


def test_the_number_of_threads_changes_no_pixel() -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = synthesize(photograph(), draw(), foreground=photograph(1))
        torch.set_num_threads(3)
        three = synthesize(photograph(), draw(), foreground=photograph(1))
    finally:
        torch.set_num_threads(threads)
    assert all((a == b).all() for a, b in zip(one, three, strict=True))


@pytest.mark.parametrize("response", ["identity", "gamma"])
def test_the_mean_is_conserved_in_the_values_that_are_averaged_and_only_there(response: str) -> None:
    scene = np.full((108, 140, 3), 128, np.uint8)
    scene[44:64, 44:96] = photograph(height=20, width=52) // 2 + 64  # what moves stays inside the frame
    camera = Camera(speed=(1.5, 1.5), zoom=0)  # a change of scale changes areas, and with them the mean
    blur, sharp = (
        np.stack([synthesize(scene, draw(seed), camera, response)[side] for seed in range(8)]) / 255  # type: ignore[arg-type]
        for side in (0, 1)
    )
    encoded = abs(blur.mean() - sharp.mean())
    linear = abs((blur**GAMMA).mean() - (sharp**GAMMA).mean())
    conserved, changed = (encoded, linear) if response == "identity" else (linear, encoded)
    assert conserved < 1e-4
    assert changed > 20 * conserved


@pytest.mark.shared
def test_real_gopro_frames_conserve_the_mean_of_encoded_values_as_the_default_response_does(
    shared: Path,
) -> None:
    blurs = sorted((shared / "realdata" / "gopro" / "test").glob("*/blur/*.png"))
    assert blurs
    for path in blurs:
        blur, sharp = (read_rgb(file) / 255 for file in (path, path.parents[1] / "sharp" / path.name))
        encoded = abs(blur.mean() - sharp.mean())
        linear = abs((blur**GAMMA).mean() - (sharp**GAMMA).mean())
        assert linear > 5 * encoded


@pytest.mark.parametrize("response", ["identity", "gamma"])
def test_a_camera_that_does_not_move_blurs_nothing(response: str) -> None:
    blur, sharp = synthesize(photograph(), draw(), STILL, response, foreground=photograph(1))  # type: ignore[arg-type]
    assert (blur == sharp).all()


@pytest.mark.parametrize("seed", range(20))
def test_the_sharp_image_is_the_middle_frame_and_a_cut_of_the_photograph(seed: int) -> None:
    scene = photograph(seed)
    blur, sharp = synthesize(scene, draw(seed))
    assert (sharp == scene[MARGIN:-MARGIN, MARGIN:-MARGIN]).all()
    assert (blur != sharp).any()


@pytest.mark.parametrize("seed", range(20))
def test_a_path_is_smooth_has_its_middle_at_rest_and_keeps_its_speed(seed: int) -> None:
    frames = 7 + 2 * (seed % 4)
    path = draw_path(frames, (1.0, 1.0), Camera(rotation=0, zoom=0), (300, 364), draw(seed))
    steps = path[:, :2].diff(dim=0).norm(dim=1)
    assert not path[frames // 2].any()
    assert steps.mean().item() == pytest.approx(1, abs=1e-5)
    assert path.diff(n=4, dim=0).abs().max() < 1e-4  # a cubic in time


@pytest.mark.parametrize("seed", range(20))
def test_no_frame_looks_beyond_the_margin(seed: int) -> None:
    wild = Camera(speed=(0, 9), rotation=20, zoom=0.2)
    path = draw_path(13, wild.speed, wild, (108, 140), draw(seed))
    edge = torch.full((1, 108, 140), 1.0)
    edge[:, 2:-2, 2:-2] = 0  # bicubic sampling reads two pixels around
    assert not render(edge, path, wild.margin).any()


def test_black_and_white_stay_black_and_white() -> None:
    for value in (0, 255):
        blur, sharp = synthesize(np.full((60, 60, 3), value, np.uint8), draw(), response="gamma")
        assert (blur == value).all()
        assert (sharp == value).all()


def test_overshoot_at_an_edge_is_cut_off_and_does_not_wrap_around() -> None:
    stripes = np.zeros((108, 140, 3), np.uint8)
    stripes[:, ::8] = stripes[:, 1::8] = stripes[:, 2::8] = stripes[:, 3::8] = 255
    blur, sharp = synthesize(stripes, draw(), Camera(speed=(0.2, 0.2), rotation=0, zoom=0))
    assert np.abs(blur.astype(int) - sharp).max() < 200


def test_an_exposure_is_the_mean_of_its_frames() -> None:
    video = torch.rand(7, 3, 4, 5, generator=draw()) * 255
    expected = (video / 255).double().pow(2.2).mean(dim=0).pow(1 / 2.2) * 255
    assert torch.equal(expose(video, "identity"), video.mean(dim=0))
    assert torch.allclose(expose(video, "gamma").double(), expected, atol=1e-3)


def test_a_foreground_covers_the_scene_and_moves_by_itself() -> None:
    camera = Camera(speed=(0, 0), rotation=0, zoom=0, foreground_speed=(2, 2))
    scene, other = np.full((108, 140, 3), 100, np.uint8), np.full((108, 140, 3), 200, np.uint8)
    blur, sharp = synthesize(scene, draw(3), camera, foreground=other)
    assert set(np.unique(sharp)) >= {100, 200}
    assert (sharp == 100).mean() > 0.3  # most of the scene shows
    edge = blur != sharp
    assert edge.any()
    assert edge.mean() < 0.5  # the still scene and the middle of the plain object look alike


@pytest.mark.parametrize("seed", range(10))
def test_a_blob_has_an_inside_an_outside_and_a_soft_edge(seed: int) -> None:
    blob = draw_blob(108, 140, draw(seed))
    assert blob.shape == (1, 108, 140)
    assert blob.min() == 0
    assert blob.max() == 1
    assert ((blob > 0) & (blob < 1)).any()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"frames": (7, 12)}, "frames=\\[7, 12\\]: both must be odd"),
        ({"frames": (13, 7)}, "frames=\\[13, 7\\] must be"),
        ({"speed": (-1, 2)}, "speed=\\[-1, 2\\] must be"),
        ({"rotation": -1.0}, "rotation=-1.0"),
        ({"margin": 2}, "margin=2 must exceed"),
    ],
)
def test_an_impossible_camera_is_refused_by_name(settings: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Camera(**settings)  # type: ignore[arg-type]


def test_an_unusable_photograph_is_refused_with_its_size() -> None:
    with pytest.raises(ValueError, match=r"photograph 40x60 is smaller than two margins of 22"):
        synthesize(photograph(0, 60, 40), draw())
    with pytest.raises(ValueError, match=r"photograph: expected a \(H, W, 3\) uint8 image, got \(60, 60\)"):
        synthesize(np.zeros((60, 60), np.uint8), draw())
    with pytest.raises(ValueError, match=r"foreground \(60, 60, 3\) and photograph \(108, 140, 3\) differ"):
        synthesize(photograph(), draw(), foreground=photograph(0, 60, 60))
    with pytest.raises(ValueError, match="response='linear' is unknown; there is identity and gamma"):
        synthesize(photograph(), draw(), response="linear")  # type: ignore[arg-type]


def test_a_turn_turns_and_a_zoom_zooms_about_the_centre() -> None:
    yy, xx = torch.meshgrid(torch.arange(61.0) - 30, torch.arange(61.0) - 30, indexing="ij")
    ramps = torch.stack([xx, yy])
    turned = render(ramps, torch.tensor([[0, 0, 90.0, 0]]), 10)[0]
    grown = render(ramps, torch.tensor([[0, 0, 0, math.log(2)]]), 10)[0]
    inside = ramps[:, 10:-10, 10:-10]
    assert torch.allclose(turned.square().sum(dim=0), inside.square().sum(dim=0), atol=1e-1)
    assert turned[0, 20, 40].abs() < 1e-2
    assert torch.allclose(grown, inside / 2, atol=1e-2)
