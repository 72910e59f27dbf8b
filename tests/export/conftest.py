"""A tiny network of the paper's kind, whose tiles share means, and its ONNX file."""

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import save_file

from deblur_lit.export.command import main
from deblur_lit.networks.loading import load_network
from deblur_lit.nodes import network_config


def save_folder(folder: Path, name: str, *overrides: str) -> Path:
    """A folder with a network of random weights that changes an image a little."""
    folder.mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        weights = load_network(name, overrides=overrides).state_dict()
    weights["leave.0.weight"] *= 0.2
    weights["leave.0.bias"] *= 0.1
    save_file(weights, folder / "model.safetensors")
    OmegaConf.save(network_config(name, overrides).network, folder / "config.yaml")
    return folder


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_folder(tmp_path_factory.mktemp("networks") / "tiny", "dffm_msrm", "channels=4", "num_blocks=1")


@pytest.fixture(scope="session")
def onnx_file(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its weights in float16; written once, since torch's exporter takes its time."""
    path = tmp_path_factory.mktemp("onnx") / "tiny.onnx"
    assert main([str(folder), "--format", "onnx", "--half", "-o", str(path)]) == 0
    return path
