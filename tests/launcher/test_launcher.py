"""Sweeps of `hydra/launcher=subprocess`, with a toy program in place of training."""

import io
import json
import os
import signal
import sys
from pathlib import Path

import pytest
from hydra_plugins.deblur_lit_launcher import _guard, _process, _progress
from omegaconf import OmegaConf
from toy import RUNS, Run, Start, is_running, pids, processes_of, record, wait_for, wait_until_asleep

from deblur_lit import runs

RESULTS = "+hydra.callbacks.results._target_=toy.results.Results"


@pytest.mark.parametrize("entry", [("-m", "toy.train"), ("toy/train.py",), ("toy-train",)])
def test_every_job_is_a_process_with_its_own_group_and_folder(place: Path, run: Run, entry: tuple[str, ...]) -> None:
    done = run("-m", "ablation=baseline,dffm", "seed=1", entry=entry)
    assert done.returncode == 0, done.stderr
    folders = {place / RUNS / row / "seed1" for row in ("baseline", "dffm")}
    assert {path.parent for path in place.rglob(".hydra")} == folders
    assert {path.parent for path in place.rglob("metrics.json")} == folders
    assert len({pids(folder)[0] for folder in folders}) == 2
    assert all(pid == group for folder in folders for pid, group in pids(folder))
    assert record(place, "dffm", 1)["seed"] == 1
    hydra = OmegaConf.load(place / RUNS / "dffm/seed1/.hydra/hydra.yaml").hydra
    assert hydra.mode == "RUN"
    assert OmegaConf.is_missing(hydra.job, "num")


def test_output_is_shown_with_the_name_of_its_job_and_kept_in_its_folder(place: Path, run: Run) -> None:
    done = run("-m", "ablation=baseline,dffm")
    lines = done.stdout.splitlines()
    assert lines[0] == "2 jobs: 0 finished, 0 to continue, 2 to start, 0 refused"
    assert f"[row 2/2 dffm] works in {place}" in lines
    assert "[row 2/2 dffm] step 2 \N{FULL BLOCK}" in lines
    assert "2 jobs: 2 done, 0 finished before, 0 failed, 0 left" in lines
    log = (place / RUNS / "dffm/seed0/job.out").read_bytes()
    assert log.startswith(f"$ {sys.executable} -m toy.train ablation=dffm".encode())
    assert b"step 1\rstep 2" in log


def test_a_terminal_without_the_characters_of_a_job_shows_others(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    with io.TextIOWrapper(written, encoding="ascii") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        _progress.say("\N{FULL BLOCK} 50 %")
        monkeypatch.undo()
        assert written.getvalue() == b"? 50 %\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_are_noted_unless_they_were_ignored(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    try:
        signal.signal(number, signal.SIG_DFL)
        with _process.StopSignals() as stop:
            signal.raise_signal(number)
            assert stop.received == [number]
        assert signal.getsignal(number) is signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN)
        with _process.StopSignals() as stop:
            signal.raise_signal(number)
            assert stop.received == []
    finally:
        signal.signal(number, before)


def run_child(folder: Path, code: str, *, wait: bool = True) -> tuple[int, list[str]]:
    """Run Python code as a job until it printed a line, or to its end; return its status and its lines."""
    lines: list[str] = []
    environment = os.environ | {"MARK": str(folder)}
    command = [sys.executable, "-u", "-c", code]
    with _guard.Guard() as guard:
        child = _process.Child(command, environment, f"MARK={folder}", folder / "job.out", lines.append, guard)
        while child.process.poll() is None and (wait or not lines):
            _process.wait_for_output([child])
        return child.end(), lines


def test_a_job_that_is_not_waited_for_is_killed(tmp_path: Path) -> None:
    status, lines = run_child(tmp_path, "import time; print('here'); time.sleep(60)", wait=False)
    assert (status, lines) == (-signal.SIGKILL, ["here"])


@pytest.mark.parametrize("leave", ["", "os.setsid();"], ids=["in the group", "in a session of its own"])
def test_a_process_that_outlives_its_job_is_ended(tmp_path: Path, leave: str) -> None:
    if leave and sys.platform != "linux":
        pytest.skip("only Linux tells the environment of other processes")
    code = f"import os, time; pid = os.fork(); print(pid) if pid else [{leave.rstrip(';') or 0}, time.sleep(60)]"
    status, lines = run_child(tmp_path, code)
    assert status == 0
    wait_for(lambda: not is_running(int(lines[0])), "the end of the forked process")


