"""How a data set's score comes from the scores of its images."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


class MeanOverImages(Metric):
    """Mean over images of each image's score, the same for any batch size and number of ranks.

    The state is a sum and a count in float64, added over ranks. It stays float64 whatever dtype the module
    around it is given: float16 keeps three digits, a table shows four.

    An infinite score (the PSNR of identical images) makes the mean infinite: no published code agrees on a
    substitute, and a silent one would move the mean. NaN shows likewise.

    Args:
        protocol: function of (restored, sharp) that returns one float64 score per image, (B,).

    Example:
        >>> from deblur_lit.metrics.psnr import psnr_uint8
        >>> metric = MeanOverImages(psnr_uint8)
        >>> black = torch.zeros(1, 3, 4, 4)
        >>> metric.update(black + 1, black)
        >>> metric.update(black + 0.2, black)
        >>> metric.compute()  # of 0 dB and 13.98 dB, not the PSNR of the pooled error
        tensor(6.9897, dtype=torch.float64)
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    total: Tensor
    images: Tensor

    def __init__(self, protocol: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.protocol = protocol
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("images", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, restored: Tensor, sharp: Tensor) -> None:
        """Add a batch.

        Args:
            restored: (B, 3, H, W), float nominally in [0, 1], or uint8; H and W may change between batches.
            sharp: same shape, float or uint8.

        Raises:
            ValueError: as the protocol does.
        """
        scores = self.protocol(restored, sharp)
        self.total += scores.sum()
        self.images += scores.numel()

    def compute(self) -> Tensor:
        """Return the mean over all images so far, a float64 scalar."""
        return self.total / self.images

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "") -> Any:
        """Follow the module to another device, never to another dtype (`.to`, `.half`, `set_dtype`)."""
        return super()._apply(lambda state: state.to(fn(state).device), exclude_state)
