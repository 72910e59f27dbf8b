"""The fit of a line filter: its moments are the error, its symmetries hold, it learns, and it resumes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from deblur_lit import line_filter_fit
from deblur_lit.data.images import write_png
from deblur_lit.data.paired_folder import PairedFolder
from deblur_lit.line_filter_fit import Moments, fit, measure, moments_of
from deblur_lit.networks.line_filter import LineFilter


def pairs(number: int, seed: int = 0, side: int = 24) -> tuple[Tensor, Tensor]:
    """Noise, and the same moved by 5 pixels across or down."""
    sharp = torch.rand(number, 3, side + 4, side + 4, generator=torch.Generator().manual_seed(seed))
    across = F.avg_pool2d(sharp, (1, 5), 1)[..., 2:-2, :]
    down = F.avg_pool2d(sharp, (5, 1), 1)[..., 2:-2]
    first = (torch.arange(number) % 2 == 0)[:, None, None, None]
    return torch.where(first, across, down), sharp[..., 2:-2, 2:-2]


def new_filter() -> LineFilter:
    torch.manual_seed(0)
    return LineFilter(hidden=16, scales=2)


def test_the_moments_give_the_error_of_the_filtered_image() -> None:
    line_filter, (blur, sharp) = new_filter().double(), tuple(image.double() for image in pairs(3))
    torch.nn.init.normal_(line_filter.mix.weight, std=0.1)
    moments = moments_of(line_filter, blur, sharp)
    identity = torch.arange(line_filter.angles)
    gains = line_filter_fit._gains(line_filter, moments, identity)
    eps = line_filter_fit.EPS
    before, after = ((image - sharp).square().mean(dim=(1, 2, 3)) + eps for image in (blur, line_filter(blur)[0]))
    torch.testing.assert_close(gains, 10 * torch.log10(before / after))


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_turned_pair_gains_as_its_moments_say_without_turning_it(turn: int) -> None:
    line_filter, (blur, sharp) = new_filter().double(), tuple(image.double() for image in pairs(2))
    torch.nn.init.normal_(line_filter.mix.weight, std=0.1)
    order = line_filter_fit._symmetries(line_filter.angles)
    turned = [
        torch.rot90(image, 1, (-2, -1)) if turn == 1 else image.flip(-1) if turn == 2 else image.transpose(-2, -1)
        for image in (blur, sharp)
    ]
    expected = line_filter_fit._gains(line_filter, moments_of(line_filter, *turned), order[0])
    found = line_filter_fit._gains(line_filter, moments_of(line_filter, blur, sharp), order[turn])
    torch.testing.assert_close(found, expected)


def test_it_learns_to_filter_along_the_motion() -> None:
    line_filter = new_filter()
    moments = moments_of(line_filter, *pairs(256))
    assert fit(line_filter, moments, epochs=120) > 0.5
    blur, sharp = pairs(8, seed=1)
    with torch.no_grad():
        filtered = line_filter(blur)[0]
    assert (filtered - sharp).square().mean() < 0.9 * (blur - sharp).square().mean()


def test_what_is_measured_is_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for side, images in zip(("blur", "sharp"), pairs(5, side=26), strict=True):
        (tmp_path / "train/scene" / side).mkdir(parents=True)
        for number, image in enumerate(images):
            write_png(tmp_path / f"train/scene/{side}/{number:06d}.png", pixels(image))
    found = PairedFolder(tmp_path, "train")
    monkeypatch.setattr("deblur_lit.line_filter_fit.CHUNK", 2)
    monkeypatch.setattr("deblur_lit.line_filter_fit.AT_ONCE", 2)
    first = measure(new_filter(), found, tmp_path / "moments")
    assert first.gram.shape == (5, 32, 32)
    assert "measured 5/5 pairs" in capsys.readouterr().out
    (tmp_path / "moments/000002.safetensors").unlink()
    again: Moments = measure(new_filter(), found, tmp_path / "moments")
    assert capsys.readouterr().out.count("measured") == 1
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one, other)


def pixels(image: Tensor) -> NDArray[np.uint8]:
    return np.ascontiguousarray((image * 255).round().byte().permute(1, 2, 0).numpy())
