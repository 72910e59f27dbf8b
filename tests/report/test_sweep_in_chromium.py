"""The page of a sweep in a real browser, opened as a file."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sweep_store import Sweep

from deblur_lit.report.sweep import page as page_module
from deblur_lit.report.sweep.watch import write_page

pytestmark = pytest.mark.browser
ROWS = ("baseline", "dffm", "msrm")
CURVES = "[data-name='val/psnr'] .curve"


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    """Three rows: two finished with two seeds, one running."""
    sweep = Sweep(tmp_path / "runs")
    for number, row in enumerate(ROWS):
        for seed in (0, 1):
            sweep.learn(row, seed, 400 if row != "msrm" else 200, 3 + 0.3 * number)
            sweep.say(row, seed, "$ python -m deblur_lit.train", "step 200/400 | 32.5 images/s | 0:01:09 left")
            if row != "msrm":
                sweep.finish(row, seed, 29.0 + number)
        sweep.picture(row)
    return sweep


def finish(sweep: Sweep) -> None:
    for seed in (0, 1):
        sweep.finish("msrm", seed, 31.0)


@pytest.fixture
def open_page(browser: Any, sweep: Sweep, tmp_path: Path) -> Iterator[Callable[[], Any]]:
    """Write and open the page. Afterwards: no error, no request beyond the page itself, and what was seen is kept."""
    tab = browser.new_page()
    tab.set_viewport_size({"width": 1000, "height": 800})
    errors: list[str] = []
    requests: list[str] = []
    tab.on("console", lambda message: errors.append(message.text))
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("request", lambda request: requests.append(request.url))

    def open_page() -> Any:
        tab.goto(write_page(sweep.root)[0].as_uri())
        return tab

    yield open_page
    tab.close()
    assert errors == []
    assert {url for url in requests if not url.startswith("data:")} == {(sweep.root / "report.html").as_uri()}


def divider(tab: Any, name: str = "on0-divider") -> float:
    return float(tab.locator(f"#{name}").input_value())


def test_a_row_is_hidden_and_shown_by_its_button(sweep: Sweep, open_page: Callable[[], Any]) -> None:
    tab = open_page()
    curves = tab.locator(CURVES)
    assert curves.evaluate_all("all => all.map((one) => one.dataset.row)") == list(ROWS)
    line = tab.locator(f"{CURVES}[data-row=baseline] .mean")
    before = line.get_attribute("d")
    button = tab.get_by_role("button", name="+ DFFM", exact=True)
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert curves.evaluate_all("all => all.map((one) => one.dataset.row)") == ["baseline", "msrm"]
    assert line.get_attribute("d") != before  # the axis fits what is left
    tab.keyboard.press("Enter")
    assert curves.count() == 3


def test_all_rows_can_be_hidden(open_page: Callable[[], Any]) -> None:
    tab = open_page()
    for row in ("baseline", "+ DFFM", "+ MSRM"):
        tab.get_by_role("button", name=row, exact=True).click()
    assert tab.locator(".curve").count() == 0
    assert "no row is shown" in tab.locator(".chart svg").first.get_attribute("aria-label")


def test_a_band_is_drawn_for_seeds_and_none_for_one(sweep: Sweep, open_page: Callable[[], Any]) -> None:
    sweep.learn("aff", 0, 400, 2.0)
    tab = open_page()
    bands = tab.locator(f"{CURVES}:has(.band)").evaluate_all("all => all.map((one) => one.dataset.row)")
    assert bands == ["baseline", "dffm", "msrm"]
    assert tab.locator(CURVES).count() == 4


def test_where_a_seed_is_behind_the_line_is_dashed(sweep: Sweep, open_page: Callable[[], Any]) -> None:
    sweep.learn("msrm", 1, 400, 3.6)
    tab = open_page()
    dashed = tab.locator(f"{CURVES}:has(.partial)").evaluate_all("all => all.map((one) => one.dataset.row)")
    assert dashed == ["msrm"]


def test_the_pointer_and_the_keyboard_read_values(open_page: Callable[[], Any]) -> None:
    tab = open_page()
    chart = tab.locator("[data-name='val/psnr']")
    chart.locator("svg").hover(position={"x": 56, "y": 60})
    said = chart.locator(".tip").inner_text().split("\n")
    assert said[0] == "step 100"
    assert [line for line in said if line in ("baseline", "+ DFFM", "+ MSRM")] == ["baseline", "+ DFFM", "+ MSRM"]
    assert sum(line.endswith("n = 2") for line in said) == 3
    tab.mouse.move(2, 2)
    assert chart.locator(".tip").is_hidden()
    chart.locator("svg").focus()
    for key, step in (("ArrowLeft", 400), ("ArrowLeft", 300), ("Home", 100), ("End", 400)):
        tab.keyboard.press(key)
        assert chart.locator(".tip b").inner_text() == f"step {step}"
    tab.keyboard.press("Escape")
    assert chart.locator(".tip").is_hidden()


def test_later_steps_can_be_looked_at_alone(open_page: Callable[[], Any]) -> None:
    tab = open_page()
    tab.select_option("#on0-range", "0.5")
    tab.locator("[data-name='val/psnr'] svg").focus()
    tab.keyboard.press("Home")
    assert tab.locator("[data-name='val/psnr'] .tip b").inner_text() == "step 200"


def test_the_sliders_of_all_rows_move_together(open_page: Callable[[], Any]) -> None:
    tab = open_page()
    box = tab.locator(".strips .stage").nth(1).bounding_box()
    tab.locator(".strips .stage").nth(1).scroll_into_view_if_needed()
    box = tab.locator(".strips .stage").nth(1).bounding_box()
    y = box["y"] + box["height"] / 2
    tab.mouse.move(box["x"] + box["width"] / 2, y)
    tab.mouse.down()
    tab.mouse.move(box["x"] + box["width"] / 4, y)
    tab.mouse.up()
    assert [divider(tab, f"on0-divider-{row}") for row in ROWS] == pytest.approx([25] * 3, abs=1)
    assert divider(tab) == 50
    tab.locator("#on0-divider-dffm").focus()
    tab.keyboard.press("End")
    assert [divider(tab, f"on0-divider-{row}") for row in ROWS] == [100] * 3
    assert tab.locator("#on0-divider-msrm").get_attribute("aria-valuetext") == "100 % Blurred, the rest + MSRM"


def test_any_two_pictures_are_compared_pixel_by_pixel(open_page: Callable[[], Any], tmp_path: Path) -> None:
    tab = open_page()
    tab.select_option("#on0-image", "b/2")
    tab.select_option("#on0-left", "row dffm")
    tab.select_option("#on0-right", "sharp")
    tab.add_style_tag(content=".tag, .line { display: none } .stage { border-radius: 0 }")
    tab.locator(".pair .stage").evaluate(
        "stage => Promise.all([...stage.querySelectorAll('img')].map((one) => one.decode()))"
    )
    tab.locator(".pair .stage").screenshot(path=tmp_path / "stage.png")
    shown = np.asarray(Image.open(tmp_path / "stage.png").convert("RGB"))
    half = shown.shape[1] // 2
    assert (shown[5:-5, 5 : half - 5] == (20 + sum(map(ord, "dffm")) % 200, 40, 90)).all()
    assert (shown[5:-5, half + 5 : -5] == (255, 40, 90)).all()
    assert tab.locator(".pair .over").get_attribute("alt") == "+ DFFM"


def test_a_row_without_the_image_cannot_be_chosen(sweep: Sweep, open_page: Callable[[], Any]) -> None:
    sweep.picture("msrm", names=("a/1",))
    tab = open_page()
    assert tab.locator("#on0-right").input_value() == "row msrm"
    tab.select_option("#on0-image", "b/2")
    assert tab.locator("#on0-right option[value='row msrm']").is_disabled()
    assert tab.locator("#on0-right").input_value() == "blur"
    assert tab.locator(".strips figure:visible").count() == 2


def test_a_reload_keeps_where_one_was_and_what_one_chose(
    sweep: Sweep, open_page: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "RELOAD_SECONDS", 1)
    for seed in (0, 1):
        sweep.hold(sweep.folder("msrm", seed))
    tab = open_page()
    assert tab.locator("#written").inner_text().endswith("reloads every 1 s.")
    tab.get_by_role("button", name="+ DFFM").click()
    tab.select_option("#on0-kind", "frame")
    tab.select_option("#on0-range", "0.75")
    tab.locator("#on0-divider-dffm").focus()
    tab.keyboard.press("Home")
    tab.evaluate("scrollTo(0, 700)")
    with tab.expect_navigation():
        pass
    assert tab.evaluate("scrollY") == 700
    assert tab.locator(CURVES).evaluate_all("all => all.map((one) => one.dataset.row)") == ["baseline", "msrm"]
    assert (tab.locator("#on0-kind").input_value(), tab.locator("#on0-range").input_value()) == ("frame", "0.75")
    assert divider(tab, "on0-divider-dffm") == 0
    assert tab.evaluate("document.activeElement.id") == "on0-divider-dffm"


def test_reloading_can_be_paused_and_ends_with_the_sweep(
    sweep: Sweep, open_page: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "RELOAD_SECONDS", 1)
    for seed in (0, 1):
        sweep.hold(sweep.folder("msrm", seed))
    tab = open_page()
    tab.locator("#pause").click()
    assert tab.locator("#written").inner_text().endswith("reloading is paused.")
    tab.evaluate("window.before = true")
    tab.wait_for_timeout(4500)  # two seconds of rest after the click, one until it would be due, and some
    assert tab.evaluate("window.before") is True
    finish(sweep)
    write_page(sweep.root)
    with tab.expect_navigation():
        tab.locator("#pause").click()
    assert tab.locator("#live").is_hidden()
    tab.evaluate("window.before = true")
    tab.wait_for_timeout(2500)
    assert tab.evaluate("window.before") is True


def test_times_become_ages(sweep: Sweep, open_page: Callable[[], Any]) -> None:
    for path in sweep.folder("msrm").rglob("*"):
        os.utime(path, (0, 0))
    tab = open_page()
    assert tab.locator("time").first.inner_text().endswith(" d ago")
    assert tab.locator("time").first.get_attribute("title") == "1970-01-01 00:00:00 UTC"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1200])
def test_the_page_fits_and_is_not_blank(open_page: Callable[[], Any], scheme: str, width: int, tmp_path: Path) -> None:
    tab = open_page()
    tab.set_viewport_size({"width": width, "height": 800})
    tab.emulate_media(color_scheme=scheme)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    tab.screenshot(path=tmp_path / "page.png", full_page=True)
    shot = np.asarray(Image.open(tmp_path / "page.png").convert("RGB"))
    assert shot.shape[1] == width
    assert (shot[2, 2].mean() > 128) == (scheme == "light")
    assert len(np.unique(shot.reshape(-1, 3), axis=0)) > 200


def test_on_paper_there_are_no_controls_and_nothing_is_cut_off(open_page: Callable[[], Any]) -> None:
    tab = open_page()
    tab.emulate_media(media="print")
    assert tab.locator("#on0-range").is_hidden()
    assert tab.locator(".curve").first.is_visible()
    assert tab.locator(".table").first.evaluate("table => getComputedStyle(table).overflow") == "visible"


def test_everything_that_can_be_moved_or_chosen_has_a_name(open_page: Callable[[], Any]) -> None:
    tab = open_page()
    unnamed = tab.evaluate(
        """[...document.querySelectorAll("select, input, button, svg, .table, img")].filter((element) => !(
        element.closest("label") || element.getAttribute("aria-label") || element.textContent.trim() || element.alt
        )).map((element) => element.outerHTML)"""
    )
    assert unnamed == []