def test_a_job_inherits_no_rank_and_the_sweep_keeps_its_environment(place: Path, run: Run) -> None:
    foreign = {"LOCAL_RANK": "1", "RANK": "1", "WORLD_SIZE": "2", "MASTER_PORT": "1", "PL_GLOBAL_SEED": "3"}
    done = run(
        "-m",
        "seed=0",
        RESULTS,
        extra=foreign | {"MASTER_ADDR": "x", "NODE_RANK": "1", "GROUP_RANK": "1", "LOCAL_WORLD_SIZE": "2", "KEPT": "1"},
    )
    assert done.returncode == 0, done.stderr
    environment = json.loads((place / RUNS / "baseline/seed0/environment.json").read_text())
    assert not [name for name in environment if "RANK" in name or "WORLD" in name or "MASTER" in name]
    assert "PL_GLOBAL_SEED" not in environment
    assert environment["KEPT"] == environment["PYTHONUNBUFFERED"] == "1"
    assert "environment ['GROUP_RANK', 'LOCAL_RANK', 'NODE_RANK', 'RANK']" in done.stdout


def test_a_finished_job_is_skipped_and_all_results_are_returned(place: Path, run: Run) -> None:
    assert run("ablation=baseline").returncode == 0  # a single run, without -m, counts too
    before = (place / RUNS / "baseline/seed0/metrics.json").stat().st_mtime_ns
    done = run("-m", "ablation=baseline,dffm", "data.root=/elsewhere", RESULTS)
    assert done.returncode == 0, done.stderr
    assert "[row 1/2 baseline] finished, skipped" in done.stdout
    assert (place / RUNS / "baseline/seed0/metrics.json").stat().st_mtime_ns == before
    assert len(pids(place / RUNS / "baseline/seed0")) == 1
    assert record(place, "dffm")["config"]["data"]["root"] == "/elsewhere"
    for row in ("baseline", "dffm"):
        overrides = [f"ablation={row}", "data.root=/elsewhere"]
        assert f"returned COMPLETED {overrides} {RUNS / row / 'seed0'} 0" in done.stdout


def test_a_finished_folder_refuses_another_configuration_and_names_the_key(place: Path, run: Run) -> None:
    assert run("ablation=dffm").returncode == 0
    before = (place / RUNS / "dffm/seed0/metrics.json").read_bytes()
    done = run("-m", "ablation=dffm,baseline", "data.crop_size=32")
    assert done.returncode == 1
    refusal = "[row 1/2 dffm] refused: runs/table2/mini/dffm/seed0 is finished with another configuration"
    assert f"{refusal}; differing: data.crop_size. Name another study (study=...) or delete the folder" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert (place / RUNS / "dffm/seed0/metrics.json").read_bytes() == before
    assert record(place, "baseline")["config"]["data"]["crop_size"] == 32


def test_jobs_run_side_by_side_and_none_is_left(place: Path, run: Run) -> None:
    done = run("-m", "ablation=baseline,dffm,meet", "seed=0,1", "hydra.launcher.n_jobs=2")
    assert done.returncode == 0, done.stdout + done.stderr  # each `meet` waits for the other one
    assert "6 jobs: 6 done, 0 finished before, 0 failed, 0 left" in done.stdout
    states = [line for line in done.stdout.splitlines() if line.startswith("sweep: ")]
    assert states[0] == "sweep: 0/6 done, 1 running, 0 failed, 5 waiting, time left unknown"
    assert states[-1] == "sweep: 6/6 done, 0 running, 0 failed, 0 waiting, about 0:00:00 left"
    assert any(" 2 running, 0 failed, 0 waiting, about 0:" in line for line in states)
    assert not processes_of(place)


def test_interrupting_jobs_side_by_side_ends_all_of_them(place: Path, start: Start, run: Run) -> None:
    words = ("-m", "ablation=sleep", "seed=0,1,2", "hydra.launcher.n_jobs=2")
    with start(*words) as sweep:
        for seed in (0, 1):
            wait_until_asleep(place / RUNS / f"sleep/seed{seed}")
        sweep.send_signal(signal.SIGTERM)
        out, _ = sweep.communicate(timeout=60)
    assert sweep.returncode == 143
    assert "3 jobs: 0 done, 0 finished before, 0 failed, 3 left" in out
    assert not processes_of(place)


