"""Which run fills which cell."""

import math
import shutil
import statistics
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_store import Store, digest, score

from deblur_lit.report import Table, build_table, load_spec
from deblur_lit.report.table import Row, spread

TABLE1, TABLE2 = load_spec("table1"), load_spec("table2")


def row_of(table: Table, key: str) -> Row:
    """Return the first row of a key."""
    return next(row for row in table.rows if row.key == key)


def test_without_runs_every_published_number_stands_and_nothing_is_measured(store: Store) -> None:
    store.missing({})
    for spec in (TABLE1, TABLE2):
        table = build_table(spec, store.runs, "gopro")
        assert all(not row.measured and not row.runs for row in table.rows)
        shown = {row.key: row.published for row in spec.rows if not row.optional}
        assert {row.key: row.published for row in table.rows} == shown


def test_measured_and_published_numbers_do_not_touch(mini: Store) -> None:
    row = row_of(build_table(TABLE1, mini.runs, "mini"), "dffm_msrm")
    assert row.measured["mini"].psnr.mean == 25.4
    assert set(row.measured) == {"mini"}
    assert row.published == row_of(build_table(TABLE1, mini.runs, "gopro"), "dffm_msrm").published


def test_rows_stand_in_the_papers_order_and_the_rest_below_the_rule(mini: Store) -> None:
    table = build_table(TABLE1, mini.runs, "mini")
    assert [row.key for row in table.rows] == [row.key for row in TABLE1.rows if not row.optional]
    assert [row.key for row in table.rows if row.section] == ["mimo_unet"]


def test_a_network_that_the_description_does_not_know_becomes_a_row_below(store: Store) -> None:
    store.write("baseline", table="table2")
    store.write("gated", table="table2")
    last = build_table(TABLE2, store.runs, "mini").rows[-1]
    assert (last.key, last.section, last.published) == ("gated", "added here", {})
    assert last.measured["mini"].psnr.mean > 0
    assert "gated" not in [row.key for row in build_table(TABLE2, store.runs, "gopro").rows]


def test_controls_show_where_they_were_run_or_asked_for(store: Store) -> None:
    store.write("baseline", table="table2")
    four = ["baseline", "dffm", "msrm", "dffm_msrm"]
    assert [row.key for row in build_table(TABLE2, store.runs, "mini").rows] == four
    asked = build_table(TABLE2, store.runs, "mini", optional=True)
    assert [row.key for row in asked.rows] == [*four, "aff", "dffm_equal_cost"]
    store.write("aff", table="table2")
    assert [row.key for row in build_table(TABLE2, store.runs, "mini").rows] == [*four, "aff"]


@pytest.mark.parametrize("row", ["blur", "dffm_msrm", "mimo_unet"])
def test_deleting_a_run_empties_exactly_its_cells(mini: Store, row: str) -> None:
    before = build_table(TABLE1, mini.runs, "mini")
    shutil.rmtree(mini.runs / "table1" / "mini" / row)
    after = build_table(TABLE1, mini.runs, "mini")
    assert [r for r in after.rows if r.key != row] == [r for r in before.rows if r.key != row]
    emptied = row_of(after, row)
    assert (emptied.measured, emptied.runs, emptied.weights) == ({}, (), None)
    assert emptied.published == row_of(before, row).published
    assert emptied.reasons["mini"].startswith("not run: looked for ")
    assert f"runs/table1/mini/{row}" in emptied.reasons["mini"]


def test_the_mean_runs_over_seeds_and_one_seed_has_no_spread(store: Store) -> None:
    psnrs = [25.0, 25.2, 25.9]
    store.write("baseline", 0, 25.5, table="table2")
    for seed, psnr in enumerate(psnrs):
        store.write("dffm", seed, psnr, 0.8 + seed / 100, table="table2")
    table = build_table(TABLE2, store.runs, "mini")
    dffm, baseline = row_of(table, "dffm").measured["mini"], row_of(table, "baseline").measured["mini"]
    assert dffm.psnr.mean == pytest.approx(sum(psnrs) / 3)
    assert dffm.psnr.std == pytest.approx(statistics.stdev(psnrs))
    assert dffm.ssim.mean == pytest.approx(0.81)
    assert dffm.psnr.count == 3
    assert dffm.gain == pytest.approx(sum(psnrs) / 3 - 24.0)
    assert dffm.delta_psnr == pytest.approx(sum(psnrs) / 3 - 25.5)
    assert dffm.delta_ssim == pytest.approx(0.01)
    assert (baseline.psnr.std, baseline.psnr.count, baseline.delta_psnr) == (None, 1, None)


@given(st.lists(st.floats(0, 60), min_size=1, max_size=6))
def test_spread_does_not_depend_on_the_order_of_seeds(values: list[float]) -> None:
    assert spread(values) == spread(values[::-1])
    assert min(values) <= spread(values).mean <= max(values) or math.isclose(spread(values).mean, values[0])


