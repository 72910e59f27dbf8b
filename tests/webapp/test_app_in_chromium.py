"""The app in a real browser: Debian's Chromium, driven through its debugging protocol."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from app_page import TINY, free_port
from PIL import Image

from deblur_lit.app.command import SHIPPED_NAME, serving
from deblur_lit.app.restoring import Limits, Restorer
from deblur_lit.data.named import data_config, open_split
from deblur_lit.predict.deblurrer import Deblurrer
from deblur_lit.pretrained import SHIPPED, load_folder

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Gradio leaves sockets to the collector
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Gradio 6.31 against pandas 3
]
MOST_BYTES = 300_000  # of the screenshot, which is part of the repository
PICTURE = "motorcycle/000001"  # of mini's test split
Make = Callable[..., Path]


class Tab:
    """The app in a tab of the browser."""

    def __init__(self, browser: Any, url: str) -> None:
        self.tab = browser.new_page()
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.tab.on("pageerror", lambda error: self.errors.append(str(error)))
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.goto(url)
        self.tab.wait_for_selector("#file")

    def drop(self, path: Path) -> None:
        self.tab.set_input_files("#file input[type=file]", str(path))

    def deblur(self) -> None:
        self.tab.locator("#go:enabled").click()
        for image in (self.tab.locator("#pair img").first, self.tab.locator("#pair img").last):
            image.evaluate("image => image.decode()")
        self.tab.wait_for_selector("#download")

    def close(self) -> None:
        self.tab.close()


@pytest.fixture
def tab(browser: Any, page: tuple[str, Path]) -> Iterator[Tab]:
    """The app as loaded. Afterwards, whatever was done: no error and no request to anywhere else."""
    made = Tab(browser, page[0])
    yield made
    made.close()
    assert made.errors == []
    assert [url for url in made.requests if not url.startswith((page[0], "data:", "blob:"))] == []


def test_a_photograph_is_dropped_restored_and_downloaded(
    tab: Tab, restorer: Restorer, blurred: Make, tmp_path: Path
) -> None:
    path = blurred("harbour.png", 120, 160)
    tab.drop(path)
    given = tab.tab.locator("#given img")
    assert given.evaluate("image => image.decode().then(() => image.naturalWidth)") == 160
    assert "harbour.png: 160 × 120 pixels" in tab.tab.locator("#said").inner_text()
    tab.deblur()
    assert "harbour.deblurred.png" in tab.tab.locator("#said").inner_text()
    with tab.tab.expect_download() as download:
        tab.tab.click("#download")
    assert download.value.suggested_filename == "harbour.deblurred.png"
    download.value.save_as(tmp_path / "saved.png")
    expected = Deblurrer(restorer.networks[TINY], device="cpu")(np.asarray(Image.open(path)))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "saved.png")), expected)


def test_the_divider_is_dragged_and_the_wheel_zooms(tab: Tab, blurred: Make) -> None:
    tab.drop(blurred("harbour.png", 120, 160))
    tab.deblur()
    after, divider = tab.tab.locator("#pair img").last, tab.tab.locator("#pair [data-testid=slider]")
    box, handle = after.bounding_box(), divider.locator(".icon-wrap").bounding_box()
    assert "50%" in after.get_attribute("style")
    tab.tab.mouse.move(handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2)
    tab.tab.mouse.down()
    tab.tab.mouse.move(box["x"] + box["width"] / 4, handle["y"] + handle["height"] / 2, steps=4)
    tab.tab.mouse.up()
    tab.tab.wait_for_function(
        "Math.abs(parseFloat(document.querySelectorAll('#pair img')[1].style.clipPath.split(' ').pop()) - 25) < 1"
    )
    tab.tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tab.tab.mouse.wheel(0, -400)
    wider = "width => document.querySelector('#pair img').getBoundingClientRect().width > width"
    tab.tab.wait_for_function(wider, arg=box["width"])


def test_a_mistake_is_said_and_the_picture_before_it_is_gone(tab: Tab, blurred: Make, tmp_path: Path) -> None:
    tab.drop(blurred("harbour.png", 120, 160))
    tab.tab.wait_for_selector("#given img")
    tab.tab.get_by_label("Clear").first.click()
    tab.tab.wait_for_selector("#given", state="detached")
    (tmp_path / "half.jpg").write_bytes(b"\xff\xd8\xff\xe0 half")
    tab.drop(tmp_path / "half.jpg")
    tab.tab.get_by_text("half.jpg: truncated or damaged JPEG").wait_for()
    assert tab.tab.locator("#go").is_disabled()
    assert tab.tab.locator("#pair").count() == 0


def test_files_go_when_the_tab_is_closed(browser: Any, page: tuple[str, Path], blurred: Make) -> None:
    def kept() -> list[str]:
        return [file.name for file in page[1].glob("deblur-lit-app*/**/gone*") if file.is_file()]

    one, other = Tab(browser, page[0]), Tab(browser, page[0])
    one.drop(blurred("gone.png"))
    one.deblur()
    assert sorted(kept()) == ["gone.deblurred.png", "gone.png"]
    one.close()
    for _ in range(200):
        if not kept():
            break
        other.tab.wait_for_timeout(50)
    assert kept() == []
    other.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1000])
def test_the_page_fits_and_is_not_blank(tab: Tab, blurred: Make, scheme: str, width: int, tmp_path: Path) -> None:
    tab.tab.set_viewport_size({"width": width, "height": 800})
    tab.tab.goto(f"{tab.tab.url.split('?')[0]}?__theme={scheme}")
    tab.drop(blurred("harbour.png", 120, 160))
    tab.deblur()
    assert tab.tab.evaluate("document.documentElement.scrollWidth") <= width
    tab.tab.screenshot(path=tmp_path / "page.png", full_page=True)
    shot = np.asarray(Image.open(tmp_path / "page.png").convert("RGB"))
    assert shot.shape[1] == width
    assert (shot[2, 2].mean() > 128) == (scheme == "light")
    assert len(np.unique(shot.reshape(-1, 3), axis=0)) > 200


def test_screenshot(browser: Any, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    target = request.config.getoption("--screenshot")
    if target is None:
        pytest.skip("made on request: --screenshot FILE")
    given = request.config.getoption("--weights")
    network = load_folder(given or SHIPPED)
    name = Path(given).name if given else SHIPPED_NAME
    picture = tmp_path / "motorcycle.png"
    shutil.copy(
        next(blur for frame, _, blur, _ in open_split(data_config("mini"), "test").pairs if frame == PICTURE), picture
    )
    restorer = Restorer({name: network}, Limits(50_000_000, 100 * 2**20), "cpu")
    with serving(restorer, port=free_port()) as url:
        tab = Tab(browser, url)
        tab.tab.set_viewport_size({"width": 810, "height": 600})
        tab.drop(picture)
        tab.deblur()
        tab.tab.mouse.move(1, 1)
        tab.tab.wait_for_timeout(500)  # until buttons have their colour again
        tab.tab.screenshot(path=target, full_page=True)
        tab.close()
    Image.open(target).convert("RGB").save(target, optimize=True)
    assert Path(target).stat().st_size < MOST_BYTES
