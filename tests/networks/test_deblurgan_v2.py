"""DeblurGAN-v2: its equality with the published code, its padding and its normalisation."""

from pathlib import Path

import pytest
import torch
from goldens import open_golden
from torch import Tensor
from torch.nn import functional as F

from deblur_lit import load_network
from deblur_lit.config import build, compose
from deblur_lit.networks.deblurgan_v2 import DeblurGANv2, DeblurGANv2Inception, DeblurGANv2MobileNet
from deblur_lit.networks.loading import describe, network_config

GOLDENS = {"deblurgan_v2": "deblurganv2_inception", "deblurgan_v2_mobilenet": "deblurganv2_mobilenet"}
STATISTICS = {"train": "image", "eval": "running"}  # the mode that the published code ran in, and ours
COST = {"deblurgan_v2": (35_840_099, 17.5178), "deblurgan_v2_mobilenet": (2_106_627, 2.7086)}  # parameters, GMACs
SMALL = ["width=0.125", "blocks=[1,1,1,1,1,1]"]


def small(*overrides: str) -> DeblurGANv2:
    torch.manual_seed(0)
    network = load_network("deblurgan_v2_mobilenet", overrides=[*SMALL, *overrides])
    assert isinstance(network, DeblurGANv2)
    return network


def image(height: int, width: int, batch: int = 1) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(height))


@pytest.mark.shared
@pytest.mark.parametrize("variant", STATISTICS)
@pytest.mark.parametrize("name", GOLDENS)
def test_output_equals_the_published_code(name: str, variant: str, shared: Path, tmp_path: Path) -> None:
    golden = open_golden(shared, GOLDENS[name])
    published = tmp_path / "fpn.h5"
    torch.save({"model": {f"module.{key}": value for key, value in golden.weights(variant).items()}}, published)
    network = load_network(name, checkpoint=published, overrides=[f"statistics={STATISTICS[variant]}"])
    assert isinstance(network, DeblurGANv2)
    with torch.inference_mode():
        correction = network.correction(golden.image())
        restored = network(golden.image()).full
    assert golden.error(correction, f"{variant}_final") < 1e-4
    assert golden.error((2 * restored - 1).clamp(-1, 1), f"{variant}_out") < 1e-4


@pytest.mark.parametrize("name", COST)
def test_parameters_and_macs_are_those_that_the_published_code_uses(name: str) -> None:
    parameters, macs = COST[name]
    cost = describe(network_config(name).network)
    assert cost["parameters"] == parameters
    assert cost["macs_256"] / 1e9 == pytest.approx(macs, rel=1e-4)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (70, 96)])
def test_the_published_padding_adds_mid_grey_also_where_32_divides(height: int, width: int) -> None:
    network = small("padding_mode=published")
    blur = image(height, width)
    padded = F.pad(blur, (0, (width // 32 + 1) * 32 - width, 0, (height // 32 + 1) * 32 - height), value=0.5)
    with torch.inference_mode():
        assert torch.equal(network(blur).full, network.restore(padded).full[..., :height, :width])


def test_what_divides_is_not_padded() -> None:
    with torch.inference_mode():
        outputs = [small(f"padding_mode={mode}")(image(64, 96)).full for mode in ("reflect", "constant", "published")]
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.allclose(outputs[0], outputs[2])


@pytest.mark.parametrize("statistics", ["image", "running"])
def test_recorded_statistics_stay_as_they_are(statistics: str) -> None:
    network = small(f"statistics={statistics}").train()
    before = {key: buffer.clone() for key, buffer in network.named_buffers()}
    network(image(64, 64))
    assert before
    assert all(torch.equal(before[key], buffer) for key, buffer in network.named_buffers())


def test_training_and_evaluation_compute_the_same() -> None:
    network = small()
    with torch.inference_mode():
        assert torch.equal(network(image(64, 64)).full, network.train()(image(64, 64)).full)


def test_the_correction_moves_a_pixel_by_at_most_half_the_range() -> None:
    network = small()
    network.leave.bias.data.copy_(torch.tensor([100.0, -100.0, 0.0]))
    blur = image(64, 64)
    with torch.inference_mode():
        moved = network(blur).full - blur
    torch.testing.assert_close(moved[:, 0], torch.full_like(moved[:, 0], 0.5))
    torch.testing.assert_close(moved[:, 1], torch.full_like(moved[:, 1], -0.5))


@pytest.mark.parametrize("name", GOLDENS)
def test_the_reduced_network_trains_on_crops_that_need_no_padding(name: str) -> None:
    cfg = compose("train", [f"network={name}", "experiment=mini"])
    network = build(cfg.network)
    assert network.padded_side(cfg.data.crop_size) == cfg.data.crop_size


def test_a_foreign_file_is_refused_with_the_keys(tmp_path: Path) -> None:
    torch.save(
        {"model": {"module.final.bias": torch.zeros(3), "module.fpn.td9.0.bias": torch.zeros(3)}}, tmp_path / "x.h5"
    )
    with pytest.raises(ValueError, match=r"missing: backbone\.stages.*unexpected: fpn\.td9\.0\.bias"):
        load_network("deblurgan_v2_mobilenet", checkpoint=tmp_path / "x.h5", overrides=SMALL)


@pytest.mark.parametrize(
    ("build", "named"),
    [
        (lambda: DeblurGANv2Inception(blocks=[1]), r"\[1\]"),
        (lambda: DeblurGANv2MobileNet(blocks=[1, 1, 1, 1, 1]), r"\[1, 1, 1, 1, 1\]"),
        (lambda: DeblurGANv2MobileNet(blocks=[1, 1, 0, 1, 1, 1]), r"\[1, 1, 0, 1, 1, 1\]"),
        (lambda: DeblurGANv2MobileNet(width=0.1, statistics="batch"), "batch"),
        (lambda: DeblurGANv2MobileNet(width=0.1, padding_mode="zeros"), "published, got 'zeros'"),
    ],
)
def test_a_wrong_value_is_named(build: object, named: str) -> None:
    assert callable(build)
    with pytest.raises(ValueError, match=named):
        build()
