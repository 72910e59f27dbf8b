"""metrics.json: a record is read whole or named with what is wrong with it, and costs its own cells only."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from run_store import Store

from deblur_lit.report import build_table, load_spec, write_table
from deblur_lit.report.read import find_runs, read_run
from deblur_lit.report.table import Row, Table

DAMAGE: list[tuple[dict[str, Any], str]] = [
    ({"schema": 2}, "has schema 2, this program reads 1"),
    ({"schema": "1"}, "`schema` is '1'"),
    ({"row": "dffm"}, "`row` is 'dffm', its folder says 'dffm_msrm'"),
    ({"seed": 1}, "`seed` is 1, its folder says 0"),
    ({"commit": "\ud800"}, "which is no valid text"),
    ({"commit": None}, "`commit` is None, expected a text"),
    ({"dirty": 0}, "`dirty` is 0, expected true or false"),
    ({"network": None}, "`network` is null, which a record of trained weights cannot have"),
    ({"training": None}, "`training` is null"),
    ({"network.parameters": "many"}, "network: `parameters` is 'many'"),
    ({"network.macs_256": 1.5}, "network: `macs_256` is 1.5"),
    ({"training.steps": True}, "training: `steps` is True, expected a whole number"),
    ({"training.seconds": float("nan")}, "training: `seconds` is nan"),
    ({"checkpoint.selection": "published"}, "`selection` is 'published'"),
    ({"scores": []}, "`scores` is [], expected a mapping"),
    ({"scores.mini": None}, "`mini` is None"),
    ({"scores.mini.psnr": None}, "scores.mini: `psnr` is None"),
    ({"scores.mini.psnr": 26.0}, "`psnr` is 26.0, the mean of its images is 25.5000"),
    ({"scores.mini.images": 5}, "lists 4 images and says 5"),
    ({"scores.mini.per_image": [1, 2, 3, 4]}, "`per_image` must list mappings"),
    ({"scores.mini.protocol": {"psnr": "psnr_uint8"}}, "`ssim` is missing"),
]


def row_of(table: Table, key: str) -> Row:
    """Return the first row of a key."""
    return next(row for row in table.rows if row.key == key)


@pytest.mark.parametrize(("changes", "said"), DAMAGE)
def test_a_wrong_record_is_named_and_empties_only_its_cell(mini: Store, changes: dict[str, Any], said: str) -> None:
    before = build_table(load_spec("table1"), mini.runs, "mini")
    mini.write("dffm_msrm", 0, 25.5, changes=changes)
    after = build_table(load_spec("table1"), mini.runs, "mini")
    row = row_of(after, "dffm_msrm")
    assert not row.measured
    assert not row.runs
    assert "runs/table1/mini/dffm_msrm/seed0/metrics.json" in row.reasons["mini"]
    assert said in row.reasons["mini"]
    assert [row for row in after.rows if row.key != "dffm_msrm"] == [
        row for row in before.rows if row.key != "dffm_msrm"
    ]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"schema": 1}'])
def test_a_file_that_is_no_record_is_a_named_gap(mini: Store, content: bytes) -> None:
    file = mini.folder("dffm_msrm", 0) / "metrics.json"
    file.write_bytes(content)
    row = row_of(build_table(load_spec("table1"), mini.runs, "mini"), "dffm_msrm")
    assert "dffm_msrm/seed0/metrics.json: " in row.reasons["mini"]
    assert "\n" not in row.reasons["mini"]


def test_a_record_that_cannot_be_opened_is_a_named_gap(mini: Store) -> None:
    file = mini.folder("dffm_msrm", 0) / "metrics.json"
    file.unlink()
    file.mkdir()
    row = row_of(build_table(load_spec("table1"), mini.runs, "mini"), "dffm_msrm")
    assert "dffm_msrm/seed0/metrics.json: cannot be read" in row.reasons["mini"]


def test_a_run_that_has_begun_is_unfinished(store: Store) -> None:
    store.write("dffm_msrm", 0)
    store.folder("dffm_msrm", 1).mkdir()
    runs, problems = find_runs(store.runs / "table1" / "mini", "dffm_msrm")
    assert [run.seed for run in runs] == [0]
    assert problems == ["runs/table1/mini/dffm_msrm/seed1 is unfinished: it has no metrics.json"]


def test_seeds_are_read_in_numeric_order_and_other_folders_ignored(store: Store) -> None:
    for seed in (10, 2, 0):
        store.write("dffm_msrm", seed)
    store.folder("dffm_msrm", "1-old").mkdir()
    store.folder("dffm_msrm", "01").mkdir()
    runs, problems = find_runs(store.runs / "table1" / "mini", "dffm_msrm")
    assert [run.seed for run in runs] == [0, 2, 10]
    assert not problems


def test_a_dirty_commit_says_so(store: Store) -> None:
    file = store.write("dffm_msrm", 0, changes={"commit": "abc1234", "dirty": True})
    run = read_run(store.runs / "table1" / "mini", file.parent, "dffm_msrm", "trained")
    assert run.commit == "abc1234+dirty"


def test_uncounted_operations_are_none(store: Store) -> None:
    file = store.write("dffm_msrm", 0, changes={"network.macs_256": None})
    run = read_run(store.runs / "table1" / "mini", file.parent, "dffm_msrm", "trained")
    assert run.network is not None
    assert run.network.macs_256 is None


LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers()), st.just({})
)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_no_damage_raises_anything_but_a_named_error(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = Store(tmp_path_factory.mktemp("damage") / "runs")
    file = store.write("dffm_msrm", 0)
    if data.draw(st.booleans(), label="cut"):
        file.write_bytes(file.read_bytes()[: data.draw(st.integers(0, file.stat().st_size - 1), label="length")])
    else:
        content = json.loads(file.read_text())
        part = content
        while True:
            key = data.draw(st.sampled_from(sorted(part) if isinstance(part, dict) else range(len(part))))
            inner = part[key]
            if not inner or not isinstance(inner, dict | list) or data.draw(st.booleans()):
                break
            part = inner
        part[key] = data.draw(LEAVES, label="value")
        file.write_text(json.dumps(content))
    base = Path(store.runs, "table1", "mini")
    runs, problems = find_runs(base, "dffm_msrm")
    assert len(runs) + len(problems) == 1
    assert all("runs/table1/mini/dffm_msrm/seed0/metrics.json" in problem for problem in problems)
    if runs:
        write_table(load_spec("table1"), store.runs, "mini")
