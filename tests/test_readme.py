"""What the README promises: its example works, its links and commands exist."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
import yaml

from deblur_lit.config import build, compose, groups, stems
from deblur_lit.networks.mimo_unet import MIMOUNet

REPO = Path(__file__).resolve().parents[1]
README = (REPO / "README.md").read_text(encoding="utf-8")


def block(language: str, containing: str) -> str:
    found = [text for text in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if containing in text]
    assert len(found) == 1
    return found[0]


def test_the_new_block_fills_the_slot_and_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    source = block("python", "class GatedBlock")
    assert len(source.splitlines()) <= 30
    module = ModuleType("deblur_lit.networks.gated")
    exec(source, module.__dict__)
    monkeypatch.setitem(sys.modules, "deblur_lit.networks.gated", module)
    monkeypatch.setattr("deblur_lit.networks.gated", module, raising=False)
    row = yaml.safe_load(block("yaml", "GatedBlock"))
    torch.manual_seed(0)  # a unit may start out dead
    cfg = compose("train", ["network.channels=4", "network.num_blocks=1"])
    network = build({**cfg.network, "block": row["network"]["block"]})
    assert isinstance(network, MIMOUNet)
    network(torch.rand(1, 3, 9, 7)).full.sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.encode.parameters())


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\[[^\]]*\]\(([^)#]+)\)", README))))
def test_every_link_leads_somewhere(target: str) -> None:
    assert (REPO / target).exists()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:^|`)make ([a-z][a-z0-9-]+)", README, re.MULTILINE))))
def test_every_make_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (REPO / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    "group", ["network", "ablation", "loss", "data", "trainer", "callbacks", "logger", "experiment"]
)
def test_every_choice_is_named(group: str) -> None:
    assert group in groups()
    hidden = {"default"} if group == "trainer" else set()  # the base of the others
    assert [choice for choice in stems(group) if choice not in hidden and f"`{choice}`" not in README] == []
