"""What each job of a sweep is at, told from its folder, from the sweep's plan and from who lives."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sweep_store import Sweep

from deblur_lit import runs
from deblur_lit.report.sweep import alive
from deblur_lit.report.sweep.jobs import Job, counts, is_live, read_jobs
from deblur_lit.report.sweep.log import Printed, read_log

DEAD = 999_999_999  # no process has this number


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return Sweep(tmp_path / "runs")


def only(sweep: Sweep) -> Job:
    [job] = read_jobs(sweep.root)
    return job


def test_a_record_makes_a_job_finished_whatever_else_lies_there(sweep: Sweep) -> None:
    sweep.finish("dffm", 1, 31.0)
    sweep.hold(sweep.folder("dffm", 1))
    job = only(sweep)
    assert (job.state, job.row, job.seed, job.data, job.title) == ("finished", "dffm", 1, "mini", "+ DFFM")
    assert (job.step, job.steps) == (900, 900)
    assert job.images_per_second == pytest.approx(7200 / 180.1)


def test_a_living_process_makes_a_job_running(sweep: Sweep) -> None:
    sweep.start("dffm")
    with runs.lock(sweep.folder("dffm")):
        assert only(sweep).state == "running"
    assert only(sweep).state == "stopped"


def test_looking_does_not_take_the_lock(sweep: Sweep) -> None:
    sweep.start("dffm")
    with runs.lock(sweep.folder("dffm")):
        before = (sweep.folder("dffm") / ".lock").stat()
        read_jobs(sweep.root)
        assert (sweep.folder("dffm") / ".lock").stat() == before


@pytest.mark.parametrize("text", ["", "process x on y", f"process {DEAD} on {{host}}", "process 1 on"])
def test_a_lock_without_a_living_process_does_not(sweep: Sweep, text: str) -> None:
    path = sweep.start("dffm")
    (path / ".lock").write_text(text.format(host=alive.socket.gethostname()))
    assert only(sweep).state == "stopped"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells when a process began")
def test_a_process_that_is_younger_than_the_lock_has_only_its_number(sweep: Sweep) -> None:
    path = sweep.start("dffm")
    sweep.hold(path)
    os.utime(path / ".lock", (0, 0))
    assert only(sweep).state == "stopped"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells that a process is a zombie")
def test_a_process_that_ended_and_was_not_waited_for_does_not_live(sweep: Sweep) -> None:
    path = sweep.start("dffm")
    with subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read()
        while Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
            time.sleep(0.01)
        sweep.hold(path, process.pid)
        assert only(sweep).state == "stopped"


def test_on_another_host_signs_of_life_decide(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sweep.start("dffm")
    sweep.hold(path, host="elsewhere")
    assert only(sweep).state == "running"
    later = time.time() + alive.SILENT_SECONDS + 60
    monkeypatch.setattr(alive.time, "time", lambda: later)
    assert only(sweep).state == "stopped"


def test_a_job_that_a_living_sweep_plans_waits_without_a_folder(sweep: Sweep) -> None:
    sweep.start("dffm")
    (sweep.folder("dffm") / "last.ckpt").touch()
    sweep.plan({("dffm", 0): "begun", ("msrm", 0): "new"})
    begun, new = read_jobs(sweep.root)
    assert (begun.state, begun.note) == ("waiting", "continues from its last checkpoint")
    assert (new.state, new.note, new.seen) == ("waiting", "", None)
    assert is_live([begun, new])


def test_what_a_dead_sweep_had_planned_is_stopped(sweep: Sweep) -> None:
    place = sweep.plan({("msrm", 0): "new"})
    sweep.hold(place, DEAD)
    assert (only(sweep).state, only(sweep).note) == ("stopped", "never started")
    assert not is_live(read_jobs(sweep.root))


@pytest.mark.parametrize("living", [True, False])
def test_a_failed_job_says_why_until_it_runs_again(sweep: Sweep, living: bool) -> None:
    sweep.say(
        "msrm", 0, "$ python -m deblur_lit.train", "step 1/9 | 1.0 images/s | 0:00:01 left", "the network exploded"
    )
    sweep.plan({("msrm", 0): "failed"}, alive=living, reason="exit status 1")
    job = only(sweep)
    assert (job.state, job.note) == ("failed", "exit status 1")
    assert job.printed.last_lines[-1] == "the network exploded"
    sweep.hold(sweep.folder("msrm"))
    assert only(sweep).state == "running"


def test_a_damaged_record_is_a_failure_that_names_the_file(sweep: Sweep) -> None:
    (sweep.start("dffm") / "metrics.json").write_text("{")
    assert only(sweep).state == "failed"
    assert "mini/dffm/seed0/metrics.json: is not JSON" in only(sweep).note


def test_of_two_sweeps_the_living_one_counts_and_else_the_later(sweep: Sweep) -> None:
    first = sweep.plan({("dffm", 0): "failed"}, reason="first", name="first")
    sweep.plan({("dffm", 0): "failed"}, alive=False, reason="second", name="second")
    assert only(sweep).note == "first"
    (first / ".lock").unlink()
    os.utime(first / "jobs.json", (0, 0))
    assert only(sweep).note == "second"


@pytest.mark.parametrize("text", ["{", "[]", '{"jobs": 1}', '{"jobs": [{"folder": 1}]}', '{"jobs": [{"folder": "/"}]}'])
def test_a_damaged_plan_says_nothing(sweep: Sweep, text: str) -> None:
    sweep.finish("dffm", 0, 31.0)
    (sweep.plan({}) / "jobs.json").write_text(text)
    assert counts(read_jobs(sweep.root)) == {"finished": 1}


def test_a_plan_leads_to_no_other_place(sweep: Sweep) -> None:
    sweep.finish("dffm", 0, 31.0)
    place = sweep.plan({("msrm", 0): "new"})
    text = (place / "jobs.json").read_text()
    for folder in ("../outside", "/etc", "mini/../../outside"):
        (place / "jobs.json").write_text(text.replace("mini/msrm/seed0", folder))
        assert [job.row for job in read_jobs(sweep.root)] == ["dffm"]


def test_jobs_come_in_the_order_of_the_sweep_then_by_name_and_number(sweep: Sweep) -> None:
    for seed in (10, 9):
        sweep.start("aff", seed)
    sweep.plan({("msrm", 0): "new", ("dffm", 0): "new"})
    jobs = [(job.row, job.seed) for job in read_jobs(sweep.root)]
    assert jobs == [("msrm", 0), ("dffm", 0), ("aff", 9), ("aff", 10)]


def test_a_plan_is_found_from_above_and_from_within(sweep: Sweep) -> None:
    sweep.start("dffm")
    sweep.plan({("dffm", 0): "new", ("msrm", 0): "new"})
    assert [job.folder for job in read_jobs(sweep.root.parent)] == ["mine/mini/dffm/seed0", "mine/mini/msrm/seed0"]
    assert [job.folder for job in read_jobs(sweep.root / "mini")] == ["dffm/seed0", "msrm/seed0"]
    [job] = read_jobs(sweep.folder("dffm"))
    assert (job.folder, job.data, job.row, job.seed, job.state) == (".", "mini", "dffm", 0, "waiting")


def test_a_changed_value_is_part_of_the_title(sweep: Sweep) -> None:
    path = sweep.start("dffm+optimizer.lr=0.1")
    sweep.start("baseline")
    path.joinpath("config.yaml").write_text("card: {name: unet}\nablation: {title: + DFFM}\n")
    assert [job.title for job in read_jobs(sweep.root)] == ["baseline", "+ DFFM, optimizer.lr=0.1"]
    path.joinpath("config.yaml").write_text("card: {name: srn, title: SRN}\nablation: {title: baseline}\n")
    assert [job.title for job in read_jobs(sweep.root)] == ["baseline", "SRN, optimizer.lr=0.1"]


def test_what_was_changed_in_all_rows_is_part_of_no_title(sweep: Sweep) -> None:
    for row in ("baseline", "dffm"):
        for rate in (1, 2):
            path = sweep.start(f"{row}+data.val=[a,b],optimizer.lr={rate}")
            path.joinpath("config.yaml").write_text(f"card: {{name: unet}}\nablation: {{title: {row}}}\n")
    titles = [job.title for job in read_jobs(sweep.root)]
    assert titles == [f"{row}, optimizer.lr={rate}" for row in ("baseline", "dffm") for rate in (1, 2)]


def test_a_waiting_job_is_called_as_other_seeds_of_its_row(sweep: Sweep) -> None:
    sweep.start("dffm", 0)
    sweep.plan({("dffm", 0): "new", ("dffm", 1): "new", ("msrm", 0): "new"})
    assert [job.title for job in read_jobs(sweep.root)] == ["+ DFFM", "+ DFFM", "msrm"]


def test_progress_is_that_of_the_last_start(sweep: Sweep) -> None:
    sweep.say("dffm", 0, "$ python -m deblur_lit.train seed=0", "step 90/840 | loss 0.2 | 9.0 images/s | 0:09:09 left")
    sweep.say("dffm", 0, "$ python -m deblur_lit.train seed=0", "plan: 840 steps of 4 crops")
    log = sweep.folder("dffm") / "job.out"
    assert read_log(log) == Printed(
        None, 840, None, None, "python -m deblur_lit.train seed=0", ("plan: 840 steps of 4 crops",)
    )
    sweep.say("dffm", 0, "bar \rstep 100/840 | loss 0.2 | val psnr 31.1 dB | 32.4 images/s | 2 days, 1:00:09 left\r")
    told = read_log(log)
    assert (told.step, told.steps, told.images_per_second) == (100, 840, 32.4)
    assert told.seconds_left == 49 * 3600 + 9


def test_of_a_long_log_the_beginning_and_the_end_are_read(sweep: Sweep) -> None:
    sweep.say("dffm", 0, "$ the command", *(f"line {index}" for index in range(30_000)))
    told = read_log(sweep.folder("dffm") / "job.out")
    assert told.command == "the command"
    assert told.last_lines[-1] == "line 29999"


def test_a_run_outside_of_a_sweep_tells_its_steps_by_its_log(sweep: Sweep) -> None:
    sweep.learn("dffm", 0, 200, 3.0)
    sweep.start("dffm", 0, trainer={"max_steps": 500})
    assert (only(sweep).step, only(sweep).steps) == (200, 500)
    sweep.start("dffm", 0, trainer={"max_steps": -1})
    assert only(sweep).steps is None


def test_a_folder_without_runs_is_an_error_that_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds no run: no folder below it has one of config\.yaml"):
        read_jobs(tmp_path)


def test_nothing_below_a_run_is_taken_for_a_run(sweep: Sweep) -> None:
    (sweep.start("dffm") / "evaluations/gopro").mkdir(parents=True)
    (sweep.folder("dffm") / "evaluations/gopro/metrics.json").write_text("{}")
    assert only(sweep).folder == "mini/dffm/seed0"
