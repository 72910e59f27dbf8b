"""Train, ablate, compare and use image-deblurring networks, and trust every number."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deblur_lit.networks.loading import load_network

__version__ = "0.1.0"
__all__ = ["__version__", "load_network"]


def __getattr__(name: str) -> Any:
    if name == "load_network":  # on first use, because torch takes seconds to import
        from deblur_lit.networks.loading import load_network

        return load_network
    raise AttributeError(f"module 'deblur_lit' has no attribute {name!r}")
