"""conf/table: the paper's numbers to the digit, the order of rows, and what a wrong file says."""

from pathlib import Path

import pytest

from deblur_lit.report import build_table, load_spec
from deblur_lit.report.spec import read_spec

TABLE1 = {  # typed from the paper: GoPro PSNR and SSIM, RealBlur-J PSNR and SSIM
    "deepdeblur": (29.08, 0.914, 27.87, 0.827),
    "svrnn": (29.19, 0.931, 27.80, 0.847),
    "deblurgan_v2": (29.55, 0.934, 28.70, 0.866),
    "srn": (30.26, 0.934, 28.56, 0.867),
    "dbgan": (31.10, 0.942, 24.93, 0.745),
    "mt_rnn": (31.15, 0.945, 28.44, 0.862),
    "dmphn": (31.20, 0.940, 28.42, 0.860),
    "dffm_msrm": (31.95, 0.954, 28.73, 0.871),
}
TABLE2 = {"baseline": (31.66, 0.948), "dffm": (31.78, 0.951), "dffm_msrm": (31.95, 0.954)}
SMALL = """
title: A table
claim: A claim.
source: A source.
reference: first
benchmarks:
  gopro: {title: GoPro test, images: 1111, protocol: {psnr: psnr_uint8, ssim: ssim_matlab_volume}}
measured: {}
rows:
  - row: first
    title: First
    published:
      gopro: {psnr: 30.0, ssim: 0.9, source: A paper, protocol: psnr_uint8, footnotes: {psnr: odd}}
  - rule: others
  - row: second
    title: Second
footnotes:
  odd: An oddity.
"""


def test_table1_holds_the_papers_numbers_in_its_order() -> None:
    rows = [row for row in load_spec("table1").rows if not row.section]
    assert [row.key for row in rows] == ["blur", *TABLE1]
    assert not rows[0].published
    for row in rows[1:]:
        gopro, realblur = row.published["gopro"], row.published["realblur_j"]
        assert (gopro.psnr, gopro.ssim, realblur.psnr, realblur.ssim) == TABLE1[row.key]


def test_table2_holds_the_papers_numbers_and_the_cell_it_lacks() -> None:
    rows = [row for row in load_spec("table2").rows if not row.section]
    assert [row.key for row in rows] == ["baseline", "dffm", "msrm", "dffm_msrm"]
    for row in rows:
        printed = {name: (cell.psnr, cell.ssim) for name, cell in row.published.items()}
        assert printed == ({"gopro": TABLE2[row.key]} if row.key in TABLE2 else {})


def test_below_the_rules_stand_what_the_paper_leaves_out_and_the_controls() -> None:
    mimo, plus, naf = [row for row in load_spec("table1").rows if row.section]
    assert (plus.key, plus.section, plus.optional) == ("mimo_unet_plus", mimo.section, True)
    assert (plus.published["gopro"].psnr, plus.published["gopro"].ssim) == (32.45, 0.957)
    assert (mimo.key, mimo.section, mimo.optional) == ("mimo_unet", "not in the paper's table", False)
    assert (mimo.published["gopro"].psnr, mimo.published["gopro"].ssim) == (31.73, 0.951)
    assert mimo.published["gopro"].source.startswith("published by its authors")
    assert (naf.key, naf.section, naf.optional) == ("nafnet_width32", mimo.section, True)
    assert (naf.published["gopro"].psnr, naf.published["gopro"].ssim) == (32.87, 0.961)
    controls = [row for row in load_spec("table2").rows if row.section]
    assert [row.key for row in controls] == ["aff", "dffm_equal_cost"]
    assert all(row.optional and not row.published for row in controls)


def test_the_source_says_both_origins_of_the_rivals_numbers() -> None:
    source = load_spec("table1").source
    assert "run from their authors' public code" in source
    assert "their digits equal those published elsewhere" in source


