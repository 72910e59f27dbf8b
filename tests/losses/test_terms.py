"""Loss terms: their values, their gradients, and what they ask of their images."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from deblur_lit.losses.charbonnier import charbonnier
from deblur_lit.losses.content import content_l1
from deblur_lit.losses.edge import edge_charbonnier, laplacian
from deblur_lit.losses.frequency import frequency_l1
from deblur_lit.losses.psnr import psnr_loss

Term = Callable[[Tensor, Tensor], Tensor]
TERMS = [content_l1, frequency_l1, charbonnier, edge_charbonnier, psnr_loss]
AT_EQUALITY = {content_l1: 0, frequency_l1: 0, charbonnier: 1e-3, edge_charbonnier: 1e-3, psnr_loss: -80}
SIZES = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 4), (4, 3), (5, 5), (6, 8), (7, 10), (32, 48), (33, 47)]


def images(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    restored, sharp = torch.rand(2, *shape, generator=draw, dtype=torch.float64).to(dtype)
    return restored, sharp


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("size", SIZES[1:])  # a single pixel has no edge
def test_equal_images_give_the_least_loss(term: Term, size: tuple[int, int]) -> None:
    restored, sharp = images(2, 3, *size)
    least = term(sharp, sharp)
    assert least.item() == pytest.approx(AT_EQUALITY[term], rel=1e-5)
    assert term(restored, sharp) > least


@pytest.mark.parametrize("term", TERMS)
def test_gradient_is_the_derivative(term: Term) -> None:
    restored, sharp = images(2, 3, 5, 6, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda image: term(image, sharp), restored.requires_grad_())


@pytest.mark.parametrize("term", TERMS)
def test_gradient_at_equality_is_zero(term: Term) -> None:
    _, sharp = images(1, 3, 8, 8)
    restored = sharp.clone().requires_grad_()
    term(restored, sharp).backward()
    assert restored.grad is not None
    assert not restored.grad.any()


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_images_are_scored_in_float32(term: Term, dtype: torch.dtype) -> None:
    restored, sharp = images(2, 3, 48, 36)
    restored = (restored * 500).to(dtype)  # its square overflows float16
    expected = term(restored.float(), sharp)
    with torch.autocast("cpu", dtype=dtype):
        loss = term(restored.requires_grad_(), sharp)
    loss.backward()
    assert loss.dtype == torch.float32
    assert torch.equal(loss, expected)
    assert restored.grad is not None
    assert restored.grad.isfinite().all()


@pytest.mark.parametrize("term", TERMS)
def test_float64_images_are_scored_in_float64(term: Term) -> None:
    restored, sharp = images(1, 3, 8, 8, dtype=torch.float64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert term(restored, sharp).dtype == torch.float64


@pytest.mark.parametrize("term", TERMS)
def test_memory_layout_does_not_matter(term: Term) -> None:
    restored, sharp = images(2, 3, 16, 12, dtype=torch.float64)
    other = term(restored.to(memory_format=torch.channels_last), sharp)
    assert other.item() == pytest.approx(term(restored, sharp).item(), rel=1e-12)


@pytest.mark.parametrize("term", TERMS)
def test_batch_is_the_mean_of_its_images(term: Term) -> None:
    restored, sharp = images(4, 3, 9, 14, dtype=torch.float64)
    singles = [term(restored[i : i + 1], sharp[i : i + 1]) for i in range(4)]
    assert term(restored, sharp).item() == pytest.approx(torch.stack(singles).mean().item(), rel=1e-12)


@pytest.mark.parametrize("term", TERMS)
def test_different_shapes_are_refused(term: Term) -> None:
    image = torch.zeros(1, 3, 8, 8)
    with pytest.raises(ValueError, match=r"restored is \(1, 3, 8, 8\), sharp is \(1, 3, 8, 9\)"):
        term(image, torch.zeros(1, 3, 8, 9))


@pytest.mark.parametrize("term", TERMS)
def test_eight_bit_images_are_refused(term: Term) -> None:
    image = torch.zeros(1, 3, 8, 8)
    with pytest.raises(ValueError, match=r"sharp is torch\.uint8.*divided by 255"):
        term(image, image.byte())


@pytest.mark.parametrize("term", [charbonnier, edge_charbonnier, psnr_loss])
def test_eps_must_be_positive(term: Callable[[Tensor, Tensor, float], Tensor]) -> None:
    image = torch.zeros(1, 3, 8, 8)
    with pytest.raises(ValueError, match="eps is 0"):
        term(image, image, 0)


@pytest.mark.parametrize("size", SIZES)
def test_half_spectrum_has_the_value_of_the_full_one(size: tuple[int, int]) -> None:
    restored, sharp = images(2, 3, *size, dtype=torch.float64)
    full = torch.view_as_real(torch.fft.fft2(restored) - torch.fft.fft2(sharp)).abs().mean()
    assert frequency_l1(restored, sharp).item() == pytest.approx(full.item(), rel=1e-12)


def test_frequency_gradient_is_that_of_the_full_spectrum() -> None:
    restored, sharp = images(1, 3, 10, 13, dtype=torch.float64)
    gradients = [
        torch.autograd.grad(loss, restored)[0]
        for loss in (
            frequency_l1(restored.requires_grad_(), sharp),
            torch.view_as_real(torch.fft.fft2(restored - sharp)).abs().mean(),
        )
    ]
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-12)


def test_raw_frequency_term_doubles_with_the_crop_side_and_the_invariant_one_stays() -> None:
    pairs = [images(1, 3, side, side) for side in (64, 128, 256)]
    raw = [frequency_l1(*pair).item() for pair in pairs]
    invariant = [frequency_l1(*pair, size_invariant=True).item() for pair in pairs]
    assert raw[1] / raw[0] == pytest.approx(2, rel=0.02)
    assert raw[2] / raw[1] == pytest.approx(2, rel=0.02)
    assert invariant[1:] == pytest.approx([invariant[0]] * 2, rel=0.02)
    assert 256 * invariant[2] == pytest.approx(raw[2], rel=1e-6)


def test_laplacian_is_the_convolution_with_repeated_border() -> None:
    image, _ = images(2, 3, 9, 7, dtype=torch.float64)
    kernel = torch.tensor([[0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype=torch.float64).expand(3, 1, 3, 3)
    expected = F.conv2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), kernel, groups=3)
    torch.testing.assert_close(laplacian(image), expected)


def test_edge_term_sees_edges_only() -> None:
    restored, sharp = images(1, 3, 8, 8, dtype=torch.float64)
    assert edge_charbonnier(sharp + 0.3, sharp).item() == pytest.approx(1e-3)
    assert edge_charbonnier(restored, sharp) > content_l1(restored, sharp)
