"""What the LightningModule runs through torch.compile."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from deblur_lit.config import build, compose


def test_training_is_compiled_and_validation_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, torch.Size]] = []

    def recorder(function: Callable[[torch.Tensor], Any], mode: str) -> Callable[[torch.Tensor], Any]:
        def call(blur: torch.Tensor) -> Any:
            calls.append((mode, blur.shape))
            return function(blur)

        return call

    monkeypatch.setattr(torch, "compile", recorder)
    small = ["network.channels=4", "network.num_blocks=1"]
    module = build(compose("train", [*small, "module.compile=reduce-overhead"]).module)
    plain = build(compose("train", small).module)
    plain.load_state_dict(module.state_dict())
    pixels = np.random.default_rng(0).integers(0, 256, (2, 2, 3, 16, 16), dtype=np.uint8)
    blur, sharp = torch.from_numpy(pixels)
    batch = {"blur": blur, "sharp": sharp, "name": ["a", "b"]}
    for one in (module, plain):
        monkeypatch.setattr(one, "log", lambda *words, **options: None)
        monkeypatch.setattr(one, "log_dict", lambda *words, **options: None)
    assert torch.equal(module.training_step(batch, 0), plain.training_step(batch, 0))
    assert calls == [("reduce-overhead", (2, 3, 16, 16))]
    assert torch.equal(module.validation_step(batch, 0), plain.validation_step(batch, 0))
    assert len(calls) == 1


def test_a_mode_that_is_none_is_named() -> None:
    small = ["network.channels=4", "network.num_blocks=1"]
    with pytest.raises(ValueError, match=r"module\.compile=fast: .*reduce-overhead"):
        build(compose("train", [*small, "module.compile=fast"]).module)
