"""DMPHN: equality with the published code, its published weights on real images, its patches."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from goldens import open_golden
from torch import Tensor

from deblur_lit import load_network
from deblur_lit.data.images import read_rgb
from deblur_lit.metrics.psnr import psnr_uint8
from deblur_lit.networks.dmphn import DMPHN, HEIGHT, WIDTH, _join, _split
from deblur_lit.networks.loading import count_macs, count_parameters, network_config

GOLDENS = {"dmphn": "dmphn_1_2_4_8", "dmphn_1_2_4": "dmphn_1_2_4"}
SMALL = ["channels=4", "num_blocks=1"]


def save_parts(weights: dict[str, Tensor], folder: Path) -> Path:
    """Save weights as the authors do: a file per encoder and decoder, in torch's legacy format."""
    folder.mkdir()
    for part in {key.partition(".")[0] for key in weights}:
        layers = {key.removeprefix(f"{part}."): value for key, value in weights.items() if key.startswith(f"{part}.")}
        torch.save(layers, folder / f"{part}.pkl", _use_new_zipfile_serialization=False)
    return folder


@pytest.mark.shared
@pytest.mark.parametrize("variant", ["out", "tame_out"])
@pytest.mark.parametrize("name", GOLDENS)
def test_output_equals_the_published_code(name: str, variant: str, shared: Path, tmp_path: Path) -> None:
    golden = open_golden(shared, GOLDENS[name])
    network = load_network(name, checkpoint=save_parts(golden.weights(variant), tmp_path / name))
    with torch.inference_mode():
        restored = network(golden.image())
    assert golden.error(restored.full - 0.5, f"{variant}0") < 1e-4
    assert restored.half is None
    assert restored.quarter is None


@pytest.mark.parametrize(("name", "parameters", "macs"), [("dmphn", 7232524, 65.15), ("dmphn_1_2_4", 5424393, 48.86)])
def test_parameters_and_macs_are_the_published_ones(name: str, parameters: int, macs: float) -> None:
    assert count_parameters(load_network(name)) == parameters
    assert count_macs(network_config(name).network) / 1e9 == pytest.approx(macs, rel=0.01)


@pytest.mark.shared
@pytest.mark.parametrize("image", ["1", "10", "100"])
def test_the_published_weights_restore_real_images_as_well(image: str, shared: Path) -> None:
    folder = shared / "goldens/dmphn_real"
    recorded = json.loads((folder / "dmphn_real.json").read_text())["results"]["dmphn_1_2_4_8"]["images"]
    stem = f"GOPR0372_07_00_000047_{image}"
    network = load_network("dmphn", checkpoint=folder / "checkpoints/DMPHN_1_2_4_8")
    blur, sharp = (
        torch.from_numpy(read_rgb(folder / f"{stem}_{kind}.png")).permute(2, 0, 1)[None] / 255
        for kind in ("blur", "sharp")
    )
    with torch.inference_mode():
        restored = network(blur).full
    assert float(psnr_uint8(restored, sharp)) == pytest.approx(recorded[stem]["psnr_restored_uint8"], abs=0.02)
    with np.load(folder / f"{stem}_restored_float.npz") as arrays:
        published = torch.from_numpy(arrays["out"])
    torch.testing.assert_close(restored[0], published, rtol=0.0, atol=1e-4)


@pytest.mark.parametrize(
    ("levels", "size", "padded"),
    [
        (4, (16, 8), (16, 8)),  # nothing is padded where the patches divide
        (4, (720, 1280), (720, 1280)),
        (4, (17, 9), (32, 16)),
        (4, (24, 24), (32, 24)),
        (3, (8, 8), (8, 8)),
        (3, (9, 24), (16, 24)),
        (2, (8, 4), (8, 4)),
        (1, (4, 5), (4, 8)),
    ],
)
def test_sides_are_padded_to_whole_features_of_the_smallest_patch(
    levels: int, size: tuple[int, int], padded: tuple[int, int]
) -> None:
    network = DMPHN(levels=levels, channels=4, num_blocks=1)
    assert network.padded_size(*size) == padded
    with torch.inference_mode():
        assert network.restore(torch.zeros(1, 3, *padded)).full.shape == (1, 3, *padded)


def test_patches_are_joined_where_they_were_cut() -> None:
    images = torch.rand(2, 3, 8, 12)
    quarters = _split(_split(images, HEIGHT), WIDTH)
    assert quarters.shape == (8, 3, 4, 6)
    assert {tuple(quarter.flatten().tolist()) for quarter in quarters} == {
        tuple(image[:, top : top + 4, left : left + 6].flatten().tolist())
        for image in images
        for top in (0, 4)
        for left in (0, 6)
    }
    assert torch.equal(_join(_join(quarters, WIDTH), HEIGHT), images)


@pytest.mark.parametrize(("level", "patch"), [(3, (4, 8)), (2, (8, 8)), (1, (8, 16))])
def test_each_level_cuts_the_image_once_more(level: int, patch: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = load_network("dmphn", overrides=SMALL)
    seen: list[Tensor] = []
    network.encoders[level].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.inference_mode():
        network(torch.rand(1, 3, 16, 16))
    assert [images.shape for images in seen] == [(2**level, 3, *patch)]


def test_another_depth_is_refused_with_the_keys(tmp_path: Path) -> None:
    torch.save(load_network("dmphn_1_2_4", overrides=SMALL).state_dict(), tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"does not fit DMPHN\. \d+ missing: encoders\.3\.enter\.0\.weight"):
        load_network("dmphn", checkpoint=tmp_path / "w.pth", overrides=SMALL)


@pytest.mark.parametrize("name", ["levels", "channels", "num_blocks"])
def test_a_wrong_value_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        DMPHN(**{name: 0})
