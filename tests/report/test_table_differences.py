"""Verdicts beside the differences of Table 2, and the columns of other ways of restoring."""

import csv
import io
import re
from typing import Any

import pytest
from run_store import Store, spread_out, variant

from deblur_lit.report import Table, build_table, load_spec
from deblur_lit.report.__main__ import main
from deblur_lit.report.flat import as_csv
from deblur_lit.report.layout import lay_out
from deblur_lit.report.render import markdown
from deblur_lit.report.table import Comparison, Row

TABLE2 = load_spec("table2")


def write(
    store: Store, row: str, seed: int, psnr: float, sequences: int = 8, shift: float = 0.0, **changes: Any
) -> None:
    """Write a run of Table 2 with images of several sequences."""
    images = spread_out(psnr, sequences, shift)
    score = {"scores.mini.per_image": images, "scores.mini.images": len(images)}
    score |= {f"scores.mini.{key}": value for key, value in changes.items()}
    store.write(row, seed, psnr, 0.8, table="table2", changes=score)


def row_of(table: Table, key: str) -> Row:
    """Return the first row of a key."""
    return next(row for row in table.rows if row.key == key)


def compared(store: Store, row: str, other: str = "baseline") -> Comparison:
    """Return what the difference between two rows is worth."""
    return row_of(build_table(TABLE2, store.runs, "mini"), row).measured["mini"].compared[other]


def test_each_delta_has_an_interval_and_a_verdict(store: Store) -> None:
    write(store, "baseline", 0, 25.0)
    write(store, "dffm", 0, 25.3, shift=0.02)
    found = compared(store, "dffm")
    assert found.mean == pytest.approx(0.3)
    assert found.low is not None
    assert found.high is not None
    assert 0.25 < found.low < 0.3 < found.high < 0.35
    assert (found.verdict, found.seeds, found.sequences) == ("these two checkpoints differ", (1, 1), 8)
    assert "baseline" not in row_of(build_table(TABLE2, store.runs, "mini"), "baseline").measured["mini"].compared


def test_the_step_that_the_paper_claims_for_msrm_is_compared_too(store: Store) -> None:
    for row, psnr in (("baseline", 25.0), ("dffm", 25.3), ("dffm_msrm", 25.4)):
        write(store, row, 0, psnr)
    assert compared(store, "dffm_msrm", "dffm").mean == pytest.approx(0.1)
    assert compared(store, "dffm_msrm").mean == pytest.approx(0.4)
    assert "Against + DFFM on mini: +0.10 dB" in markdown(lay_out(build_table(TABLE2, store.runs, "mini")))


def test_seeds_that_scatter_take_the_verdict_back(store: Store) -> None:
    for seed, shift in enumerate((-0.2, 0.0, 0.2)):
        write(store, "baseline", seed, 25.0 + shift)
        write(store, "dffm", seed, 25.3 + shift)
        write(store, "msrm", seed, 27.0 + shift)
    assert (compared(store, "dffm").verdict, compared(store, "dffm").seeds) == ("no difference shown", (3, 3))
    assert compared(store, "msrm").verdict == "the rows differ"


def test_few_sequences_are_undecidable(store: Store) -> None:
    write(store, "baseline", 0, 25.0, sequences=7)
    write(store, "dffm", 0, 29.0, sequences=7)
    table = build_table(TABLE2, store.runs, "mini")
    assert compared(store, "dffm").verdict == "undecidable, 7 sequences"
    assert "| +4.00 | undecidable, 7 sequences |" in markdown(lay_out(table))


def test_rows_of_other_images_are_not_compared(store: Store) -> None:
    write(store, "baseline", 0, 25.0, sequences=8)
    other = [{**image, "name": f"other/{image['name']}"} for image in spread_out(25.0)]
    write(store, "dffm", 0, 25.0, per_image=other)
    assert compared(store, "dffm").verdict == "undecidable, scored on other images"


def test_images_without_a_sequence_count_as_one(store: Store) -> None:
    images = [{**image, "name": image["name"].replace("/", "-")} for image in spread_out(25.0)]
    for row in ("baseline", "dffm"):
        write(store, row, 0, 25.0, per_image=images)
    assert compared(store, "dffm").verdict == "undecidable, 1 sequence"


