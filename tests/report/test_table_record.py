"""Keeping a finished table under experiments/."""

import csv
import shutil
from pathlib import Path

import pytest
from run_store import COMMIT, Store

from deblur_lit.report import load_spec, record, write_table


@pytest.fixture
def experiments(tmp_path: Path) -> Path:
    """Where tables are kept."""
    return tmp_path / "experiments"


def kept(experiments: Path) -> list[str]:
    """Return every file there, below its table."""
    return sorted(str(file.relative_to(experiments)) for file in experiments.rglob("*") if file.is_file())


def test_a_finished_table_is_copied_with_its_records(mini: Store, experiments: Path) -> None:
    mini.write("dmphn", "published", 25.0)
    folder = write_table(load_spec("table1"), mini.runs, "mini")[0].parent
    copied = record(folder, experiments)
    assert kept(experiments) == [
        "table1/mini/result.csv",
        "table1/mini/rows/blur.json",
        "table1/mini/rows/dffm_msrm/seed0.json",
        "table1/mini/rows/dmphn/published.json",
        "table1/mini/rows/mimo_unet/seed0.json",
        *(f"table1/mini/table.{suffix}" for suffix in ("csv", "html", "json", "md", "tex")),
    ]
    assert sorted(str(file.relative_to(experiments)) for file in copied) == kept(experiments)
    target = experiments / "table1" / "mini"
    assert (target / "table.md").read_bytes() == (folder / "table.md").read_bytes()
    source = mini.folder("dffm_msrm", 0) / "metrics.json"
    assert (target / "rows" / "dffm_msrm" / "seed0.json").read_bytes() == source.read_bytes()


def test_the_result_has_a_line_for_each_seed_with_its_commit(store: Store, experiments: Path) -> None:
    store.missing({row.key: "not wanted" for row in load_spec("table2").rows}, table="table2")
    for seed in range(3):
        store.write("dffm", seed, 25.0 + seed, table="table2", changes={"dirty": seed == 2})
    folder = write_table(load_spec("table2"), store.runs, "mini")[0].parent
    record(folder, experiments)
    with (experiments / "table2" / "mini" / "result.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["row"], line["seed"], float(line["psnr"])) for line in lines] == [
        ("dffm", "0", 25.0),
        ("dffm", "1", 26.0),
        ("dffm", "2", 27.0),
    ]
    assert [line["commit"] for line in lines] == [COMMIT, COMMIT, f"{COMMIT}+dirty"]


def test_recording_again_removes_rows_that_are_gone_and_nothing_else(mini: Store, experiments: Path) -> None:
    mini.write("dffm_msrm", 1, 25.5)
    folder = write_table(load_spec("table1"), mini.runs, "mini")[0].parent
    record(folder, experiments)
    note = experiments / "table1" / "mini" / "README.md"
    note.write_text("Deviations.")
    shutil.rmtree(mini.folder("dffm_msrm", 1))
    write_table(load_spec("table1"), mini.runs, "mini")
    record(folder, experiments)
    assert "table1/mini/rows/dffm_msrm/seed1.json" not in kept(experiments)
    assert "table1/mini/rows/dffm_msrm/seed0.json" in kept(experiments)
    assert note.read_text() == "Deviations."


@pytest.mark.parametrize("name", ["table.md", "table.csv", "table.json", "table.tex", "table.html"])
def test_an_edited_table_is_stale(mini: Store, experiments: Path, name: str) -> None:
    folder = write_table(load_spec("table1"), mini.runs, "mini")[0].parent
    file = folder / name
    file.write_text(file.read_text().replace("25.4", "35.4"))
    with pytest.raises(ValueError, match=rf"{name} is stale"):
        record(folder, experiments)
    assert not experiments.exists()


def test_a_table_older_than_its_runs_is_stale(mini: Store, experiments: Path) -> None:
    folder = write_table(load_spec("table1"), mini.runs, "mini")[0].parent
    mini.write("mimo_unet", 0, 26.0)
    with pytest.raises(ValueError, match="is stale: make the table again"):
        record(folder, experiments)


def test_rows_begun_damaged_or_never_tried_refuse(mini: Store, experiments: Path) -> None:
    mini.folder("dffm_msrm", 1).mkdir()
    (mini.folder("mimo_unet", 0) / "metrics.json").write_text("{")
    mini.missing({})
    folder = write_table(load_spec("table1"), mini.runs, "mini")[0].parent
    with pytest.raises(ValueError, match="rows are unfinished") as error:
        record(folder, experiments)
    for said in (
        "dffm_msrm/seed1 is unfinished",
        "mimo_unet/seed0/metrics.json: is not JSON",
        "DMPHN (CVPR 2019)",
    ):
        assert said in str(error.value)
    assert not experiments.exists()


def test_a_control_that_was_asked_for_is_part_of_the_table(store: Store, experiments: Path) -> None:
    for row in ("baseline", "dffm", "msrm", "dffm_msrm"):
        store.write(row, table="table2")
    folder = write_table(load_spec("table2"), store.runs, "mini", optional=True)[0].parent
    with pytest.raises(ValueError, match="aff"):
        record(folder, experiments)
    store.write("aff", table="table2")
    store.write("dffm_equal_cost", table="table2")
    write_table(load_spec("table2"), store.runs, "mini", optional=True)
    assert experiments / "table2" / "mini" / "rows" / "aff" / "seed0.json" in record(folder, experiments)


def test_a_table_that_was_not_made_is_named(mini: Store, experiments: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no table\.json in .*make the table first"):
        record(mini.runs / "table1" / "mini", experiments)


def test_a_table_without_runs_is_not_kept(store: Store, experiments: Path) -> None:
    store.missing({row.key: "not wanted" for row in load_spec("table2").rows}, table="table2")
    folder = write_table(load_spec("table2"), store.runs, "mini")[0].parent
    with pytest.raises(ValueError, match="holds no finished run"):
        record(folder, experiments)
