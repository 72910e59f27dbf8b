"""How long a network takes for one image."""

import statistics
import time
from typing import Any

import torch

from deblur_lit.networks.loading import load_network

WARM_UP = 2  # runs before the clock counts
RUNS = 10


def choose_device(name: str | None = None) -> torch.device:
    """Return the device of that name, or by default a GPU where there is one.

    Raises:
        ValueError: if there is no such device.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built for a GPU
        reason = str(error).partition("\n")[0]
        raise ValueError(f"--device {name}: torch cannot use it ({reason}); cpu always works") from None
    return device


def measure_latency(name: str, size: tuple[int, int], device: torch.device) -> dict[str, Any]:
    """Time a network with random weights on a random image: float32, not compiled, warm, waiting for the device.

    Args:
        name: a stem of conf/network or conf/ablation.
        size: (height, width) of the image in pixels.
        device: where it runs.

    Returns:
        Median and quartiles of the runs in milliseconds, with their number, the size and the device.

    Raises:
        ValueError: if the size is none, or the memory of the device is too small for it.
    """
    if min(size) < 1:
        raise ValueError(f"--size {size[0]} {size[1]}: height and width must be at least 1")
    seconds: list[float] = []
    try:
        network, image = load_network(name).to(device), torch.rand(1, 3, *size, device=device)
        with torch.inference_mode():
            for _ in range(WARM_UP + RUNS):
                _wait_for(device)
                start = time.perf_counter()
                network(image)
                _wait_for(device)
                seconds.append(time.perf_counter() - start)
    except torch.OutOfMemoryError:
        raise ValueError(f"{name}: an image of {size[0]}x{size[1]} is too large for the memory of {device}") from None
    first, median, third = statistics.quantiles(seconds[WARM_UP:], n=4, method="inclusive")
    return {
        "median_ms": 1000 * median,
        "quartiles_ms": [1000 * first, 1000 * third],
        "runs": RUNS,
        "size": list(size),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "threads": torch.get_num_threads(),
    }


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
