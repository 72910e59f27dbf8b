"""The page in a real browser: Debian's Chromium, driven through its debugging protocol."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from figure_data import FRAMES, pair, read

from deblur_lit.data.named import data_config, open_split
from deblur_lit.figure.page import Cases, page
from deblur_lit.figure.systems import System

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def html(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of two systems; values are such that every column has an order of its own."""
    pairs = open_split(data_config("gopro", root), "test")
    folder = tmp_path_factory.mktemp("page")
    values = {"One": (21.0, 24.0, 22.0, 23.0), "Two": (31.0, 29.0, float("inf"), 28.5)}
    systems = []
    for label, psnr in values.items():
        rows = {
            name: {"psnr_float": value, "ssim_uniform7_rgb": value / 100, "psnr_float of blur": 20.0}
            for name, value in zip(FRAMES, psnr, strict=True)
        }
        systems.append(System(label, folder / label, "psnr_float", rows, f"{label}, no network"))
    for index, name in enumerate(FRAMES):
        for system, side in zip(systems, (0, 1), strict=True):
            path = system.picture(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(pairs.pairs[index][2 + side], path)
    file = folder / "page.html"
    file.write_text(page("GoPro test", pairs, systems, Cases.of(systems[1], [FRAMES[1]], 1)), encoding="utf-8")
    return file


@pytest.fixture
def tab(browser: Any, html: Path) -> Iterator[Any]:
    """The page as loaded. Afterwards, whatever was done: no error and no request beyond the page itself."""
    tab = browser.new_page()
    errors: list[str] = []
    requests: list[str] = []
    tab.on("console", lambda message: errors.append(message.text))
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("request", lambda request: requests.append(request.url))
    tab.goto(html.as_uri())
    yield tab
    tab.close()
    assert errors == []
    assert [url for url in requests if not url.startswith("data:")] == [html.as_uri()]


def divider(tab: Any) -> float:
    return float(tab.locator("#divider").input_value())


def first_column(tab: Any) -> list[str]:
    """Names in the table from the top, without the means."""
    names: list[str] = tab.locator("tbody tr:not(.mean) th").all_inner_texts()
    return names


def test_both_pictures_are_shown_and_named(tab: Any) -> None:
    for side in ("#over", "#under"):
        assert tab.locator(side).evaluate("image => image.decode().then(() => image.naturalWidth)") == 48
    assert tab.locator("#left-tag").inner_text() == "Blurred, 20.00 dB"
    assert tab.locator("#right-tag").inner_text() == "Two, 29.00 dB"
    assert tab.locator("#image").input_value() == FRAMES[1]


def test_the_mouse_drags_the_divider(tab: Any) -> None:
    box = tab.locator("#stage").bounding_box()
    y = box["y"] + box["height"] / 3
    tab.mouse.move(box["x"] + box["width"] / 2, y)
    tab.mouse.down()
    for share in (0.4, 0.25):
        tab.mouse.move(box["x"] + share * box["width"], y)
        assert divider(tab) == pytest.approx(100 * share, abs=0.5)
    tab.mouse.up()
    line = tab.locator(".line").bounding_box()
    assert line["x"] + line["width"] / 2 - box["x"] == pytest.approx(divider(tab) / 100 * box["width"], abs=1)


def test_the_keyboard_moves_the_divider(tab: Any) -> None:
    tab.locator("#right").focus()
    for _ in range(2):  # over the menu of sizes
        tab.keyboard.press("Tab")
    if tab.evaluate("document.activeElement.id") != "divider":  # browsers make a scrolled region a stop of its own
        tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.id") == "divider"
    for key, value in (("ArrowRight", 51), ("ArrowUp", 52), ("ArrowLeft", 51), ("Shift+ArrowLeft", 41), ("PageUp", 51)):
        tab.keyboard.press(key)
        assert divider(tab) == value
    tab.keyboard.press("Home")
    assert divider(tab) == 0
    tab.keyboard.press("End")
    assert divider(tab) == 100
    assert tab.locator("#divider").get_attribute("aria-valuetext") == "100 % Blurred, the rest Two"


def test_menus_choose_any_two_pictures(tab: Any) -> None:
    tab.select_option("#left", "Sharp")
    tab.select_option("#right", "One")
    assert tab.locator("#left-tag").inner_text() == "Sharp"
    assert tab.locator("#right-tag").inner_text() == "One, 24.00 dB"
    assert tab.locator("#over").get_attribute("alt") == f"Sharp: {FRAMES[1]}"


def test_on_each_side_of_the_divider_are_the_pixels_of_its_picture(tab: Any, root: Path, tmp_path: Path) -> None:
    tab.select_option("#size", "4")
    tab.select_option("#left", "Sharp")
    tab.select_option("#right", "Blurred")
    plain = ".tag, .line { display: none } .window { position: fixed; top: 0; left: 0; border-radius: 0 }"
    tab.add_style_tag(content=plain)
    for side in ("#over", "#under"):
        tab.locator(side).evaluate("image => image.decode()")
    tab.locator("#stage").screenshot(path=tmp_path / "stage.png")
    shown = read(tmp_path / "stage.png")[..., :3]
    blur, sharp = (image.repeat(4, axis=0).repeat(4, axis=1) for image in pair(root, FRAMES[1]))
    assert np.array_equal(shown[:, :95], sharp[:, :95])
    assert np.array_equal(shown[:, 97:], blur[:, 97:])


def test_a_heading_sorts_and_sorts_back(tab: Any) -> None:
    assert first_column(tab) == FRAMES
    tab.get_by_role("button", name="One").click()
    assert first_column(tab) == [FRAMES[index] for index in (0, 2, 3, 1)]
    assert tab.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"
    tab.keyboard.press("Enter")  # the heading keeps the focus
    assert first_column(tab) == [FRAMES[index] for index in (1, 3, 2, 0)]
    assert tab.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"
    tab.get_by_role("button", name="Two", exact=False).first.click()
    assert first_column(tab) == [FRAMES[index] for index in (3, 1, 0, 2)]
    assert tab.locator("tbody tr").last.locator("td").all_inner_texts() == ["20.00", "22.00", "∞", "∞"]
    tab.get_by_role("button", name="image").click()
    assert first_column(tab) == FRAMES


def test_every_protocol_is_in_the_table(tab: Any) -> None:
    tab.select_option("#protocol", "ssim_uniform7_rgb")
    assert tab.locator("thead button").all_inner_texts() == ["image", "One", "Two"]
    assert tab.locator("tr.mean td").all_inner_texts() == ["0.2250", "∞"]
    tab.select_option("#protocol", "all")
    assert tab.locator("thead button small").all_inner_texts() == ["psnr_float"] * 3 + ["ssim_uniform7_rgb"] * 2


def test_worst_and_best_are_links(tab: Any) -> None:
    from playwright.sync_api import expect  # waits: the page follows its address a moment later

    lines = tab.locator("#cases p").all_inner_texts()
    assert [line.split(":")[0] for line in lines] == ["In the figure", "Smallest gain of Two", "Largest gain of Two"]
    first = tab.locator("#right-tag").inner_text()
    tab.locator("#cases a", has_text=f"{FRAMES[3]} (+8.50)").click()
    expect(tab.locator("#right-tag")).to_have_text("Two, 28.50 dB")
    assert tab.locator("#image").input_value() == FRAMES[3]
    tab.go_back()
    expect(tab.locator("#right-tag")).to_have_text(first)
    tab.locator("tbody a", has_text=FRAMES[2]).click()
    expect(tab.locator("#right-tag")).to_have_text("Two, ∞ dB")
    assert tab.locator("tbody a").all_inner_texts() == [FRAMES[1], FRAMES[2], FRAMES[3]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1000])
def test_the_page_fits_and_is_not_blank(tab: Any, scheme: str, width: int, tmp_path: Path) -> None:
    tab.set_viewport_size({"width": width, "height": 800})
    tab.emulate_media(color_scheme=scheme)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    tab.screenshot(path=tmp_path / "page.png", full_page=True)
    shot = read(tmp_path / "page.png")[..., :3]
    assert shot.shape[1] == width
    assert (shot[2, 2].mean() > 128) == (scheme == "light")
    assert len(np.unique(shot.reshape(-1, 3), axis=0)) > 200
