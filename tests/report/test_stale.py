"""What changed since a run was scored is said in its cells, and in no others."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from run_store import Store, digest, spread_out

from deblur_lit.report import Table, build_table, load_spec, record, write_table
from deblur_lit.report.layout import lay_out
from deblur_lit.report.render import latex, markdown
from deblur_lit.report.table import Row

TABLE2 = load_spec("table2")
Change = Callable[[Store, Path], None]


def sha256(file: Path) -> str:
    """Return a file's hash."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.fixture
def fresh(store: Store) -> Store:
    """A Table 2 whose checkpoints, configurations and data are what was scored."""
    images = spread_out(25.0)
    for row in ("baseline", "dffm"):
        folder = store.folder(row, 0, "table2")
        folder.mkdir(parents=True)
        (folder / "best.ckpt").write_bytes(row.encode())
        (folder / "config.yaml").write_text(f"row: {row}\n")
        changes = {
            "checkpoint.sha256": digest(row),
            "scores.mini.per_image": images,
            "scores.mini.images": len(images),
        }
        store.write(row, 0, 25.0, table="table2", changes=changes)
    store.missing({row.key: "not wanted" for row in TABLE2.rows}, table="table2")
    current(store)
    return store


def current(store: Store, test: str = "mini", **changes: Any) -> None:
    """Write what the rows' data and configurations are now; `changes` are of +DFFM."""
    facts = {}
    for row in ("baseline", "dffm"):
        folder = store.folder(row, 0, "table2")
        facts[f"{row}/seed0"] = {
            "record": sha256(folder / "metrics.json"),
            "config_file": sha256(folder / "config.yaml"),
            "config_hash": digest(f"config of {row} 0"),
            "train": digest("mini train"),
            "recipe": [],
        }
    facts["dffm/seed0"] |= changes
    file = store.runs / "table2/mini/current.json"
    file.write_text(json.dumps({"test": {"mini": digest(test)}, "runs": facts}))


def row_of(table: Table, key: str) -> Row:
    """Return the row of a key."""
    return next(row for row in table.rows if row.key == key)


def test_what_did_not_change_is_not_stale(fresh: Store) -> None:
    table = build_table(TABLE2, fresh.runs, "mini")
    assert all(not cell.stale for row in table.rows for cell in row.measured.values())
    assert "baseline" in row_of(table, "dffm").measured["mini"].compared
    assert "tale" not in markdown(lay_out(table))


def edit_checkpoint(store: Store, folder: Path) -> None:
    (folder / "best.ckpt").write_bytes(b"trained on")


def edit_config(store: Store, folder: Path) -> None:
    (folder / "config.yaml").write_text("row: dffm\nseed: 5\n")


CHANGES: list[tuple[Change, str]] = [
    (edit_checkpoint, f"best.ckpt is {digest('trained on')[:12]} now, not {digest('dffm')[:12]}"),
    (edit_config, "config.yaml was edited"),
    (
        lambda store, folder: current(store, config_hash=digest("other")),
        f"config.yaml is {digest('other')[:12]} now, not {digest('config of dffm 0')[:12]}",
    ),
    (
        lambda store, folder: current(store, train=digest("more")),
        f"training images of mini are {digest('more')[:12]} now",
    ),
    (
        lambda store, folder: current(store, recipe=["network.fusion.reduction"]),
        "the table's recipe has other values of network.fusion.reduction now",
    ),
]


@pytest.mark.parametrize(("change", "said"), CHANGES)
def test_what_changed_marks_exactly_its_cells_and_says_why(fresh: Store, change: Change, said: str) -> None:
    before = build_table(TABLE2, fresh.runs, "mini")
    change(fresh, fresh.folder("dffm", 0, "table2"))
    after = build_table(TABLE2, fresh.runs, "mini")
    cell = row_of(after, "dffm").measured["mini"]
    assert len(cell.stale) == 1
    assert cell.stale[0].startswith(f"runs/table2/mini/dffm/seed0: {said}")
    assert cell.psnr == row_of(before, "dffm").measured["mini"].psnr
    assert not cell.compared
    assert [row for row in after.rows if row.key != "dffm"] == [row for row in before.rows if row.key != "dffm"]
    for text in (markdown(lay_out(after)), latex(lay_out(after))):
        assert "25.00 stale" in text
        assert "Stale: runs/" in text


def test_other_test_images_make_every_row_stale(fresh: Store) -> None:
    current(fresh, test="newer")
    table = build_table(TABLE2, fresh.runs, "mini")
    for key in ("baseline", "dffm"):
        [said] = row_of(table, key).measured["mini"].stale
        assert f"test images of mini are {digest('newer')[:12]} now, not {digest('mini')[:12]}" in said


def test_facts_about_an_older_record_say_nothing_of_a_newer_one(fresh: Store) -> None:
    current(fresh, record=digest("older"), train=digest("more"))
    assert not row_of(build_table(TABLE2, fresh.runs, "mini"), "dffm").measured["mini"].stale


def test_facts_that_could_not_be_looked_at_say_nothing(fresh: Store) -> None:
    current(fresh, train=None, config_hash=None)
    assert not row_of(build_table(TABLE2, fresh.runs, "mini"), "dffm").measured["mini"].stale
    (fresh.folder("dffm", 0, "table2") / "best.ckpt").unlink()
    assert not row_of(build_table(TABLE2, fresh.runs, "mini"), "dffm").measured["mini"].stale


@pytest.mark.parametrize("content", ["{", '{"test": {}}', '{"test": {}, "runs": {"dffm/seed0": {"record": 1}}}'])
def test_damaged_facts_are_an_error_that_names_the_file(fresh: Store, content: str) -> None:
    (fresh.runs / "table2/mini/current.json").write_text(content)
    with pytest.raises(ValueError, match=r"runs/table2/mini/current\.json"):
        build_table(TABLE2, fresh.runs, "mini")


def test_a_stale_table_is_not_recorded(fresh: Store, tmp_path: Path) -> None:
    edit_checkpoint(fresh, fresh.folder("dffm", 0, "table2"))
    folder = write_table(TABLE2, fresh.runs, "mini")[0].parent
    with pytest.raises(ValueError, match=r"cells are stale:\n  runs/table2/mini/dffm/seed0: best\.ckpt"):
        record(folder, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
