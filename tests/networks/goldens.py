"""Outputs of the systems' published code on deterministic weights, for the tests of the networks."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor


class Golden(NamedTuple):
    """What is recorded of one published network: its facts, its arrays, and the rule of its weights."""

    facts: dict[str, Any]
    arrays: Any  # of the npz, by name
    rule: ModuleType

    def weights(self, variant: str = "out", keep: tuple[str, ...] = ()) -> dict[str, Tensor]:
        """Return the published state_dict of a variant of the outputs, `out` or `tame_out`, checked by its hash.

        `keep` lists prefixes of keys that the variant does not draw.
        """
        gain = self.facts["tame_gain"] if variant.startswith("tame") else 1.0
        state, digest = self.rule.build_state(self.facts, gain=gain, keep=keep)
        assert digest == self.facts["weights_sha256"][variant]
        return {key: torch.from_numpy(value) for key, value in state.items()}

    def image(self) -> Tensor:
        """Return the input, (1, 3, H, W) in [0, 1]."""
        return torch.from_numpy(self.arrays["input"])

    def error(self, output: Tensor, name: str) -> float:
        """Return the largest difference from a recorded array, relative to that array's largest value."""
        return float(self.rule.rel_err(output, self.arrays[name]))


def open_golden(shared: Path, name: str) -> Golden:
    """Open goldens/networks/<name>.{json,npz}."""
    spec = importlib.util.spec_from_file_location("golden_rule", shared / "goldens" / "golden_rule.py")
    assert spec is not None
    assert spec.loader is not None
    rule = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rule)
    facts = json.loads((shared / f"goldens/networks/{name}.json").read_text())
    return Golden(facts, np.load(shared / f"goldens/networks/{name}.npz"), rule)