def test_every_rendering_has_the_interval_beside_the_delta(store: Store) -> None:
    write(store, "baseline", 0, 25.0)
    write(store, "dffm", 0, 25.3)
    table = build_table(TABLE2, store.runs, "mini")
    assert "| +0.30 [+0.300, +0.300] | these two checkpoints differ | 0.00 |" in markdown(lay_out(table))
    line = next(line for line in csv.DictReader(io.StringIO(as_csv(table))) if line["row"] == "dffm")
    assert float(line["measured_mini_delta_psnr_low"]) == pytest.approx(0.3)
    assert line["measured_mini_delta_psnr_verdict"] == "these two checkpoints differ"
    assert float(line["measured_mini_delta_psnr_detectable"]) == pytest.approx(0)


def with_variants(store: Store) -> Table:
    """Return a table whose rows were scored in three ways; the baseline does not pool."""
    for row, psnr in (("baseline", 25.0), ("dffm", 25.3)):
        tlc = None if row == "baseline" else variant("TLC, windows of 96 pixels", 25.6, spread_out(25.6))
        tiles = variant("tiles of 64 pixels", psnr - 0.1, spread_out(psnr - 0.1))
        write(store, row, 0, psnr, variants={"tlc": tlc, "tiles64": tiles})
    return build_table(TABLE2, store.runs, "mini")


def test_other_ways_of_restoring_are_columns_of_their_own(store: Store) -> None:
    table = with_variants(store)
    assert table.variants == {"mini": {"tlc": "TLC, windows of 96 pixels", "tiles64": "tiles of 64 pixels"}}
    beside = row_of(table, "dffm").measured["mini"].beside
    assert beside["tlc"] is not None
    assert beside["tlc"].psnr.mean == 25.6
    assert row_of(table, "baseline").measured["mini"].beside["tlc"] is None
    text = markdown(lay_out(table))
    for label in table.variants["mini"].values():
        assert f"not the paper's protocol: mini test, 16 images, {label}, PSNR dB" in text
    baseline = next(line for line in text.splitlines() if line.startswith("| baseline"))
    assert re.search(r"\| as plain \| as plain \| 24\.90 \| 0\.800 \|", baseline)
    assert "with TLC, windows of 96 pixels, not the paper's protocol: 25.60 dB" in text
    lines = {line["row"]: line for line in csv.DictReader(io.StringIO(as_csv(table)))}
    assert (lines["dffm"]["measured_mini_tlc_psnr"], lines["baseline"]["measured_mini_tlc_psnr"]) == ("25.6", "")


def test_without_variants_there_are_no_columns_of_them(store: Store) -> None:
    write(store, "baseline", 0, 25.0)
    table = build_table(TABLE2, store.runs, "mini")
    assert table.variants == {"mini": {}}
    assert "not the paper's protocol" not in markdown(lay_out(table))


def test_a_variant_that_contradicts_its_images_is_named(store: Store) -> None:
    write(store, "dffm", 0, 25.0, variants={"tlc": variant("TLC", 26.0, spread_out(25.0))})
    reason = row_of(build_table(TABLE2, store.runs, "mini"), "dffm").reasons["mini"]
    assert "scores.mini.variants.tlc: `psnr` is 26.0, the mean of its images is 25.0000" in reason


def test_any_two_rows_are_compared_by_each_way_that_both_were_restored(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    with_variants(store)
    assert main(["table2", "--runs", str(store.runs), "--compare", "dffm", "baseline"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" dB;")[0].split(": ")[-1] for line in lines] == ["+0.30", "+0.60", "+0.30"]
    assert not (store.runs / "table2/mini/table.md").exists()


@pytest.mark.parametrize(("row", "said"), [("dfm", "has no row dfm; there is baseline"), ("msrm", "was not scored")])
def test_a_row_that_cannot_be_compared_is_named(
    store: Store, capsys: pytest.CaptureFixture[str], row: str, said: str
) -> None:
    with_variants(store)
    assert main(["table2", "--runs", str(store.runs), "--compare", row, "baseline"]) == 1
    assert said in capsys.readouterr().err
