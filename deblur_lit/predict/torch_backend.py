"""Tiles restored by PyTorch."""

import copy
from contextlib import nullcontext
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deblur_lit.networks.blocks import DeblurNetwork
from deblur_lit.networks.receptive_field import margin
from deblur_lit.networks.tlc import WINDOW, use_local_pools
from deblur_lit.predict import shared as statistics
from deblur_lit.predict.engine import OVERHEAD
from deblur_lit.predict.memory import room
from deblur_lit.predict.peak import peak_bytes
from deblur_lit.predict.plan import Needs

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("fp32", "bf16")
CROP = 256  # pixels: side of the training crops that local pools are made for, as published networks'
PROBE = 256  # pixels: side of the image whose memory is counted
HEIGHT = 64  # pixels, of the strips that are compared
ROUNDING = 1e-4  # of the largest value, in float32
GPU_SHARE = 0.8  # of its free memory, by default
SLACK = 1.1  # times that: work space of convolutions, and what is kept in pieces


class TorchBackend:
    """A copy of a network on a device.

    Args:
        network: in float32, or in float64 for checks; it stays as it is.
        device: `auto` (a GPU where there is one), `cpu`, `cuda` or `mps`.
        precision: `fp32`, or `bf16` for autocast to bfloat16.
        tlc: whether pools are local, of about the size of training crops.

    Raises:
        ValueError: for an unknown choice, a device that is not there, or `tlc` where nothing pools.
    """

    def __init__(
        self, network: DeblurNetwork, device: str = "auto", precision: str = "fp32", tlc: bool = False
    ) -> None:
        if precision not in PRECISIONS:
            raise ValueError(f"precision={precision!r} is unknown; there is {' and '.join(PRECISIONS)}")
        self.device, self.bf16, self.tlc = _device(device), precision == "bf16", tlc
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        if tlc:
            use_local_pools(self.network, CROP)
        self.shares = statistics.shares(self.network)
        self.network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        dtype = next((tensor.dtype for tensor in self.network.parameters()), torch.float32)
        self.dtype: np.dtype[Any] = np.dtype(np.float64 if dtype == torch.float64 else np.float32)

    @cached_property
    def needs(self) -> Needs:
        """What the network needs of tiles; looked at on first use, which takes seconds for large networks."""
        multiple, least = self.network.multiple, self.network.padded_side(1)
        if self.tlc:  # a window of a mean of windows of means
            return Needs(multiple, least, None)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # many small operations: threads would wait for each other
        try:
            with torch.no_grad():
                far = margin(copy.deepcopy(self.network).float().cpu())
        finally:
            torch.set_num_threads(threads)
        return Needs(multiple, least, far if far is not None and self._is_local(far) else None)

    def _is_local(self, far: int) -> bool:
        """Tell whether a pixel depends on nothing beyond a margin: not on the size of the image either."""
        cut = 2 * self.network.multiple
        length = 2 * (far + cut)
        strip = np.random.default_rng(0).random((1, 3, HEIGHT, length + -length % cut)).astype(self.dtype)
        lowered, self.bf16 = self.bf16, False
        try:
            means = self.share(strip, 0) if self.shares else None
            whole, part = (self.restore(piece, means) for piece in (strip, strip[..., cut:]))
        finally:
            self.bf16 = lowered
        apart = np.abs(whole[..., cut + far :] - part[..., far:]).max()
        return bool(apart <= ROUNDING * max(1, np.abs(whole).max()))

    @cached_property
    def _bytes_per_pixel(self) -> float:
        side = int(WINDOW * CROP) + PROBE // 2 if self.tlc else PROBE  # larger than the local windows
        probe = np.zeros((1, 3, side, side), self.dtype)
        return SLACK * peak_bytes(lambda: self.restore(probe), self.device) / side**2

    def pixels(self, memory: int | None, beside: int) -> int:
        """Return how many pixels a tile may have; what one takes is counted in a forward pass of a small one.

        Args:
            memory: bytes that may be held in all, on a GPU of its memory; None for what is free.
            beside: bytes of this machine's memory that are needed besides tiles.
        """
        taken = self._bytes_per_pixel  # first: what that pass leaves behind counts as held
        if self.device.type != "cuda":
            return int(room(memory, beside) / (taken + OVERHEAD))
        held = torch.cuda.memory_allocated(self.device)
        free = torch.cuda.mem_get_info(self.device)[0] + torch.cuda.memory_reserved(self.device) - held
        return int(max(0, GPU_SHARE * free if memory is None else memory - held) / taken)

    @torch.inference_mode()
    def restore(self, tile: NDArray[Any], shared: Any = None) -> NDArray[Any]:
        """Restore (1, 3, h, w) in [0, 1]; returns the same shape, not clamped.

        Args:
            tile: of the type `dtype`.
            shared: what `share` gave, for a tile of a larger image.

        Raises:
            MemoryError: if the memory is too small for it.
        """
        means = nullcontext() if shared is None else statistics.given(self.network, shared)
        with means:
            return self._forward(tile).to(torch.from_numpy(tile).dtype).cpu().numpy()

    @torch.inference_mode()
    def share(self, parts: NDArray[Any], margin: int) -> list[statistics.Statistics]:
        """Return the means of a whole image, taken over parts (N, 3, h, w) of it without their outer `margin`.

        Raises:
            MemoryError: if the memory is too small for them.
        """
        with statistics.recorded(self.network, margin, parts.shape[-2:]) as found:
            self._forward(parts)
        return found

    def _forward(self, tile: NDArray[Any]) -> Tensor:
        lowered = torch.autocast(self.device.type, torch.bfloat16) if self.bf16 else nullcontext()
        exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)  # a GPU would keep 10 of float32's 23 bits
        try:
            with lowered, exact:
                return self.network(torch.from_numpy(tile).to(self.device)).full
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise MemoryError(_first_line(error)) from None
        except RuntimeError as error:
            if "DefaultCPUAllocator" in str(error):
                raise MemoryError(_first_line(error)) from None
            raise


def _device(name: str) -> torch.device:
    """Return the device of a name.

    Raises:
        ValueError: if it is unknown or not there.
    """
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if there[kind]))
    if name not in there:
        raise ValueError(f"device={name!r} is unknown; there is {', '.join(DEVICES)}")
    if not there[name]:
        raise ValueError(f"device={name}: this machine has none that torch can use; 'auto' and 'cpu' always work")
    return torch.device(name)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
