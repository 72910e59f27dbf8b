"""The training loss: named, weighted terms, summed over the scales that a network restores."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deblur_lit.tensors import Pyramid

Term = Callable[[Tensor, Tensor], Tensor]


class MultiScaleLoss(nn.Module):
    r"""Weighted terms over the scales of a pyramid, returned one by one so that each can be logged.

    .. math:: L_{name} = w_{name} \sum_k f_{name}(\hat S_k, S_k)

    S_k is `sharp` resized to the size of scale k: bilinear, align_corners=False, no antialias. A scale
    that the network leaves out is skipped, so single-scale networks train with any loss.

    Args:
        terms: name -> function of (restored, sharp), both (B, 3, H, W), that returns a scalar. A term that
            is a module (a perceptual loss, say) moves between devices with this one.
        weights: name -> weight, the same names.

    Raises:
        ValueError: if a term has no weight or a weight has no term.

    Source: Wan et al., Infrared 44(4), 2023, Eq. 4-6, after Cho et al., ICCV 2021, arXiv:2108.05054.

    Example:
        >>> from deblur_lit.losses.content import content_l1
        >>> loss = MultiScaleLoss(terms={"content": content_l1}, weights={"content": 2.0})
        >>> black = torch.zeros(1, 3, 8, 8)
        >>> loss(Pyramid(black + 0.25, half=black[..., ::2, ::2] + 0.5), black)
        {'content': tensor(1.5000)}
    """

    def __init__(self, terms: Mapping[str, Term], weights: Mapping[str, float]) -> None:
        super().__init__()
        if alone := sorted(set(terms) - set(weights)):
            raise ValueError(f"terms without a weight: {', '.join(alone)}; weights has: {', '.join(weights)}")
        if alone := sorted(set(weights) - set(terms)):
            raise ValueError(f"weights without a term: {', '.join(alone)}; terms has: {', '.join(terms)}")
        self.terms = dict(terms)
        self.weights = dict(weights)
        self.term_modules = nn.ModuleDict({k: term for k, term in terms.items() if isinstance(term, nn.Module)})

    def forward(self, restored: Pyramid, sharp: Tensor) -> dict[str, Tensor]:
        """Return one weighted scalar per term.

        Args:
            restored: images of any float dtype; `full` has the shape of `sharp`.
            sharp: (B, 3, H, W) float in [0, 1].

        Returns:
            Name -> scalar, in the order of `terms`; their sum is the loss.

        Raises:
            ValueError: if shapes do not fit or an image is not floating point.
        """
        if restored.full.shape != sharp.shape:  # or a resized target would hide it
            raise ValueError(f"restored.full is {tuple(restored.full.shape)}, sharp is {tuple(sharp.shape)}")
        pairs = [(image, resize(sharp, image.shape[-2:])) for image in restored if image is not None]
        return {
            name: self.weights[name] * torch.stack([term(*pair) for pair in pairs]).sum()
            for name, term in self.terms.items()
        }


def resize(sharp: Tensor, size: torch.Size) -> Tensor:
    """Return `sharp` at another size: bilinear, align_corners=False, no antialias.

    Args:
        sharp: (B, 3, H, W) float.
        size: height and width.

    Returns:
        (B, 3, height, width); `sharp` itself where the size is its own.
    """
    if sharp.shape[-2:] == size:
        return sharp
    return F.interpolate(sharp, size=size, mode="bilinear", align_corners=False)
