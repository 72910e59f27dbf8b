"""A network ready to restore photographs: from Python, and for `deblur-lit predict`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from deblur_lit.ensembles import ENSEMBLES
from deblur_lit.predict.engine import Backend, Fallback, Image, View, restore_tiles
from deblur_lit.predict.kinds import check, convert
from deblur_lit.predict.plan import BLEND, Needs, TilePlan, plan_side, whole
from deblur_lit.predict.whole_image import WholeImage, plan_within

if TYPE_CHECKING:
    from deblur_lit.networks.blocks import DeblurNetwork

TTA = {"none": "none", "rot4": "rotations", "x8": "dihedral"}  # our words for ENSEMBLES
SMALL = 256 * 256  # pixels up to which an image is never cut, unless a memory is stated
LEAST = 96  # pixels: side of the smallest tile with its margin


@dataclass(frozen=True)
class Restored:
    """A restored image.

    Attributes:
        image: (H, W, 3), of the type of the input.
        fallbacks: tiles that stayed as they were, with the reason.
        note: how it was cut into tiles, and what of the whole image the tiles do not see.
    """

    image: Image
    fallbacks: list[Fallback] = field(default_factory=list)
    note: str = ""


class Deblurrer:
    """Restores images of any size within a stated memory.

    Args:
        network: None is the one that comes with the package. It stays as it is: a copy goes to the device.
        tile: side in pixels of what a tile contributes, margins come on top; `auto` plans it from the memory; `off`
            restores whole images.
        memory: bytes that this process may hold in all, the image and its result included (on a GPU: of the GPU's
            memory). None: what it holds now and half of what is free.
        tta: mean over views, `none`, `rot4` (quarter turns) or `x8` (mirrored too); costs as many times more.
        tlc: local pools in place of global ones, for networks that pool.
        precision: `fp32`, or `bf16` (differs by about 0.002 of the range).
        device: `auto` (a GPU where there is one), `cpu`, `cuda` or `mps`.
        strength: share of the change that is made, 0 (none) to 1.
        backend: what restores tiles in place of PyTorch; then network, tlc, precision and device are its own matter.

    Raises:
        ValueError: for an unknown choice, with those that there are.
        FileNotFoundError: if the package came without weights and no network is given.

    Example:
        >>> import torch
        >>> from deblur_lit import load_network
        >>> deblurrer = Deblurrer(load_network("unet", overrides=["channels=4", "num_blocks=1"]), device="cpu")
        >>> noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
        >>> deblurrer(noise).shape
        (20, 30, 3)
    """

    def __init__(
        self,
        network: "DeblurNetwork | None" = None,
        *,
        tile: int | Literal["auto", "off"] = "auto",
        memory: int | None = None,
        tta: str = "none",
        tlc: bool = False,
        precision: str = "fp32",
        device: str = "auto",
        strength: float = 1.0,
        backend: Backend | None = None,
    ) -> None:
        if tta not in TTA:
            raise ValueError(f"tta={tta!r} is unknown; there is {', '.join(TTA)}")
        if not 0 <= strength <= 1:
            raise ValueError(f"strength={strength}: it is a share of the change, 0 to 1")
        if (isinstance(tile, str) and tile not in ("auto", "off")) or (isinstance(tile, int) and tile < 1):
            raise ValueError(f"tile={tile!r}: a number of pixels from 1, 'auto' or 'off'")
        if memory is not None and memory < 1:
            raise ValueError(f"memory={memory}: bytes, at least 1")
        self.tile, self.memory, self.strength = tile, memory, strength
        self.views: list[View] = ENSEMBLES[TTA[tta]]
        self.backend = backend or _torch_backend(network, device, precision, tlc)
        self._most: float = np.inf  # pixels of a tile that the device had memory for

    def restore(self, image: NDArray[Any], progress: Callable[[int, int], None] | None = None) -> Restored:
        """Restore an image.

        Args:
            image: (H, W, 3) RGB, or (H, W) grey; uint8, uint16, or float32 or float64 in [0, 1]. It stays as it is.
            progress: is told the tiles that are done and all tiles after each one.

        Returns:
            The image in the same type and shape: integers rounded, floats clamped to [0, 1].

        Raises:
            ValueError: if it is no such image, or the stated memory is too small for it.
            MemoryError: if not even a small tile fits into the memory of the device.
        """
        check(image)
        if image.ndim == 2:
            colour = self.restore(np.repeat(image[..., None], 3, axis=2), progress)
            mean = colour.image.mean(axis=2, dtype=np.float64)
            grey_pixels = (np.rint(mean) if image.dtype.kind == "u" else mean).astype(image.dtype)
            return Restored(grey_pixels, colour.fallbacks, colour.note)
        if self.strength == 0:
            return Restored(image.copy(), note="strength 0: nothing was done")
        while True:
            shared = WholeImage(self.backend, image, self.views, self._pixels(image))
            largest = int(min(shared.pixels, image.shape[0] * image.shape[1]))
            try:
                plan = self._plan(image, shared)
                largest = plan.largest
                means = shared.of_views() if plan.tiles > 1 else [None] * len(self.views)
                restored, fallbacks = restore_tiles(
                    image, self.backend, plan, self.views, means, self.strength, progress
                )
                return Restored(restored, fallbacks, "; ".join([plan.describe(), *shared.said]))
            except MemoryError as error:
                self._halve(largest, error)

    def __call__(self, image: Any) -> Any:
        """Restore an image and return the same kind.

        Args:
            image: a NumPy array as in `restore`; a PIL image (RGB, or grey as "L"); or a torch tensor (3, H, W) or
                (1, 3, H, W), uint8 or float in [0, 1].

        Raises:
            ValueError: if it is none of these.
            MemoryError: as `restore`.
        """
        return convert(image, lambda pixels: self.restore(pixels).image)

    def _pixels(self, image: Image) -> float:
        """Return how many pixels a tile may have."""
        height, width = image.shape[:2]
        if self.memory is None and height * width <= SMALL:
            return self._most
        beside = image.nbytes + 4 * BLEND * width * 3 * 2  # the result, and strips that are blended
        pixels = self.backend.pixels(self.memory, beside)
        if self.memory is not None and pixels < LEAST**2 and self.tile == "auto":
            raise ValueError(
                f"memory={self.memory}: with the image, its result and the network this leaves room for tiles of "
                f"{pixels} pixels, which is too small; allow some hundred megabytes more"
            )
        return min(self._most, max(pixels, LEAST**2))

    def _plan(self, image: Image, shared: WholeImage) -> TilePlan:
        height, width = image.shape[:2]
        limited = self._most < np.inf  # by the device, whatever was asked for
        if self.tile == "off" and not limited:
            return whole(height, width, Needs())
        if isinstance(self.tile, int) and not limited:
            if max(height, width) <= self.tile:
                return whole(height, width, Needs())
            needs = self.backend.needs
            return plan_side(height, width, needs, self.tile, shared.reach() if needs.margin is None else 0)
        if height * width <= shared.pixels:
            return whole(height, width, Needs())
        return plan_within(height, width, self.backend.needs, int(shared.pixels), shared.reach)

    def _halve(self, largest: int, error: MemoryError) -> None:
        """Allow tiles of half the side from now on."""
        self._most = max(largest // 4, LEAST**2)
        if largest <= self._most:
            raise MemoryError(f"not even a tile of {largest} pixels fits into the memory of the device: {error}")


@cache
def _default() -> Deblurrer:
    return Deblurrer()


def deblur(image: Any) -> Any:
    """Restore an image with the network that comes with the package: see `Deblurrer.__call__`."""
    return _default()(image)


def _torch_backend(network: "DeblurNetwork | None", device: str, precision: str, tlc: bool) -> Backend:
    from deblur_lit.predict.torch_backend import TorchBackend
    from deblur_lit.pretrained import shipped

    return TorchBackend(shipped() if network is None else network, device, precision, tlc)
