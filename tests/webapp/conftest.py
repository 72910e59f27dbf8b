"""A page with a tiny network of random weights, on a port of this machine that is free."""

import gc
import os
import socket
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from app_page import TINY, free_port
from omegaconf import OmegaConf
from PIL import Image
from safetensors.torch import save_file

from deblur_lit.app.command import serving
from deblur_lit.app.restoring import Limits, Restorer
from deblur_lit.networks.loading import load_network
from deblur_lit.nodes import network_config
from deblur_lit.pretrained import load_folder

os.environ["GRADIO_HEARTBEAT_INTERVAL"] = "0.2"  # seconds: so soon a page that is left is noticed
OVERRIDES = ["channels=4", "num_blocks=1"]


@pytest.fixture(scope="module", autouse=True)
def collected() -> Iterator[None]:
    """Collect the sockets and event loops that Gradio leaves, or a later test is blamed for them."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the network; it changes pixels little, so that no tile falls back."""
    folder = tmp_path_factory.mktemp("weights")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = load_network("unet", overrides=OVERRIDES)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(0.3)
        save_file(network.state_dict(), folder / "model.safetensors")
    OmegaConf.save(network_config("unet", OVERRIDES).network, folder / "config.yaml")
    return folder


@pytest.fixture(scope="session")
def restorer(weights: Path) -> Restorer:
    """Takes up to 0.2 megapixels and 1 MB."""
    return Restorer({TINY: load_folder(weights)}, Limits(200_000, 2**20), "cpu")


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[list[Any]]:
    """Addresses other than this machine's that were connected to or looked up since."""
    asked: list[Any] = []
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def watched(one: socket.socket, address: Any) -> None:
        if one.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "127.0.0.2", "::1", "localhost"):
            asked.append(address)
        connect(one, address)

    def watched_look_up(host: Any, *rest: Any, **named: Any) -> Any:
        if host not in ("127.0.0.1", b"127.0.0.1", "127.0.0.2", "localhost", b"localhost", None):
            asked.append(host)
        return look_up(host, *rest, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", watched)
        patch.setattr(socket, "getaddrinfo", watched_look_up)
        yield asked


@pytest.fixture(scope="module")
def page(
    restorer: Restorer, elsewhere: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """The address of the page, and the folder in which it keeps files."""
    scratch = tmp_path_factory.mktemp("scratch")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(scratch))
        with serving(restorer, port=free_port()) as url:
            yield url, scratch
    assert list(scratch.glob("deblur-lit-app*")) == []  # others are of the clients
    assert elsewhere == []


@pytest.fixture(scope="session")
def blurred(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a photograph with texture, under a name of its own."""
    folder = tmp_path_factory.mktemp("photographs")

    def make(name: str = "lake.png", height: int = 60, width: int = 80, **options: Any) -> Path:
        draw = np.random.default_rng(len(name))
        pixels = np.kron(draw.integers(60, 200, (height // 4, width // 4, 3)), np.ones((4, 4, 1))).astype(np.uint8)
        path = folder / name
        Image.fromarray(pixels).save(path, **options)
        return path

    return make
