"""Fixtures and options that several test files share."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests share the cores among processes
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # or its import asks for a newer version

REPO = Path(__file__).resolve().parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `make check-network NAME=x` choose one network, at full size, and the README's screenshot be made again."""
    parser.addoption("--network", help="run the network contract on this one alone, at full size")
    parser.addoption("--screenshot", help="write a screenshot of the app with a test picture of mini to this PNG")
    parser.addoption("--weights", help="folder of the network in that screenshot; default: the one of the package")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference outputs beside the checkout; tests that need it skip where it is absent."""
    folder = REPO.parent / "shared"
    if not (folder / "goldens").is_dir():
        pytest.skip(f"reference outputs are not here: {folder}")
    return folder
