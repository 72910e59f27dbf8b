"""The sum of terms over scales: published values, missing scales, named errors, every YAML."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import Tensor, nn

from deblur_lit.losses.content import content_l1
from deblur_lit.losses.frequency import frequency_l1
from deblur_lit.losses.multiscale import MultiScaleLoss
from deblur_lit.tensors import Pyramid

CONF = Path(__file__).resolve().parents[2] / "conf"
LOSSES = sorted(path.stem for path in (CONF / "loss").glob("*.yaml"))
PAPER = {"content": content_l1, "frequency": frequency_l1}
ONES = {"content": 1.0, "frequency": 1.0}


def configured(stem: str) -> MultiScaleLoss:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return instantiate(compose(overrides=[f"+loss={stem}"]).loss)


def pyramid(height: int, width: int, seed: int = 0) -> tuple[Pyramid, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    sides = [(height, width), (-(-height // 2), -(-width // 2)), (-(-height // 4), -(-width // 4))]
    restored = Pyramid(*(torch.rand(2, 3, *side, generator=draw, requires_grad=True) for side in sides))
    return restored, torch.rand(2, 3, height, width, generator=draw)


@pytest.fixture(scope="module")
def golden(shared: Path) -> tuple[Mapping[str, Any], Mapping[str, np.ndarray]]:
    folder = shared / "goldens" / "networks"
    return json.loads((folder / "mimo_unet.json").read_text())["loss"], np.load(folder / "mimo_unet.npz")


@pytest.mark.shared
@pytest.mark.parametrize("variant", ["out", "tame_out"])
@pytest.mark.parametrize(("dtype", "suffix", "tolerance"), [("float64", "_float64", 1e-6), ("float32", "", 1e-5)])
def test_loss_of_the_paper_equals_the_published_code(
    golden: tuple[Mapping[str, Any], Mapping[str, np.ndarray]],
    variant: str,
    dtype: str,
    suffix: str,
    tolerance: float,
) -> None:
    values, arrays = golden
    value = values[variant + suffix]
    quarter, half, full = (torch.from_numpy(arrays[f"{variant}{i}"].astype(dtype)) for i in range(3))
    sharp = torch.from_numpy(arrays["label"].astype(dtype))

    terms = configured("l1_frequency")(Pyramid(full, half, quarter), sharp)

    assert terms["content"].item() == pytest.approx(value["content"], rel=tolerance)
    assert terms["frequency"].item() == pytest.approx(0.1 * value["fft"], rel=tolerance)
    assert sum(terms.values()).item() == pytest.approx(value["total"], rel=tolerance)
    for scale, one in enumerate([Pyramid(sharp, quarter=quarter), Pyramid(sharp, half), Pyramid(full)]):
        at_scale = MultiScaleLoss(PAPER, ONES)(one, sharp)  # `sharp` as `full` adds nothing
        assert at_scale["content"].item() == pytest.approx(
            value["content_per_scale_quarter_half_full"][scale], rel=tolerance
        )
        assert at_scale["frequency"].item() == pytest.approx(
            value["fft_per_scale_quarter_half_full"][scale], rel=tolerance
        )


def test_missing_scales_are_skipped() -> None:
    restored, sharp = pyramid(32, 48)
    loss = MultiScaleLoss(PAPER, {"content": 1.0, "frequency": 0.5})
    single = loss(Pyramid(restored.full), sharp)
    assert torch.equal(single["content"], content_l1(restored.full, sharp))
    assert torch.equal(single["frequency"], 0.5 * frequency_l1(restored.full, sharp))
    no_half = loss(Pyramid(restored.full, quarter=restored.quarter), sharp)
    every = loss(restored, sharp)
    assert single["content"] < no_half["content"] < every["content"]


def test_target_of_a_scale_averages_the_two_middle_pixels() -> None:
    """Bilinear without antialias: at a quarter, pixels 1 and 2 of every four."""
    _, sharp = pyramid(16, 24)
    middle = (sharp[..., 1::4] + sharp[..., 2::4]) / 2
    quarter = (middle[..., 1::4, :] + middle[..., 2::4, :]) / 2
    half = nn.functional.avg_pool2d(sharp, 2)
    loss = MultiScaleLoss({"content": content_l1}, {"content": 1.0})
    assert loss(Pyramid(sharp, half, quarter), sharp)["content"].item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (33, 47)])
def test_odd_sizes_have_a_finite_loss(size: tuple[int, int]) -> None:
    restored, sharp = pyramid(*size)
    terms = MultiScaleLoss(PAPER, ONES)(restored, sharp)
    assert all(term.isfinite() for term in terms.values())


def test_weight_scales_its_own_term_only() -> None:
    restored, sharp = pyramid(16, 16)
    once = MultiScaleLoss(PAPER, ONES)(restored, sharp)
    thrice = MultiScaleLoss(PAPER, {"content": 3.0, "frequency": 1.0})(restored, sharp)
    assert thrice["content"].item() == pytest.approx(3 * once["content"].item())
    assert torch.equal(thrice["frequency"], once["frequency"])


def test_term_without_weight_is_named() -> None:
    with pytest.raises(ValueError, match="terms without a weight: frequency"):
        MultiScaleLoss(PAPER, {"content": 1.0})


def test_weight_without_term_is_named() -> None:
    with pytest.raises(ValueError, match="weights without a term: frequncy"):
        MultiScaleLoss(PAPER, ONES | {"frequncy": 0.1})


def test_sharp_of_another_size_is_refused() -> None:
    restored, _ = pyramid(16, 16)
    with pytest.raises(ValueError, match=r"restored\.full is \(2, 3, 16, 16\), sharp is \(2, 3, 32, 32\)"):
        MultiScaleLoss(PAPER, ONES)(restored, torch.zeros(2, 3, 32, 32))


def test_term_that_is_a_module_moves_with_the_loss() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("factor", torch.ones(()))

        def forward(self, restored: Tensor, sharp: Tensor) -> Tensor:
            return self.factor * content_l1(restored, sharp)

    loss = MultiScaleLoss({"content": content_l1, "scaled": Scaled()}, {"content": 1.0, "scaled": 1.0})
    loss.to(torch.float64)
    restored, sharp = pyramid(8, 8)
    assert loss(restored, sharp)["scaled"].dtype == torch.float64
    assert list(loss.state_dict()) == ["term_modules.scaled.factor"]


@pytest.mark.parametrize("stem", LOSSES)
@pytest.mark.parametrize("scales", [1, 3])
def test_every_loss_yaml_gives_every_scale_a_finite_gradient(stem: str, scales: int) -> None:
    restored, sharp = pyramid(32, 48)
    restored = Pyramid(*restored[:scales])
    terms = configured(stem)(restored, sharp)
    torch.stack(list(terms.values())).sum().backward()
    for image in restored[:scales]:
        assert image is not None
        assert image.grad is not None
        assert image.grad.isfinite().all()
        assert image.grad.any()


@pytest.mark.parametrize("stem", LOSSES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_every_loss_yaml_is_float32_inside_autocast(stem: str, dtype: torch.dtype) -> None:
    restored, sharp = pyramid(32, 48)
    restored = Pyramid(*(image.to(dtype) for image in restored if image is not None))
    loss = configured(stem)
    expected = loss(Pyramid(*(image.float() for image in restored if image is not None)), sharp)
    with torch.autocast("cpu", dtype=dtype):
        terms = loss(restored, sharp)
    assert terms == expected
    assert {term.dtype for term in terms.values()} == {torch.float32}


def test_invariant_loss_weighs_the_full_scale_as_the_paper_does_at_256_px() -> None:
    draw = torch.Generator().manual_seed(0)
    restored, sharp = torch.rand(2, 1, 3, 256, 256, generator=draw)
    paper, invariant = (
        configured(stem)(Pyramid(restored), sharp) for stem in ("l1_frequency", "l1_frequency_invariant")
    )
    assert invariant["frequency"].item() == pytest.approx(paper["frequency"].item(), rel=1e-5)


def test_yaml_options_reach_the_terms() -> None:
    terms = configured("charbonnier_edge").terms
    assert all(isinstance(term, partial) and term.keywords == {"eps": 1e-3} for term in terms.values())