def test_four_rows_and_two_seeds_take_one_gpu_each(place: Path, run: Run) -> None:
    done = run(
        "-m",
        "ablation=baseline,dffm,msrm,dffm_msrm",
        "seed=0,1",
        "+trainer={accelerator:gpu,devices:auto}",
        extra={"CUDA_VISIBLE_DEVICES": "0,1,2,3,4,5,6,7"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = [json.loads(path.read_text())["CUDA_VISIBLE_DEVICES"] for path in place.rglob("environment.json")]
    assert sorted(found) == list("01234567")
    assert "[row 1/8 baseline seed=0] starts on GPU 0, log: " in done.stdout


def test_more_jobs_than_gpus_are_refused_before_anything_starts(place: Path, run: Run) -> None:
    gpu = "+trainer={accelerator:gpu,devices:1}"
    done = run("-m", "seed=0,1,2", gpu, "hydra.launcher.n_jobs=3", extra={"CUDA_VISIBLE_DEVICES": "0,1"})
    assert done.returncode == 1
    assert done.stderr == (
        "error: hydra.launcher.n_jobs=3 jobs side by side want 1 GPUs each (trainer.devices=1), and there are 2 GPUs "
        "(0, 1): choose hydra.launcher.n_jobs=2, or several jobs on one GPU: 'hydra.launcher.gpus=[0,0]'. "
        "Nothing was started\n"
    )
    assert not (place / RUNS).exists()


def test_torchrun_does_not_start_a_sweep(place: Path, run: Run) -> None:
    done = run("-m", "seed=0", extra={"TORCHELASTIC_RUN_ID": "1"})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: torchrun starts the processes of one run; start a sweep (-m) with plain python\n"


def test_a_failing_job_costs_itself_alone(place: Path, run: Run) -> None:
    done = run("-m", "ablation=baseline,crash,dffm")
    assert done.returncode == 1
    assert runs.is_finished(place / RUNS / "baseline/seed0")
    assert runs.is_finished(place / RUNS / "dffm/seed0")
    assert not runs.is_finished(place / RUNS / "crash/seed0")
    summary = done.stdout[done.stdout.index("3 jobs: 2 done, 0 finished before, 1 failed, 0 left") :]
    assert "exit status 1 without metrics.json, log: runs/table2/mini/crash/seed0/job.out" in summary
    assert "    the network exploded" in summary
    assert done.stderr == ""


def test_a_job_that_ends_without_a_record_has_failed(run: Run) -> None:
    done = run("-m", "ablation=forget")
    assert done.returncode == 1
    assert "[row 1/1 forget] failed: exit status 0 without metrics.json" in done.stdout


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_sweep_leaves_no_process_and_goes_on(
    place: Path, start: Start, run: Run, number: signal.Signals, status: int
) -> None:
    words = ("-m", "ablation=sleep,dffm")
    with start(*words) as sweep:
        wait_until_asleep(place / RUNS / "sleep/seed0")
        sweep.send_signal(number)
        out, err = sweep.communicate(timeout=60)
    assert sweep.returncode == status
    assert out.splitlines()[-1] == f"interrupted by {number.name}: run the same command again to continue"
    assert "Traceback" not in out + err
    assert not processes_of(place)
    assert not (place / RUNS / "dffm/seed0").exists()
    done = run(*words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2 jobs: 0 finished, 1 to continue, 1 to start, 0 refused")
    assert record(place, "sleep")["resumed"]
    assert not record(place, "dffm")["resumed"]


def test_a_killed_sweep_takes_its_jobs_with_it(place: Path, start: Start, run: Run) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux ends a process with its parent")
    words = ("-m", "ablation=baseline,sleep", "seed=0,1", "hydra.launcher.n_jobs=2")
    folders = [place / RUNS / f"sleep/seed{seed}" for seed in (0, 1)]
    with start(*words) as sweep:
        for folder in folders:
            wait_until_asleep(folder)
        sweep.kill()
    wait_for(lambda: not processes_of(place), "the end of jobs, their forks and the guard")
    done = run(*words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("4 jobs: 2 finished, 2 to continue, 0 to start, 0 refused")
    assert len(pids(place / RUNS / "baseline/seed0")) == 1
    assert not processes_of(place)


def test_an_interrupted_folder_refuses_another_configuration(place: Path, run: Run) -> None:
    folder = place / RUNS / "crash/seed0"
    assert run("ablation=crash").returncode == 1
    (folder / "last.ckpt").touch()
    done = run("-m", "ablation=crash", "data.crop_size=32")
    assert "is begun with another configuration; differing: data.crop_size." in done.stdout
    assert OmegaConf.load(folder / ".hydra/config.yaml").data.crop_size == 64


def test_two_sweeps_do_not_share_a_folder(place: Path, start: Start, run: Run) -> None:
    with start("-m", "ablation=sleep,baseline") as first:
        wait_until_asleep(place / RUNS / "sleep/seed0")
        second = run("-m", "ablation=baseline,sleep")
        assert second.returncode == 1
        assert f"runs/table2/mini/sleep/seed0 is in use by process {first.pid} on" in second.stderr
        assert "Traceback" not in second.stderr
        assert not (place / RUNS / "baseline/seed0").exists()
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=60)


def test_two_jobs_of_a_sweep_do_not_share_a_folder(place: Path, run: Run) -> None:
    done = run("-m", "data.crop_size=32,64")
    assert done.returncode == 1
    assert "the same folder runs/table2/mini/baseline/seed0: 'data.crop_size=32' and" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (place / RUNS).exists()


def test_a_folder_that_needs_a_job_number_is_refused(run: Run) -> None:
    done = run("-m", "seed=0,1", "hydra.sweep.subdir=${hydra:job.num}")
    assert done.returncode == 1
    assert "a job's number is no lasting name" in done.stderr


WORDS = {
    "a='a, b'": "a, b",
    'b="it\'s 1=1"': "it's 1=1",
    "c='[x] {y} ~z +w'": "[x] {y} ~z +w",
    r"d=a\,b\ c": "a,b c",
    "e=[1,two,'3, 4']": [1, "two", "3, 4"],
    "f={a:1,b:'x y'}": {"a": 1, "b": "x y"},
    "g=null": None,
    "h=''": "",
    "i='\u00fc \\\\ $HOME'": "\u00fc \\\\ $HOME",
    "j=${seed}": 0,
    "k=choice('a, b')": "a, b",
    "l='null'": "null",
    "m='1e-4'": "1e-4",
    "n=1e-4": 1e-4,
    "+new=1": 1,
    "++more='x y'": "x y",
}


def test_overrides_reach_the_job_as_they_were_meant(place: Path, run: Run) -> None:
    with (place / "toy/conf/train.yaml").open("a") as file:
        file.writelines(f"{name}: 0\n" for name in "abcdefghijklmn")
    done = run("-m", "seed=0", *WORDS, "~note", "~data.crop_size", "study='of mine, too = \\'1\\''")
    assert done.returncode == 0, done.stdout + done.stderr
    config = runs.read_record(place / "runs/of mine, too = '1'/mini/baseline/seed0")["config"]
    assert {word: config[word.split("=")[0].lstrip("+")] for word in WORDS} == WORDS
    assert "note" not in config
    assert "crop_size" not in config["data"]


def test_options_that_choose_the_configuration_reach_the_job(place: Path, run: Run) -> None:
    more = place / "more"
    (more / "ablation").mkdir(parents=True)
    (more / "ablation" / "mine.yaml").write_text("mode: ''\nwidth: 99\n")
    (place / "toy/conf/other.yaml").write_text("defaults: [train, _self_]\nnote: other\n")
    done = run("--multirun", "--config-dir", "more", "-cn", "other", "ablation=mine", "hydra.job.name=${note}")
    assert done.returncode == 0, done.stdout + done.stderr
    config = record(place, "mine")["config"]
    assert (config["ablation"]["width"], config["note"]) == (99, "other")
    hydra = OmegaConf.load(place / RUNS / "mine/seed0/.hydra/hydra.yaml").hydra
    assert OmegaConf.to_container(hydra.job)["name"] == "${note}"


def test_hydra_lists_the_launcher_and_takes_it_by_name(place: Path, run: Run) -> None:
    assert "SubprocessLauncher" in run("--info", "plugins").stdout
    text = (place / "toy/conf/train.yaml").read_text().replace("  - override /hydra/launcher: subprocess\n", "")
    (place / "toy/conf/train.yaml").write_text(text)
    done = run("-m", "seed=0", "hydra/launcher=subprocess", "hydra.launcher.grace_seconds=1")
    assert done.returncode == 0, done.stderr
    assert "1 jobs: 1 done" in done.stdout
