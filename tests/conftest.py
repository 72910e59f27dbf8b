"""Fixtures and options that several test files share."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests share the cores among processes
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # or its import asks for a newer version
os.environ["HF_HUB_OFFLINE"] = "1"  # or Gradio's client looks its host up

REPO = Path(__file__).resolve().parents[1]
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


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


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One window with a profile of its own."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is not installed; on Debian: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright drives Chromium")
    with playwright.sync_playwright() as driver:
        window = driver.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("profile"),
            executable_path=chromium,
            headless=True,
            args=FLAGS.split(),
            viewport={"width": 1000, "height": 800},
        )
        yield window
        window.close()