def test_identical_images_give_an_infinite_score_and_no_nan(store: Store) -> None:
    store.write("baseline", 0, "inf", 1.0, table="table2")
    store.write("dffm", 0, "inf", 1.0, table="table2")
    store.write("dffm", 1, 30.0, 0.9, table="table2")
    dffm = row_of(build_table(TABLE2, store.runs, "mini"), "dffm").measured["mini"]
    assert (dffm.psnr.mean, dffm.psnr.std) == (math.inf, None)
    assert (dffm.gain, dffm.delta_psnr) == (math.inf, None)


@pytest.mark.parametrize(("psnr", "undertrained"), [(24.49, True), (24.5, False), (25.0, False), (23.0, True)])
def test_less_than_half_a_decibel_is_undertrained(store: Store, psnr: float, undertrained: bool) -> None:
    store.write("dffm_msrm", 0, psnr)
    row = row_of(build_table(TABLE1, store.runs, "mini"), "dffm_msrm")
    assert row.undertrained is undertrained
    assert any("undertrained" in remark for remark in row.remarks) is undertrained


def test_only_rows_trained_here_can_be_undertrained(store: Store) -> None:
    store.write("blur", None, 24.0)
    store.write("dmphn", "published", 24.1)
    assert not any(row.undertrained for row in build_table(TABLE1, store.runs, "mini").rows)


@pytest.mark.parametrize(("trained_on", "table_for"), [("mini", "gopro"), ("gopro", "mini"), ("gopro", "mini_gamma")])
def test_weights_trained_on_other_data_never_fill_a_cell(store: Store, trained_on: str, table_for: str) -> None:
    content = score("gopro" if table_for == "gopro" else "mini", 25.5)
    changes = {"training.data": trained_on, f"scores.{table_for}": content}
    store.write("dffm_msrm", 0, data=table_for if table_for == "gopro" else "mini", changes=changes)
    if table_for == "mini_gamma":
        shutil.move(store.runs / "table1" / "mini", store.runs / "table1" / "mini_gamma")
    row = row_of(build_table(TABLE1, store.runs, table_for), "dffm_msrm")
    assert not row.measured
    assert f"seed0 is left out: trained on {trained_on}, and this table is for {table_for}" in row.reasons[table_for]


def test_mini_scores_are_never_a_gopro_column(mini: Store) -> None:
    shutil.copytree(mini.runs / "table1" / "mini", mini.runs / "table1" / "gopro")
    table = build_table(TABLE1, mini.runs, "gopro")
    assert not any(row.measured for row in table.rows)
    assert "holds no score on gopro or realblur_j, only on mini" in row_of(table, "blur").reasons["gopro"]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("data_hash", digest("other"), "another data hash"),
        (
            "protocol",
            {"psnr": "psnr_float", "ssim": "ssim_matlab_volume"},
            "psnr_float and ssim_matlab_volume",
        ),
        ("label", "mini test, 4 images", "another label"),
        ("split", "val", "scored on the val split of mini"),
    ],
)
def test_a_score_that_cannot_stand_in_the_column_is_left_out(mini: Store, key: str, value: object, said: str) -> None:
    mini.write("mimo_unet", 0, changes={f"scores.mini.{key}": value})
    row = row_of(build_table(TABLE1, mini.runs, "mini"), "mimo_unet")
    assert not row.measured
    assert said in row.reasons["mini"]
    assert row.unfinished


def test_a_part_of_the_test_set_cannot_claim_to_be_all(store: Store) -> None:
    store.write("blur", None, 25.64, data="gopro", changes={"scores.gopro.complete": True})
    row = row_of(build_table(TABLE1, store.runs, "gopro"), "blur")
    assert "claims the complete test set of gopro with 4 images, not 1111" in row.reasons["gopro"]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("training.steps", 300, "steps 300, not 900"),
        ("training.data_hash", digest("older"), "data_hash"),
        ("network.parameters", 5, "its network is not that of runs/table1/mini/dffm_msrm/seed0"),
        ("checkpoint.selection", "last", "scored last, not best by val/psnr"),
    ],
)
def test_seeds_of_a_row_share_network_training_and_selection(store: Store, key: str, value: object, said: str) -> None:
    store.write("dffm_msrm", 0, 25.0)
    store.write("dffm_msrm", 1, 27.0, changes={key: value})
    row = row_of(build_table(TABLE1, store.runs, "mini"), "dffm_msrm")
    assert [run.seed for run in row.runs] == [0]
    assert row.measured["mini"].psnr.mean == 25.0
    assert len(row.unfinished) == 1
    assert said in row.unfinished[0]


def test_the_time_that_a_seed_took_may_differ(store: Store) -> None:
    store.write("dffm_msrm", 0)
    store.write("dffm_msrm", 1, changes={"training.seconds": 500})
    assert len(row_of(build_table(TABLE1, store.runs, "mini"), "dffm_msrm").runs) == 2


