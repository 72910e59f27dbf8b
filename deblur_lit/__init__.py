"""Train, ablate, compare and use image-deblurring networks, and trust every number."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deblur_lit.hub import from_pretrained, push_to_hub
    from deblur_lit.networks.loading import load_network
    from deblur_lit.predict.deblurrer import Deblurrer, deblur

__version__ = "0.1.0"
__all__ = ["Deblurrer", "__version__", "deblur", "from_pretrained", "load_network", "push_to_hub"]


def __getattr__(name: str) -> Any:  # on first use, because torch takes seconds to import
    if name == "load_network":
        from deblur_lit.networks.loading import load_network

        return load_network
    if name in ("from_pretrained", "push_to_hub"):
        from deblur_lit import hub

        return getattr(hub, name)
    if name in ("Deblurrer", "deblur"):
        from deblur_lit.predict import deblurrer

        return getattr(deblurrer, name)
    raise AttributeError(f"module 'deblur_lit' has no attribute {name!r}")
