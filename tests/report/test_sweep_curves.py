"""Curves of a sweep: joined over restarts, averaged over seeds, and never too many points."""

import itertools
from pathlib import Path

import pytest
from sweep_store import Sweep

from deblur_lit.report.sweep import curves
from deblur_lit.report.sweep.curves import charts, last_step, missing, read_curves


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return Sweep(tmp_path / "runs")


def losses(*steps: int, value: float = 1.0) -> list[dict[str, float]]:
    return [{"step": step - 1, "train/loss": value} for step in steps]


def test_a_resumed_run_counts_no_step_twice_and_the_last_start_wins(sweep: Sweep) -> None:
    sweep.log("dffm", 0, losses(10, 20, 30, 40, value=1.0))
    sweep.log("dffm", 0, losses(30, 40, 50, value=2.0), version=1)
    sweep.log("dffm", 0, losses(60, value=3.0), version=10)  # behind version 2, not version 1
    sweep.log("dffm", 0, losses(50, value=2.5), version=2)
    assert read_curves(sweep.folder("dffm"))["train/loss"] == {
        **{10: 1.0, 20: 1.0, 30: 2.0, 40: 2.0},
        **{50: 2.5, 60: 3.0},
    }


def test_steps_that_a_restart_threw_away_are_gone_also_where_it_logged_other_ones(sweep: Sweep) -> None:
    sweep.log("dffm", 0, [*losses(10, 20, 30), {"step": 29, "val/psnr": 30.0}])
    sweep.log("dffm", 0, losses(21), version=1)
    assert read_curves(sweep.folder("dffm")) == {"train/loss": {10: 1.0, 20: 1.0, 21: 1.0}}


def test_a_start_that_logged_nothing_changes_nothing(sweep: Sweep) -> None:
    sweep.log("dffm", 0, losses(10, 20))
    sweep.log("dffm", 0, [], version=1)
    (sweep.folder("dffm") / "logs/version_2").mkdir()
    assert read_curves(sweep.folder("dffm"))["train/loss"].keys() == {10, 20}


def test_a_line_that_is_being_written_and_what_is_no_number_are_left_out(sweep: Sweep) -> None:
    path = sweep.log("dffm", 0, losses(10, 20))
    with path.open("a") as file:
        file.write("0,29,nan\nx,y,z\n0,39,inf\n\n0,49,0.5\n0,59,0.12")
    assert read_curves(sweep.folder("dffm"))["train/loss"] == {10: 1.0, 20: 1.0, 50: 0.5}


def test_a_file_that_grew_is_read_again(sweep: Sweep) -> None:
    path = sweep.log("dffm", 0, losses(10))
    assert last_step(read_curves(sweep.folder("dffm"))) == 10
    with path.open("a") as file:
        file.write(",19,2.0\n")
    assert last_step(read_curves(sweep.folder("dffm"))) == 20


def test_a_folder_without_logs_has_no_curves(tmp_path: Path) -> None:
    assert read_curves(tmp_path) == {}
    assert last_step({}) is None


def test_a_line_is_the_mean_over_seeds_and_its_band_their_range() -> None:
    [chart] = charts({"dffm": [{"val/psnr": {10: 30.0, 20: 31.0}}, {"val/psnr": {10: 32.0}}]})
    curve = chart.curves["dffm"]
    assert (curve.steps, curve.mean) == ([10, 20], [31.0, 31.0])
    assert (curve.low, curve.high, curve.count) == ([30.0, 31.0], [32.0, 31.0], [2, 1])


def test_one_seed_has_a_band_without_width() -> None:
    [chart] = charts({"dffm": [{"val/psnr": {10: 30.0}}]})
    assert chart.curves["dffm"].low == chart.curves["dffm"].mean == chart.curves["dffm"].high == [30.0]


def test_many_points_become_means_of_each_seed_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "POINTS", 4)
    seeds = [{"train/loss": {step: float(step + shift) for step in range(1, 9)}} for shift in (0, 10)]
    [chart] = charts({"dffm": seeds})
    curve = chart.curves["dffm"]
    assert chart.width == 2
    assert curve.steps == [2, 4, 6, 8]
    assert curve.low == [1.5, 3.5, 5.5, 7.5]  # not 1, 3, 5, 7: a range of seeds, not of steps
    assert curve.high == [11.5, 13.5, 15.5, 17.5]
    assert curve.count == [2, 2, 2, 2]


@pytest.mark.parametrize("last", [241, 1000, 157_000])
def test_there_are_never_more_points_than_promised(last: int) -> None:
    [chart] = charts({"dffm": [{"train/loss": dict(zip(range(1, last + 1), itertools.repeat(1.0), strict=False))}]})
    assert curves.POINTS / 2 <= len(chart.curves["dffm"].steps) <= curves.POINTS


def test_what_is_looked_for_first_comes_first_and_what_is_not_there_is_named() -> None:
    logged = ["gpu/memory", "train/frequency", "lr-Adam", "train/content", "val/ssim", "val/psnr"]
    found = charts({"dffm": [{name: {1: 1.0} for name in logged}]})
    assert [chart.name for chart in found] == [
        *("val/psnr", "val/ssim", "train/content", "train/frequency"),
        *("lr-Adam", "gpu/memory"),
    ]
    assert missing(found) == ["train/loss"]
    assert missing([]) == list(curves.EXPECTED)


def test_of_a_long_training_means_are_held_and_every_validation(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "FINE", 50)
    sweep.log("dffm", 0, [{"step": step, "train/loss": float(step), "val/psnr": float(step)} for step in range(1000)])
    sweep.log("dffm", 0, [{"step": 900, "train/loss": -1.0}], version=1)
    log = read_curves(sweep.folder("dffm"))
    assert list(log["val/psnr"].values()) == list(range(900))
    assert 45 <= len(log["train/loss"]) <= 51
    assert log["train/loss"][901] == -1.0
    assert sorted(log["train/loss"])[-2] == 900  # nothing of what was done again is in the last mean
    assert log["train/loss"][900] == sum(range(882, 900)) / 18
