"""How far a pixel sees to any effect, and how much memory a tile takes."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deblur_lit.networks.blocks import DeblurNetwork
from deblur_lit.networks.loading import load_network
from deblur_lit.networks.receptive_field import margin
from deblur_lit.predict.peak import peak_bytes
from deblur_lit.predict.reach import LEAST, MOST, reach
from deblur_lit.predict.torch_backend import TorchBackend
from deblur_lit.tensors import Pyramid


class Fading(DeblurNetwork):
    """A wide kernel that fades by half with each pixel."""

    def __init__(self, width: int = 31, base: float = 0.5) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, width, padding=width // 2, groups=3, bias=False)
        away = (torch.arange(width) - width // 2).abs()
        kernel = base ** (away[:, None] + away).float()
        self.conv.weight.data[:] = kernel / kernel.sum()

    def restore(self, blur: Tensor) -> Pyramid:
        return Pyramid(self.conv(blur))


class FirstColumn(DeblurNetwork):
    """Adds the first column to all."""

    def restore(self, blur: Tensor) -> Pyramid:
        return Pyramid(blur + blur[..., :1])


def test_what_has_no_effect_does_not_count() -> None:
    backend = TorchBackend(Fading(), "cpu")
    assert backend.needs.margin == 15
    image = np.random.default_rng(0).random((80, 300, 3), np.float32)
    found = reach(backend, image, None)
    assert found == LEAST
    wide = reach(TorchBackend(Fading(width=101, base=0.93), "cpu"), image, None)
    assert LEAST < wide < 1.25 * 50 + 2
    assert found == reach(backend, image.swapaxes(0, 1), None)


def test_an_effect_that_does_not_end_gives_the_most() -> None:
    image = np.random.default_rng(0).random((70, 2000, 3), np.float32)
    assert reach(TorchBackend(FirstColumn(), "cpu"), image, None) == MOST


def test_a_margin_is_half_the_field_and_pools_do_not_count() -> None:
    small = ["channels=4", "num_blocks=1"]
    with torch.no_grad():
        unet, fused = (margin(load_network(name, overrides=small)) for name in ("unet", "dffm"))
    assert unet is not None
    assert fused is not None
    assert unet <= fused <= unet + 16


def test_bytes_that_are_held_at_once_are_counted() -> None:
    def chain() -> None:
        tensor = torch.zeros(1000)
        for _ in range(10):
            tensor = tensor + 1  # the one before is let go

    assert peak_bytes(chain, torch.device("cpu")) == 2 * 4000
    assert peak_bytes(lambda: [torch.zeros(1000) for _ in range(5)], torch.device("cpu")) == 5 * 4000
    assert peak_bytes(lambda: torch.zeros(10, 100).view(1000).t(), torch.device("cpu")) == 4000


PROGRAM = """
import json, sys
import numpy as np, torch
from deblur_lit import load_network
from deblur_lit.predict.deblurrer import Deblurrer
from deblur_lit.predict.memory import resident
torch.set_num_threads(1)
def most():
    lines = open("/proc/self/status").read().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
name, *words = sys.argv[1:]
image = np.random.default_rng(0).integers(0, 256, (900, 1000, 3), dtype=np.uint8)
deblurrer = Deblurrer(load_network(name, overrides=words), device="cpu")
deblurrer.backend.pixels(10**9, 0)
before, budget = resident(), resident() + 150 * 2**20
deblurrer.memory = budget
note = deblurrer.restore(image).note
print(json.dumps({"note": note, "before": before, "budget": budget, "peak": most()}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.parametrize("words", [["unet", "channels=8", "num_blocks=1"], ["msrm", "channels=4", "num_blocks=1"]])
def test_a_stated_memory_is_kept_and_used(words: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    assert "tiles of" in said["note"]
    room = said["budget"] - said["before"]
    assert said["peak"] <= said["budget"]
    assert said["peak"] - said["before"] >= 0.4 * room
