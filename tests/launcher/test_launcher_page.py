"""The page that a sweep keeps current: it is there while the sweep runs, and no job ever pays for it."""

import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra_plugins.deblur_lit_launcher import _page
from hydra_plugins.deblur_lit_launcher._page import SweepPage
from toy import RUNS, Run, Start, is_running, processes_of, wait_for, wait_until_asleep

from deblur_lit import runs

STUDY = RUNS.parent


def said(place: Path) -> str:
    """What the page says of the jobs' states."""
    text = (place / STUDY / "report.html").read_text()
    return text.partition('<div class="share"')[2].partition("<p>")[2].partition("</p>")[0]


def test_a_sweep_leaves_a_page_of_how_it_ended(place: Path, run: Run) -> None:
    done = run("-m", "ablation=baseline,crash,dffm")
    assert (done.returncode, done.stderr) == (1, "")
    assert said(place) == "3 jobs: 2 finished, 1 failed."
    text = (place / STUDY / "report.html").read_text()
    assert "<p>exit status 1 without metrics.json, log: runs/table2/mini/crash/seed0/job.out</p>" in text
    assert "the network exploded</pre>" in text
    assert '"live": false' in text
    assert not processes_of(place)


def test_while_it_runs_the_page_says_what_runs_and_what_waits_and_afterwards_what_was_stopped(
    place: Path, start: Start, run: Run
) -> None:
    with start("-m", "ablation=baseline,sleep,dffm") as sweep:
        wait_until_asleep(place / RUNS / "sleep/seed0")
        wait_for(lambda: said(place) == "3 jobs: 1 finished, 1 running, 1 waiting.", "a page of the running sweep")
        assert '"live": true' in (place / STUDY / "report.html").read_text()
        sweep.send_signal(signal.SIGTERM)
        sweep.communicate(timeout=60)
    assert not processes_of(place)
    assert said(place) == "3 jobs: 1 finished, 2 stopped."
    assert run("-m", "ablation=baseline,sleep,dffm").returncode == 0
    assert said(place) == "3 jobs: 3 finished."


def test_a_killed_sweep_leaves_a_page_that_says_so_and_no_process(place: Path, start: Start) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux ends a process with its parent")
    with start("-m", "ablation=sleep,dffm") as sweep:
        wait_until_asleep(place / RUNS / "sleep/seed0")
        wait_for(lambda: (place / STUDY / "report.html").exists(), "a first page")
        sweep.kill()
    wait_for(lambda: not processes_of(place), "the end of the job and of what writes the page")
    assert said(place) == "2 jobs: 2 stopped."


def test_a_page_that_cannot_be_written_costs_one_line(place: Path, run: Run) -> None:
    (place / STUDY / "report.html").mkdir(parents=True)
    done = run("-m", "ablation=baseline,dffm,msrm")
    assert done.returncode == 0
    assert "3 jobs: 3 done" in done.stdout
    assert done.stderr.startswith("report: ")
    assert "report.html is a folder" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_plan_that_cannot_be_written_costs_one_line(place: Path, run: Run) -> None:
    (place / STUDY).mkdir(parents=True)
    (place / STUDY / ".sweep").touch()
    done = run("-m", "ablation=baseline,dffm")
    assert (done.returncode, done.stderr) == (0, "")
    [line] = [line for line in done.stdout.splitlines() if line.startswith("report: ")]
    assert line.endswith("; the sweep goes on without its page")
    assert not (place / STUDY / "report.html").exists()


def test_a_sweep_can_do_without_a_page(place: Path, run: Run) -> None:
    assert run("-m", "ablation=baseline", "hydra.launcher.report_seconds=null").returncode == 0
    assert [path.name for path in (place / STUDY).iterdir() if path.name != "multirun.yaml"] == ["mini"]


@pytest.fixture
def jobs(tmp_path: Path) -> list[Any]:
    """Two jobs of a sweep that nobody starts."""
    root = tmp_path / "runs/mine"
    return [
        SimpleNamespace(root=root, folder=root / f"mini/{row}/seed0", status="new", reason="")
        for row in ("baseline", "dffm")
    ]


@pytest.fixture
def writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in place of the one that writes the page."""
    monkeypatch.setattr(_page, "WRITER", "writer")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_page, "LAST_SECONDS", 0.2)
    return tmp_path / "writer.py"


def test_a_writer_that_hangs_delays_nothing_and_is_ended(
    writer: Path, jobs: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    writer.write_text("import time; time.sleep(600)")
    with SweepPage(jobs, 10) as page:
        assert page._writer is not None
        pid = page._writer.pid
        filled = 0
        try:
            while True:
                filled += _page.os.write(page._writer.stdin.fileno(), b"\n" * 4096)  # type: ignore[union-attr]
        except BlockingIOError:
            assert filled >= 4096
        page.changed()
    assert not is_running(pid)
    assert capsys.readouterr().out == "report: not written for the last time within 0 s\n"


def test_a_writer_that_breaks_is_named_once(writer: Path, jobs: list[Any], capfd: pytest.CaptureFixture[str]) -> None:
    writer.write_text("import sys; sys.exit(3)")
    with SweepPage(jobs, 10) as page:
        assert page._writer is not None
        page._writer.wait(60)
        for _ in range(3):
            page.changed()
    assert capfd.readouterr().out == (
        "report: RuntimeError: writer ended with exit status 3; the sweep goes on without its page\n"
    )


def test_while_a_sweep_lives_its_plan_is_held_and_afterwards_free(writer: Path, jobs: list[Any]) -> None:
    writer.write_text("import sys; sys.stdin.read()")
    with SweepPage(jobs, 10) as page:
        assert f"process {_page.os.getpid()} on " in (page._place / ".lock").read_text()
        jobs[0].status, jobs[0].reason = "failed", "exit status 1"
        page.changed()
        assert '"reason": "exit status 1"' in (page._place / "jobs.json").read_text()
        assert not list(page._place.glob(".jobs*"))
    runs.check_unlocked(page._place)


def test_the_same_jobs_have_the_same_plan_and_others_another(writer: Path, jobs: list[Any]) -> None:
    writer.write_text("import sys; sys.stdin.read()")
    places = []
    for some in (jobs, jobs, jobs[:1]):
        with SweepPage(some, 10) as page:
            places.append(page._place)
    assert places[0] == places[1] != places[2]
    assert {place.parent for place in places} == {jobs[0].root / ".sweep"}


def test_when_nothing_is_to_be_run_nothing_is_written(writer: Path, jobs: list[Any]) -> None:
    for job in jobs:
        job.status = "finished"
    with SweepPage(jobs, 10) as page:
        page.changed()
    assert not jobs[0].root.exists()
