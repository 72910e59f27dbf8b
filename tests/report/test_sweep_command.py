"""`deblur-lit report RUNS`: what it writes, when it stops watching, and how it tells folders from tables."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sweep_store import Sweep

from deblur_lit.report.__main__ import main
from deblur_lit.report.sweep.watch import follow, watch


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    sweep = Sweep(tmp_path / "runs")
    sweep.finish("baseline", 0, 29.0)
    return sweep


def test_a_folder_of_runs_becomes_a_page_in_it(sweep: Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(sweep.root)]) == 0
    assert capsys.readouterr().out == f"1 finished\n{sweep.root / 'report.html'}\n"
    assert (sweep.root / "report.html").read_text().startswith("<!doctype html>")
    assert sorted(path.name for path in sweep.root.iterdir()) == ["mini", "report.html"]


def test_the_page_can_be_written_elsewhere(sweep: Sweep, tmp_path: Path) -> None:
    assert main([str(sweep.root), "-o", str(tmp_path / "new/page.html")]) == 0
    assert (tmp_path / "new/page.html").is_file()
    assert not (sweep.root / "report.html").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["table9"], "no table 'table9' and no folder of that name; tables are table1, table2"),
        (["table1", "--watch"], "--watch is for a folder of runs, and table1 is a table"),
        (["table1", "--baseline", "dffm"], "--baseline is for a folder of runs, and table1 is a table"),
        (["RUNS", "--data", "mini"], "--data is for a table, and "),
        (["RUNS", "--optional"], "--optional is for a table, and "),
        (["RUNS", "--baseline", "dfm"], "has no row 'dfm'; there is baseline"),
        (["RUNS", "-o", "RUNS"], "is a folder: name a file for the page, such as "),
        (["RUNS/mini/baseline/seed0/metrics.json"], "is a file: name the folder of runs that it lies in"),
        (["RUNS/mini/baseline/seed0/empty"], "holds no run: "),
    ],
)
def test_a_mistake_is_one_line(sweep: Sweep, words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    (sweep.folder("baseline") / "empty").mkdir()
    assert main([word.replace("RUNS", str(sweep.root)) for word in words]) == 1
    error = capsys.readouterr().err
    assert error.startswith("report: ")
    assert said in error
    assert error.count("\n") == 1


def test_a_folder_that_is_called_like_a_table_is_meant_with_a_slash(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep.root.rename(sweep.root.with_name("table1"))
    monkeypatch.chdir(sweep.root.parent)
    assert main(["table1"]) == 1
    assert "no runs of table1 on mini" in capsys.readouterr().err
    assert main(["./table1"]) == 0


@pytest.mark.parametrize("seconds", ["0", "-1", "x", "inf", "nan"])
def test_an_interval_is_a_number_of_seconds(sweep: Sweep, seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([str(sweep.root), f"--watch={seconds}"])
    assert "--watch" in capsys.readouterr().err


def test_watching_ends_when_nothing_is_to_come(sweep: Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(sweep.root), "--watch", "0.1"]) == 0
    assert capsys.readouterr().out == f"1 finished\n{sweep.root / 'report.html'}\n"


def test_watching_writes_again_and_tells_what_changed(sweep: Sweep) -> None:
    sweep.plan({("baseline", 0): "done", ("dffm", 0): "new", ("msrm", 0): "new"})
    page = sweep.root / "report.html"
    written, said, slept = [], [], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        written.append(page.read_text())
        if len(slept) == 2:
            sweep.finish("dffm", 0, 29.5)
        if len(slept) == 3:
            sweep.plan({("msrm", 0): "failed"}, reason="exit status 1")

    assert watch(sweep.root, None, "baseline", 7.0, said.append, sleep) == page
    assert slept == [7.0] * 3
    assert said == ["1 finished, 2 waiting", "2 finished, 1 waiting", "2 finished, 1 failed"]
    assert written[0] == written[1] != written[2] != page.read_text()


def test_an_interrupt_ends_watching_without_a_trace(sweep: Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    sweep.plan({("dffm", 0): "new"})

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deblur_lit.report.sweep.watch.time.sleep", interrupt)
        patch.setattr("deblur_lit.report.sweep.watch.watch.__defaults__", (interrupt,))
        assert main([str(sweep.root), "--watch"]) == 130
    assert capsys.readouterr().out == "1 finished, 1 waiting\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    os.close(ends[0])


def test_a_page_that_follows_a_sweep_is_written_at_its_end(sweep: Sweep, pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"\n" * 3)
    os.close(pipe[1])
    follow(sweep.root, 60, pipe[0])  # returns: three bytes at once, then the end
    assert "1 job: 1 finished." in (sweep.root / "report.html").read_text()


def test_jobs_that_end_behind_their_sweep_end_on_the_page_too(
    sweep: Sweep, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep.plan({("dffm", 0): "new"})
    os.close(pipe[1])
    slept = []

    def end(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            sweep.finish("dffm", 0, 29.5)

    monkeypatch.setattr("deblur_lit.report.sweep.watch.time.sleep", end)
    follow(sweep.root, 60, pipe[0])
    assert len(slept) == 3
    assert "2 jobs: 2 finished." in (sweep.root / "report.html").read_text()


def test_what_is_wrong_is_said_once_and_following_goes_on(
    sweep: Sweep, pipe: tuple[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    (sweep.root / "report.html").mkdir()
    os.write(pipe[1], b"\n")
    os.close(pipe[1])
    follow(sweep.root, 60, pipe[0])
    said = capsys.readouterr().err
    assert said.startswith(f"report: {sweep.root / 'report.html'} is a folder")
    assert said.endswith("; the sweep goes on\n")
    assert said.count("\n") == 1


def test_the_process_that_follows_ends_with_its_pipe_and_yields_to_others(sweep: Sweep) -> None:
    command = [sys.executable, "-m", "deblur_lit.report.sweep.watch", str(sweep.root), "0.1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        while not (sweep.root / "report.html").exists() and time.monotonic() < deadline:  # written without a nudge
            time.sleep(0.05)
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == 19
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(60) == 0