def test_a_row_trained_otherwise_than_the_baseline_says_so(store: Store) -> None:
    store.write("baseline", table="table2")
    store.write("dffm", table="table2", changes={"training.steps": 300})
    store.write("msrm", table="table2")
    table = build_table(TABLE2, store.runs, "mini")
    assert row_of(table, "dffm").remarks == ("trained otherwise than baseline: steps 300, not 900",)
    assert row_of(table, "msrm").remarks == ()


def test_published_weights_beside_trained_ones_get_a_line_of_their_own(mini: Store) -> None:
    mini.write("mimo_unet", "published", 26.0)
    rows = [row for row in build_table(TABLE1, mini.runs, "mini").rows if row.key == "mimo_unet"]
    assert [(row.weights, row.measured["mini"].psnr.mean) for row in rows] == [
        ("trained", 24.31),
        ("published", 26.0),
    ]


def test_a_missing_row_gives_the_reason_that_was_left(mini: Store) -> None:
    table = build_table(TABLE1, mini.runs, "mini")
    row = row_of(table, "dmphn")
    assert row.reasons == {"mini": "looked for CHECKPOINTS/dmphn.* and CHECKPOINTS/dmphn/"}
    assert not row.unfinished


def test_a_row_that_nobody_tried_names_the_folders_and_is_unfinished(store: Store) -> None:
    store.write("blur", None)
    row = row_of(build_table(TABLE1, store.runs, "mini"), "srn")
    expected = "not run: looked for runs/table1/mini/srn/seed<k>/metrics.json and runs/table1/mini/srn/published/"
    assert row.reasons["mini"] == expected + "metrics.json"
    assert row.unfinished == (row.reasons["mini"],)


def test_a_finished_run_wins_over_an_old_reason(mini: Store) -> None:
    mini.write("dmphn", "published", 25.0)
    row = row_of(build_table(TABLE1, mini.runs, "mini"), "dmphn")
    assert (row.weights, row.reasons) == ("published", {})


@pytest.mark.parametrize(("content", "said"), [("{", "is not JSON"), ('{"srn": 3}', "`srn` is 3")])
def test_damaged_reasons_are_an_error_that_names_the_file(mini: Store, content: str, said: str) -> None:
    (mini.runs / "table1" / "mini" / "missing.json").write_text(content)
    with pytest.raises(ValueError, match=r"runs/table1/mini/missing\.json") as error:
        build_table(TABLE1, mini.runs, "mini")
    assert said in str(error.value)


def test_realblur_gets_a_measured_column_once_somebody_scores_it(store: Store) -> None:
    store.write("blur", None, 25.64, data="gopro")
    store.write("dmphn", "published", 31.0, data="gopro")
    assert [c.benchmark for c in build_table(TABLE1, store.runs, "gopro").columns] == ["gopro"]
    store.write("dmphn", "published", 31.0, data="gopro", changes={"scores.realblur_j": score("realblur_j", 28.4)})
    table = build_table(TABLE1, store.runs, "gopro")
    assert [column.benchmark for column in table.columns] == ["gopro", "realblur_j"]
    assert row_of(table, "dmphn").measured["realblur_j"].psnr.mean == 28.4
    assert row_of(table, "blur").reasons == {"realblur_j": "not scored on realblur_j"}


def test_what_is_not_to_be_compared_is_said(mini: Store) -> None:
    assert build_table(TABLE1, mini.runs, "mini").warnings == (
        "Measured on mini test, 16 images: not to be compared with the published columns.",
    )
    mini.write("blur", None, 25.64, data="gopro")
    assert "4 of 1111 images" in build_table(TABLE1, mini.runs, "gopro").warnings[0]


def test_another_protocol_than_the_published_one_is_said(store: Store) -> None:
    full = {"images": 980, "complete": True, "per_image": score("realblur_j", 26.0)["per_image"] * 245}
    scores = {"gopro": score("gopro", 25.64), "realblur_j": {**score("realblur_j", 26.0), **full}}
    store.write("blur", None, data="gopro", changes={"scores": scores})
    warnings = build_table(TABLE1, store.runs, "gopro").warnings
    protocols = "psnr_uint8 and ssim_matlab_volume, published with psnr_realblur and ssim_realblur"
    assert warnings[1] == f"Measured RealBlur-J test with {protocols}: not to be compared with the published column."
    scores["realblur_j"]["protocol"] = {"psnr": "psnr_realblur", "ssim": "ssim_realblur"}
    store.write("blur", None, data="gopro", changes={"scores": scores})
    assert len(build_table(TABLE1, store.runs, "gopro").warnings) == 1


def test_footnotes_of_hidden_rows_are_hidden(store: Store) -> None:
    rows = [replace(row, footnotes=("odd",)) if row.key == "aff" else row for row in TABLE2.rows]
    spec = replace(TABLE2, rows=tuple(rows), footnotes={**TABLE2.footnotes, "odd": "An oddity."})
    assert "odd" not in build_table(spec, store.runs, "mini").footnotes
    assert "odd" in build_table(spec, store.runs, "mini", optional=True).footnotes
