"""Every network and ablation YAML as ONNX and as a program: equal to PyTorch at three sizes, or in the list of those
that cannot be."""

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from deblur_lit.config import compose, stems
from deblur_lit.export import writing
from deblur_lit.export.source import Source
from deblur_lit.networks.loading import load_network, network_names
from deblur_lit.nodes import network_config

WITHOUT = {"svrnn": "it works at some sizes only"}  # its recurrence is unrolled to the length of the image
pytestmark = pytest.mark.long


@pytest.fixture
def source(name: str) -> Source:
    """The network, reduced as conf/experiment/mini says."""
    group = "ablation" if name in stems("ablation") else "network"
    reduced = compose("train", [f"{group}={name}", "experiment=mini"]).network
    full = network_config(name).network
    overrides = [f"{key}={reduced[key]}" for key in full if reduced[key] != full[key]]
    torch.manual_seed(0)
    node = OmegaConf.to_container(network_config(name, overrides).network, resolve=True)
    assert isinstance(node, dict)
    return Source(load_network(name, overrides=overrides), {str(key): value for key, value in node.items()}, name)


@pytest.mark.parametrize("kind", [writing.to_onnx, writing.to_program])
@pytest.mark.parametrize("name", network_names())
def test_it_equals_pytorch_or_says_why_not(name: str, kind: object, source: Source, tmp_path: Path) -> None:
    assert callable(kind)
    if name in WITHOUT:
        with pytest.raises(ValueError, match=WITHOUT[name]):
            kind(source, False, tmp_path / "out")
        assert not list(tmp_path.iterdir())
    else:
        assert "PyTorch differs by at most" in kind(source, False, tmp_path / "out")
