"""The renderings of a table: equal content, valid in their language, the same bytes every time."""

import csv
import html
import io
import itertools
import json
import re
import shutil
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from run_store import COMMIT, Store, digest, score, spread_out, variant

from deblur_lit.report import Table, build_table, load_spec, write_table
from deblur_lit.report.flat import as_csv, as_json
from deblur_lit.report.layout import lay_out
from deblur_lit.report.page import page
from deblur_lit.report.render import latex, latex_escape, markdown
from deblur_lit.report.terminal import terminal_lines

TABLE1, TABLE2 = load_spec("table1"), load_spec("table2")
NAMES = ["table.md", "table.csv", "table.json", "table.tex", "table.html"]


def texts(table: Table) -> dict[str, str]:
    """Return every rendering of a table."""
    layout = lay_out(table)
    terminal = "\n".join(text for text, _ in terminal_lines(layout))
    shown = html.unescape(re.sub(r"<style>.*</style>|<[^>]*>", " ", page(layout), flags=re.S))
    return {"md": markdown(layout), "tex": latex(layout), "terminal": terminal, "html": shown}


def seeds(store: Store) -> Table:
    """Return a Table 2 with three seeds a row on a part of GoPro."""
    for row, psnr in (("baseline", 31.5), ("dffm", 31.6), ("dffm_msrm", 31.9)):
        for seed in range(3):
            store.write(row, seed, psnr + 0.03 * seed, 0.94, table="table2", data="gopro")
    return build_table(TABLE2, store.runs, "gopro")


def latex_width(line: str) -> int:
    """Return the number of columns of a line of a tabular."""
    spans = [int(width) - 1 for width in re.findall(r"\\multicolumn\{(\d+)\}", line)]
    return len(re.findall(r"(?<!\\)&", line)) + 1 + sum(spans)


def check_latex(text: str) -> None:
    """Fail unless braces and environments balance and every line has the columns of the tabular."""
    depth = 0
    for brace in re.findall(r"(?<!\\)(?:\\\\)*([{}])", text):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0
    opened: list[str] = []
    for verb, name in re.findall(r"\\(begin|end)\{(\w+\*?)\}", text):
        opened.append(name) if verb == "begin" else opened.remove(name)
    assert not opened
    assert len(re.findall(r"(?<!\\)\$", text)) % 2 == 0
    assert not re.search(r"(?<!\\)[#%_^~]", text.split("\n", 1)[1])
    columns = re.search(r"\\begin\{tabular\}\{(l?r*)\}", text)
    assert columns
    lines = [line for line in text.splitlines() if line.endswith(r" \\")]
    assert lines
    assert {latex_width(line) for line in lines} == {len(columns[1])}


def test_writing_twice_gives_the_same_bytes(mini: Store) -> None:
    files = write_table(TABLE1, mini.runs, "mini")
    first = {file.name: file.read_bytes() for file in files}
    assert {file.name: file.read_bytes() for file in write_table(TABLE1, mini.runs, "mini")} == first
    assert [file.name for file in files] == NAMES
    assert {file.parent for file in files} == {mini.runs / "table1" / "mini"}


