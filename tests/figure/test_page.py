"""The page: everything is in it, nothing is fetched, and its values are those of the tables."""

import base64
import io
import json
import math
import re
import shutil
import subprocess
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from figure_data import FRAMES, Evaluate, pair, read, table
from PIL import Image

from deblur_lit.data.named import data_config, open_split
from deblur_lit.figure.page import SCRIPT, Cases, page
from deblur_lit.figure.systems import System, open_systems

EVIL = "</script><b>&"


@pytest.fixture
def systems(evaluation: Evaluate) -> list[System]:
    return open_systems([f"{EVIL}={evaluation('one', 0.5)}", str(evaluation("two", 0.8))], "gopro")


@pytest.fixture
def text(root: Path, systems: list[System]) -> str:
    pairs = open_split(data_config("gopro", root), "test")
    return page("GoPro <test>", pairs, systems, Cases.of(systems[1], [FRAMES[1]], 1))


class Elements(HTMLParser):
    """Collects start tags, and the text of each element by its id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open.append(dict(attrs).get("id") or tag)

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[self._open[-1]] = self.texts.get(self._open[-1], "") + data

    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.texts["data"].split("\n")[0])
        return found


def test_nothing_outside_of_the_page_is_named(text: str) -> None:
    assert not re.findall(r"(?i)https?:|//[a-z]", re.sub(r"base64,[\w+/=]+", "", text))
    for _, attributes in Elements(text).tags:
        assert all((attributes.get(name) or "data:").startswith("data:") for name in ("src", "href", "srcset"))
    assert "@import" not in text
    assert "url(" not in text
    assert "default-src 'none'; img-src data:;" in text


def test_pictures_are_without_loss(text: str, root: Path, systems: list[System]) -> None:
    pictures = Elements(text).data()["pictures"]
    for name, by_label in pictures.items():
        assert list(by_label) == ["Blurred", "Sharp", EVIL, "two"]
        expected = [*pair(root, name), *(read(system.picture(name)) for system in systems)]
        for uri, pixels in zip(by_label.values(), expected, strict=True):
            kind, content = uri.split(",")
            assert kind == "data:image/webp;base64"
            assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))), pixels)


def test_pictures_are_of_the_chosen_the_worst_and_the_best_and_the_page_says_so(
    text: str, systems: list[System]
) -> None:
    data = Elements(text).data()
    by_gain = sorted(FRAMES, key=systems[1].gain)
    assert data["cases"] == {"shown": [FRAMES[1]], "worst": by_gain[:1], "best": by_gain[-1:]}
    assert set(data["pictures"]) == {FRAMES[1], by_gain[0], by_gain[-1]}
    assert f"pictures are here of {len(data['pictures'])} of the 4: those of the figure" in text


def test_the_table_has_every_value_of_every_system(text: str, systems: list[System]) -> None:
    data = Elements(text).data()
    assert data["images"] == FRAMES
    columns = {(column["label"], column["protocol"]): column["values"] for column in data["columns"]}
    for system in systems:
        rows = table(system.folder)
        for protocol in data["protocols"]:
            assert columns[system.label, protocol] == [float(rows[name][protocol]) for name in FRAMES]
    blurred = [protocol for label, protocol in columns if label == "Blurred"]
    assert blurred == ["psnr_uint8", "ssim_matlab_volume"]
    assert columns["Blurred", "psnr_uint8"] == [systems[0].psnr_blurred(name) for name in FRAMES]
    assert data["protocols"]["psnr_uint8"]["unit"] == "dB"
    assert data["shown"] == "psnr_uint8"
    assert data["last"] == "two"


def test_an_infinite_psnr_is_kept(root: Path, evaluation: Evaluate) -> None:
    systems = open_systems([str(evaluation("perfect", 1.0))], "gopro")
    pairs = open_split(data_config("gopro", root), "test")
    data = Elements(page("x", pairs, systems, Cases.of(systems[0], [], 1))).data()
    [values] = [column["values"] for column in data["columns"] if column["protocol"] == "psnr_uint8"][1:]
    assert values == ["Infinity"] * 4
    assert all(math.isinf(systems[0].psnr(name)) for name in FRAMES)


def test_titles_and_labels_cannot_break_the_page(text: str) -> None:
    elements = Elements(text)
    assert [tag for tag, _ in elements.tags].count("script") == 2
    assert elements.texts["title"].startswith("GoPro <test>")
    assert EVIL not in text
    assert "<b>&lt;/script&gt;" in text


def test_the_script_is_valid() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: apt-get install nodejs")
    done = subprocess.run([node, "--check", str(files("deblur_lit.figure") / SCRIPT)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_worst_and_best_are_both_there_once(systems: list[System]) -> None:
    cases = Cases.of(systems[1], [FRAMES[0]], 3)
    assert sorted(cases.names) == FRAMES
    assert cases.worst == sorted(FRAMES, key=systems[1].gain)[:3]
    assert cases.best == sorted(FRAMES, key=systems[1].gain)[:0:-1]
