"""Metrics by named protocols: a function scores each image, `mean.MeanOverImages` of it is the torchmetrics class."""

from typing import TYPE_CHECKING, Any

from deblur_lit.metrics.protocols import PROTOCOLS

if TYPE_CHECKING:
    from deblur_lit.metrics.measure import score

__all__ = ["PROTOCOLS", "score"]


def __getattr__(name: str) -> Any:
    if name == "score":  # on first use, because the names of protocols are wanted without numpy and OpenCV
        from deblur_lit.metrics.measure import score

        return score
    raise AttributeError(f"module 'deblur_lit.metrics' has no attribute {name!r}")