def test_every_published_number_has_source_and_protocol_and_the_odd_ones_are_tagged() -> None:
    rows = {row.key: row.published for name in ("table1", "table2") for row in load_spec(name).rows}
    assert all(cell.source and cell.protocol for cells in rows.values() for cell in cells.values())
    table1 = {row.key: row for row in load_spec("table1").rows}
    assert "CW-SSIM" in table1["deblurgan_v2"].published["gopro"].protocol
    assert table1["deblurgan_v2"].published["gopro"].footnotes["ssim"] == "cw_ssim"
    assert table1["dbgan"].published["realblur_j"].protocol == "unexplained"
    assert table1["dbgan"].published["realblur_j"].footnotes == {"psnr": "unexplained", "ssim": "unexplained"}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("table1", ["3.5 dB and .117 below MT-RNN", "A missing alignment explains about 2 dB"]),
        ("table1", ["another quantity than the rest of the column", "SRN's digits"]),
        ("table1", ["Below DBGAN and MT-RNN although its PSNR is above theirs"]),
        ("table1", ["MPRNet (32.66/.959)", "SPAIR", "Suin et al. (31.85/.948)", "0.22 dB above MIMO-UNet"]),
        ("table2", ["Below plain MIMO-UNet (31.73/.951"]),
        ("table1", ["1.1 dB above MIMO-UNet+ (27.63/.837)", ".871 fits weights trained on GoPro, with alignment"]),
        ("table1", ["truncate to 8 bits", "0.01 to 0.03 dB inside one column"]),
        ("table1", ["`blur_gamma`", "2.9 dB"]),
        ("table2", ["About twice the gain in SSIM"]),
    ],
)
def test_an_oddity_of_the_published_numbers_is_a_footnote(table: str, said: list[str]) -> None:
    spec = load_spec(table)
    shown = build_table(spec, Path("absent"), "gopro").footnotes.values()
    assert any(all(part in text for part in said) for text in shown)


def test_a_benchmark_is_its_full_test_set() -> None:
    images = {name: benchmark.images for name, benchmark in load_spec("table1").benchmarks.items()}
    assert images == {"gopro": 1111, "realblur_j": 980}


def test_a_small_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(SMALL)
    spec = read_spec(file)
    assert spec.name == "small"
    assert [(row.key, row.section) for row in spec.rows] == [("first", ""), ("second", "others")]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("title: A table", "titel: A table", "`title` is missing"),
        ("claim:", "colour: red\nclaim:", "unknown key `colour`"),
        ("psnr: 30.0", "psnr: high", "row first, gopro: `psnr` is 'high', expected a number"),
        ("ssim: 0.9,", "", "row first, gopro: `ssim` is missing"),
        ("row: second", "row: first", "row first stands twice"),
        ("{psnr: odd}", "{psnr: even}", "footnote even"),
        ("{psnr: odd}", "{}", "footnote odd"),
        ("ssim: ssim_matlab_volume", "sim: ssim", "benchmark gopro: `ssim` is missing"),
        ("reference: first", "reference: third", "`reference` is third"),
        ("reference: first", "reference: first\ncompared: [[first, third]]", "`compared` names third"),
        ("reference: first", "reference: first\ncompared: [first]", "`compared` holds 'first'"),
        ("reference: first", "reference: first\nvariants: [tlcc]", "`variants` names 'tlcc'; there is tlc and tiles"),
        ("      gopro: {psnr", "      goprow: {psnr", "unknown key `goprow`"),
        ("rule: others", "ruler: others", "`row` is missing"),
        ("measured: {}", "measured: []", "`measured` is [], expected a mapping"),
        ("rows:", "rows: [1", "is not YAML"),
        (
            "    title: Second",
            "    title: Second\n    optional: 1",
            "`optional` is 1, expected true or false",
        ),
    ],
)
def test_a_wrong_file_is_named_with_its_key(tmp_path: Path, old: str, new: str, said: str) -> None:
    file = tmp_path / "small.yaml"
    assert old in SMALL
    file.write_text(SMALL.replace(old, new))
    with pytest.raises(ValueError, match=r"small\.yaml") as error:
        read_spec(file)
    assert said in str(error.value)


def test_an_unknown_table_lists_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"no table 'table3'.*table1, table2"):
        load_spec("table3")