def test_the_bytes_do_not_depend_on_where_the_runs_lie(
    mini: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = [file.read_bytes() for file in write_table(TABLE1, mini.runs, "mini", tmp_path / "out")]
    shutil.move(mini.runs, tmp_path / "elsewhere" / "runs")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert [file.read_bytes() for file in write_table(TABLE1, Path("runs"), "mini")] == first
    monkeypatch.chdir("runs")
    assert [file.read_bytes() for file in write_table(TABLE1, Path(), "mini")] == first
    assert all(str(tmp_path).encode() not in content for content in first)


def test_a_table_goes_where_it_is_sent_and_leaves_nothing_else(mini: Store, tmp_path: Path) -> None:
    files = write_table(TABLE1, mini.runs, "mini", tmp_path / "out")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == sorted(NAMES)
    assert not (mini.runs / "table1" / "mini" / "table.md").exists()
    assert files == [tmp_path / "out" / name for name in NAMES]


def test_a_failed_write_keeps_the_old_table(mini: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    old = [file.read_bytes() for file in write_table(TABLE1, mini.runs, "mini")]
    mini.write("mimo_unet", 0, 26.0)

    def full_disk(file: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device", str(file))

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_table(TABLE1, mini.runs, "mini")
    assert [(mini.runs / "table1" / "mini" / name).read_bytes() for name in NAMES] == old


def test_no_runs_are_an_error_that_names_the_folder(store: Store) -> None:
    with pytest.raises(FileNotFoundError, match="no runs of table1 on mini"):
        write_table(TABLE1, store.runs, "mini")


@pytest.mark.parametrize("data", ["mini", "gopro"])
def test_every_rendering_labels_both_kinds_of_columns(mini: Store, data: str) -> None:
    mini.write("blur", None, 25.64, data="gopro")
    label = "mini test, 16 images" if data == "mini" else "GoPro, 4 frames (not the test set of 1111)"
    for text in texts(build_table(TABLE1, mini.runs, data)).values():
        assert label in text
        assert "measured:" in text
        assert "published:" in text
        assert "1111" in text


def test_every_rendering_shows_what_a_reader_must_know(mini: Store) -> None:
    table = build_table(TABLE1, mini.runs, "mini")
    for text in texts(table).values():
        flat = re.sub(r"\s+", " ", text.replace("\\allowbreak{}", "").replace("\\", ""))
        for said in (
            "(reduced, 0.33 M parameters)",
            "undertrained",
            "looked for CHECKPOINTS/dmphn.* and CHECKPOINTS/dmphn/",
            "runs/table1/mini/dffm_msrm/seed0: best by val/psnr",
            "900 steps in 180 s",
            "psnr_uint8 and ssim_matlab_volume",
            f"commit {COMMIT[:7]}+dirty",
            f"config {digest('config of dffm_msrm 0')[:12]}",
            f"scored on mini {digest('mini')[:12]}",
            "CW-SSIM",
            "not in the paper's table",
            "run from their authors' public code",
            "25.40",
            "+1.40",
            "0.805",
            "31.95",
        ):
            assert said in flat


def test_several_seeds_show_their_number_and_spread(store: Store) -> None:
    for text in texts(seeds(store)).values():
        assert "(3 seeds)" in text
        assert re.search(r"(±|\\pm\$) 0\.03", text)
        assert "seeds 0, 1, 2" in re.sub(r"\s+", " ", text)


def test_markdown_lines_have_equal_columns(mini: Store, store: Store) -> None:
    for table in (build_table(TABLE1, mini.runs, "mini"), seeds(store)):
        lines = [line for line in markdown(lay_out(table)).splitlines() if line.startswith("|")]
        assert len(lines) == 2 + len(table.rows) + len({row.section for row in table.rows} - {""})
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1


def test_latex_is_well_formed(mini: Store, store: Store) -> None:
    for table in (build_table(TABLE1, mini.runs, "mini"), seeds(store)):
        check_latex(latex(lay_out(table)))


class Page(HTMLParser):
    """The elements of a page that are open, cells by row, attributes and whatever would be fetched."""

    VOID = ("meta",)

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.widths: list[int] = []
        self.titles: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.fetched += [tag for key in ("src", "srcset", "data", "style") if key in given]
        self.fetched += [str(given["href"])] if not str(given.get("href", "#")).startswith("#") else []
        self.fetched += [tag] if tag in ("link", "script", "img", "iframe", "object") else []
        if tag == "tr":
            self.widths.append(0)
        if tag in ("td", "th"):
            self.widths[-1] += int(given.get("colspan") or 1)
            self.titles += [str(given["title"])] if "title" in given else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check_page(text: str) -> Page:
    """Fail unless elements nest, all rows are equally wide, and nothing is fetched or run."""
    read = Page(text)
    assert not read.open
    assert len(set(read.widths)) == 1
    assert not read.fetched
    assert not re.search(r"https?://|url\(|@import", re.sub(r"<p>.*</p>|<li>.*</li>", "", text))
    return read


def test_the_page_is_whole_and_asks_for_nothing(mini: Store, store: Store) -> None:
    for table in (build_table(TABLE1, mini.runs, "mini"), seeds(store)):
        check_page(page(lay_out(table)))


def test_every_number_of_the_page_says_where_it_comes_from(mini: Store) -> None:
    table = build_table(TABLE1, mini.runs, "mini")
    text = page(lay_out(table))
    cells = re.findall(r"<td([^>]*)>([-+\d.]+)(?:<|$)", text)
    assert len(cells) > 40
    assert all("title=" in attributes for attributes, _ in cells)
    titles = check_page(text).titles
    assert any(title.startswith("runs/table1/mini/dffm_msrm/seed0: best by val/psnr") for title in titles)
    assert any("CW-SSIM" in title for title in titles)


HOSTILE = st.text(st.one_of(st.sampled_from("\\{}$&%#_^~<>|±Δ*`[]\n/-+"), st.characters()), max_size=20)


@settings(deadline=None, max_examples=50)
@given(title=HOSTILE, reason=HOSTILE, heading=HOSTILE)
def test_no_text_breaks_a_rendering(title: str, reason: str, heading: str) -> None:
    table = build_table(TABLE1, Path("absent"), "mini")
    rows = [
        replace(row, title=title, section=heading if row.section else "", reasons={"mini": reason})
        for row in table.rows
    ]
    layout = lay_out(replace(table, rows=tuple(rows), title=title))
    check_latex(latex(layout))
    check_page(page(layout))
    lines = [line for line in markdown(layout).split("\n") if line.startswith("| ")]
    assert len({len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in lines}) == 1
    assert all("\n" not in text for text, _ in terminal_lines(layout))


@given(HOSTILE)
def test_escaping_loses_no_letter(text: str) -> None:
    letters = [char for char in text if char.isascii() and char.isalnum()]
    plain = re.sub(r"\\(text[a-z]+|allowbreak|pm|Delta)\b|\\times", "", latex_escape(text))
    assert [char for char in plain if char.isascii() and char.isalnum()] == letters


def read_csv(text: str) -> list[dict[str, str]]:
    """Return the lines of a CSV file by head."""
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_reads_back_equal_to_the_table(mini: Store, store: Store) -> None:
    for table, data in ((build_table(TABLE1, mini.runs, "mini"), "mini"), (seeds(store), "gopro")):
        lines = read_csv(as_csv(table))
        assert [line["row"] for line in lines] == [row.key for row in table.rows]
        for line, row in zip(lines, table.rows, strict=True):
            cell = row.measured.get(data)
            for key in ("psnr", "ssim"):
                value = getattr(cell, key).mean if cell else None
                said = line[f"measured_{data}_{key}"]
                assert (float(said) if said else None) == value
                published = row.published.get("gopro")
                said = line[f"published_gopro_{key}"]
                assert (float(said) if said else None) == (getattr(published, key) if published else None)
            assert line["title"] == row.title
            assert line["runs"].split() == [run.folder for run in row.runs]
            assert line["config_hashes"].split() == [run.config_hash for run in row.runs]
            assert line["commits"].split() == [run.commit for run in row.runs]
            assert line["seeds"].split() == [str(run.seed) for run in row.runs if run.seed is not None]
            assert line["undertrained"] == str(row.undertrained).lower()
            assert line[f"measured_{data}_missing"] == row.reasons.get(data, "")
            assert line[f"measured_{data}_protocol"] == ("psnr_uint8 ssim_matlab_volume" if cell else "")
            assert line[f"measured_{data}_data_hash"] == (digest(data) if cell else "")


def test_json_holds_the_whole_table(mini: Store) -> None:
    table = build_table(TABLE1, mini.runs, "mini")
    content: dict[str, Any] = json.loads(as_json(table))
    assert content.pop("schema") == 1
    assert content == json.loads(json.dumps(asdict(table)))
    run = next(row for row in content["rows"] if row["key"] == "dffm_msrm")["runs"][0]
    assert run["folder"] == "runs/table1/mini/dffm_msrm/seed0"
    assert run["commit"] == f"{COMMIT}+dirty"
    assert run["config_hash"] == digest("config of dffm_msrm 0")
    assert run["scores"]["mini"]["data_hash"] == digest("mini")
    assert run["scores"]["mini"]["protocol"] == {"psnr": "psnr_uint8", "ssim": "ssim_matlab_volume"}


def test_json_is_strict_where_a_score_is_infinite(store: Store) -> None:
    store.write("dffm_msrm", 0, "inf", 1.0)
    text = as_json(build_table(TABLE1, store.runs, "mini"))
    assert "Infinity" not in text
    row = next(row for row in json.loads(text)["rows"] if row["key"] == "dffm_msrm")
    assert row["measured"]["mini"]["psnr"]["mean"] == "inf"


@pytest.mark.parametrize("optional", [False, True])
def test_a_terminal_of_110_columns_is_enough(mini: Store, optional: bool) -> None:
    both = {"scores.realblur_j": score("realblur_j", 28.7)}
    for seed in range(2):
        mini.write("dffm_msrm", seed, 31.9, data="gopro", changes=both)
    images = spread_out(25.4)
    tiles = variant("tiles of 64 pixels", 25.4, images)
    long = {"per_image": images, "images": len(images), "variants": {"tlc": tiles, "tiles64": tiles}}
    for row, seed in itertools.product(("baseline", "dffm", "dffm_msrm"), range(3)):
        scores = {f"scores.mini.{key}": value for key, value in long.items()}
        file = mini.write(row, seed, 25.4, table="table2", changes=scores)
        if row == "dffm_msrm":
            (file.parent / "best.ckpt").write_text("another")
    tables = [
        build_table(TABLE2, mini.runs, "mini", optional),
        build_table(TABLE1, mini.runs, "mini"),
        build_table(TABLE1, mini.runs, "gopro"),
        seeds(mini),
        build_table(TABLE2, mini.runs, "gopro", optional),
    ]
    for table in tables:
        lines = [text for text, _ in terminal_lines(lay_out(table))]
        assert max(map(cell_len, lines)) <= 110
