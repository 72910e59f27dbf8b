"""Runs at wandb: what they hold, how they go on, and that nothing waits for a network."""

import contextlib
import io
import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import wandb
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf
from test_reproduce import write_gopro
from test_train import ACT_AT
from wandb_runs import OfflineRun, offline_runs, read_run
from wandb_server import KEY, Server

from deblur_lit import runs, tracking
from deblur_lit.account import why_unreachable
from deblur_lit.callbacks.curves import Curves
from deblur_lit.config import compose, stems
from deblur_lit.report.dashboard_spec import KINDS, default_spec, read_dashboard
from deblur_lit.tracking import RunLogger
from deblur_lit.train import _close, _loggers, train

TINY = """data=gopro data.val=[c] data.crop_size=16 data.batch_size=2 data.num_workers=0 network.channels=4
    network.num_blocks=1 trainer.max_epochs=3 trainer.log_every_n_steps=1 variant=''
    +callbacks.meddler._target_=test_train.Meddler"""
log_record = RunLogger.log_record
CURVES = {"train/content", "train/frequency", "train/loss", "val/psnr", "val/ssim", "lr", "images/s"}
AXES = {"trainer/global_step", "epoch"}


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No account, no state of wandb from another test, and the signals as they were."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    ACT_AT.clear()
    wandb.teardown()
    yield
    wandb.teardown()
    signal.signal(signal.SIGINT, handlers[0])
    signal.signal(signal.SIGTERM, handlers[1])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for number, (split, sequence) in enumerate([("train", "a"), ("train", "b"), ("train", "c"), ("test", "t")]):
        write_gopro(folder, split, sequence, 2, seed=number)
    return folder


def tiny(root: Path, run_dir: Path, *overrides: str) -> DictConfig:
    """A run of two steps an epoch for three epochs, each of them logged."""
    return compose("train", [f"data.root={root}", f"run_dir={run_dir}", *TINY.split(), *overrides])


@pytest.fixture(scope="module")
def finished(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[DictConfig, OfflineRun]:
    """An uninterrupted run of the ablation, without an account."""
    cfg = tiny(root, tmp_path_factory.mktemp("whole") / "run", "ablation=dffm", "study=mine", "seed=3")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NETRC", "/nonexistent")
        for name in ("WANDB_API_KEY", "WANDB_MODE"):
            patch.delenv(name, raising=False)
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            train(cfg)
    (Path(cfg.run_dir) / "said").write_text(said.getvalue())
    [run] = offline_runs(cfg.run_dir)
    return cfg, run


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server of wandb on this machine."""
    found = Server()
    yield found
    wandb.teardown()
    found.close()


def lines_of_wandb(said: str) -> list[str]:
    return [line for line in said.splitlines() if "wandb" in line]


def test_a_run_is_found_by_sweep_row_data_and_seed(finished: tuple[DictConfig, OfflineRun]) -> None:
    cfg, run = finished
    assert run.about["run_group"] == "mine"
    assert run.about["job_type"] == "train"
    assert run.about["tags"] == ["dffm", "gopro", "seed3"]
    assert run.about["display_name"] == "dffm-seed3"
    assert run.about["project"] == "deblur_lit"
    assert run.about["run_id"] == (Path(cfg.run_dir) / "run_id").read_text()


def test_curves_have_the_same_names_for_every_row_and_the_optimiser_step_as_axis(
    finished: tuple[DictConfig, OfflineRun],
) -> None:
    _, run = finished
    logged = {key for row in run.history for key in row if not key.startswith("_")}
    assert {key for key in logged if not key.startswith(("val/images.", "test/per_image."))} == CURVES | AXES
    assert [row["trainer/global_step"] for row in run.history] == [row["_step"] for row in run.history]
    assert list(run.curve("train/loss")) == list(run.curve("lr")) == [0, 1, 2, 3, 4, 5]
    assert list(run.curve("val/psnr")) == list(run.curve("val/ssim")) == [1, 3, 5]
    assert list(run.curve("val/images.count")) == [1, 3, 5]
    assert list(run.curve("images/s")) == [1, 2, 3, 4, 5]
    assert min(run.curve("images/s").values()) > 0
    axes = {metric.get("name") or metric["glob_name"]: metric.get("step_metric") for metric in run.metrics}
    assert axes["*"] == "trainer/global_step"


def test_the_learning_rate_is_the_one_that_the_step_used(finished: tuple[DictConfig, OfflineRun]) -> None:
    cfg, run = finished
    rates = run.curve("lr")
    assert rates[0] == pytest.approx(cfg.optimizer.lr)
    assert sorted(rates.values(), reverse=True) == list(rates.values())
    assert rates[5] > cfg.scheduler.eta_min  # where the schedule is after the last step


def test_hyper_parameters_are_the_resolved_configuration(finished: tuple[DictConfig, OfflineRun]) -> None:
    cfg, run = finished
    logged = run.state["config"]
    assert logged["row"] == "dffm"
    assert set(logged) - set(cfg) == {"row", "commit", "dirty"}
    resolved = OmegaConf.to_container(cfg, resolve=True)
    assert {key: logged[key] for key in cfg} == json.loads(json.dumps(resolved))


def test_the_end_of_a_run_holds_its_scores_and_those_of_each_image(finished: tuple[DictConfig, OfflineRun]) -> None:
    cfg, run = finished
    record = runs.read_record(cfg.run_dir)
    scores = record["scores"]["gopro"]
    for key in ("psnr", "ssim", "psnr_blur", "ssim_blur"):
        assert run.summary[f"test/{key}"] == pytest.approx(scores[key])
    assert run.summary["val/psnr_scored"] == record["training"]["val_psnr"]
    assert run.summary["val/psnr"] == run.curve("val/psnr")[5]
    table = run.table("test/per_image")
    assert table["columns"] == ["name", "psnr", "ssim", "psnr_blur", "ssim_blur"]
    expected = [[image[key] for key in table["columns"]] for image in scores["per_image"]]
    assert [row[0] for row in table["data"]] == ["t/000001", "t/000002"]
    assert table["data"] == expected
    assert (run.state["state"], run.state["exit_code"]) == ("finished", 0)


def test_a_resumed_run_goes_on_under_its_name_where_it_was_and_is_joined_by_sync(
    root: Path,
    tmp_path: Path,
    finished: tuple[DictConfig, OfflineRun],
    server: Server,
    capfd: pytest.CaptureFixture[str],
) -> None:
    cfg = tiny(root, tmp_path / "run", "ablation=dffm", "study=mine", "seed=3")
    ACT_AT["signal"] = 2
    with pytest.raises(SystemExit):
        train(cfg)
    train(cfg)
    first, second = offline_runs(cfg.run_dir)
    _, whole = finished
    assert first.about["run_id"] == second.about["run_id"]
    assert [run.state["exit_code"] for run in (first, second)] == [130, 0]
    for key in ("train/loss", "train/content", "lr", "val/psnr", "val/ssim"):
        assert not first.curve(key).keys() & second.curve(key).keys()
        assert first.curve(key) | second.curve(key) == whole.curve(key)
    assert [row["_step"] for run in (first, second) for row in run.history] == [0, 1, 2, 3, 4, 5]

    folders = [str(run.folder) for run in (first, second)]
    command = [str(Path(sys.executable).parent / "wandb"), "sync", *folders]
    environment = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}  # ours, offline
    environment |= {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY}
    subprocess.run(command, check=True, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, timeout=120)
    [(run, lines)] = [(name, lines) for (name, kind), lines in server.lines.items() if "history" in kind]
    assert run == first.about["run_id"]
    assert {given["name"] for given in server.runs} == {run}
    assert [line["trainer/global_step"] for line in lines] == [0, 1, 2, 3, 4, 5]


def test_a_failed_run_is_marked_so_and_leaves_no_run_open(root: Path, tmp_path: Path) -> None:
    cfg = tiny(root, tmp_path / "run")
    ACT_AT["nan"] = 3
    with pytest.raises(SystemExit):
        train(cfg)
    [run] = offline_runs(cfg.run_dir)
    assert (run.state["state"], run.state["exit_code"]) == ("failed", 1)
    assert list(run.curve("train/loss")) == [0, 1, 2]
    assert wandb.run is None


def test_a_run_whose_trainer_cannot_be_built_is_ended_too(root: Path, tmp_path: Path) -> None:
    cfg = tiny(root, tmp_path / "run", "trainer.gradient_clip_val=nonsense")
    with pytest.raises(ValueError, match="gradient_clip_val"):
        train(cfg)
    [run] = offline_runs(cfg.run_dir)
    assert run.state["state"] == "failed"
    assert wandb.run is None


def test_without_an_account_one_line_says_how_to_upload(finished: tuple[DictConfig, OfflineRun]) -> None:
    cfg, run = finished
    said = (run.folder.parents[1] / "said").read_text()
    path = f"{cfg.run_dir}/wandb/offline-run-*"
    assert lines_of_wandb(said) == [f"wandb: no account here, so offline; `wandb sync {path}` uploads"]


def test_wandb_that_is_disabled_writes_nothing(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    cfg = tiny(root, tmp_path / "run", "trainer.max_epochs=1")
    assert train(cfg)["training"]["steps"] == 2
    assert not list(Path(cfg.run_dir).glob("wandb/*run-*"))


def test_an_image_that_was_restored_exactly_has_its_place_in_the_table(tmp_path: Path) -> None:
    logger = RunLogger("p", str(tmp_path), "abc", True, "n", "g", "train", ["t"])
    image = {"name": "a", "psnr": "inf", "ssim": 1.0, "psnr_blur": 20.0, "ssim_blur": 0.5}
    scores = {"psnr": "inf", "ssim": 1.0, "psnr_blur": 20.0, "ssim_blur": 0.5, "per_image": [image]}
    logger.log_record({"scores": {"mini": scores}, "training": {"steps": 4, "val_psnr": None}})
    logger.close(0)
    [run] = offline_runs(tmp_path)
    assert run.table("test/per_image")["data"][0][1:] == [math.inf, 1.0, 20.0, 0.5]
    assert "val/psnr_scored" not in run.summary
    assert run.summary["test/ssim"] == 1.0


def test_a_folder_with_a_bracket_can_be_synced_as_it_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "dffm+data.val=[c]"
    folder.mkdir()
    logger = RunLogger("p", str(folder), "abc", True, "n", "g", "train", ["t"])
    logger.log_metrics({"a": 1.0}, step=0)
    logger.close(0)
    [line] = lines_of_wandb(capfd.readouterr().out)
    found = subprocess.run(["bash", "-c", f"ls -d {line.split('`wandb sync ')[1].split('`')[0]}"], capture_output=True)
    assert found.stdout.decode().strip() == str(offline_runs(folder)[0].folder)


def test_the_dashboard_shows_what_runs_log(finished: tuple[DictConfig, OfflineRun]) -> None:
    _, run = finished
    spec = read_dashboard(default_spec())
    shown = {kind: {name for part in spec.sections if part.kind == kind for name in part.names} for kind in KINDS}
    assert shown["lines"] | {"train/loss"} == CURVES | {"gpu_memory"}
    assert shown["bars"] | set(spec.columns) | shown["images"] | shown["tables"] <= set(run.summary)
    assert {spec.baseline, *spec.rows} <= set(stems("ablation"))
    assert run.state["config"]["row"] in spec.rows


def test_tensorboard_shows_the_same_curves(root: Path, tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", exc_type=ImportError)
    cfg = tiny(root, tmp_path / "run", "logger=tensorboard")
    ACT_AT["signal"] = 2
    with pytest.raises(SystemExit):
        train(cfg)
    train(cfg)
    found = events.EventAccumulator(f"{cfg.run_dir}/tensorboard")
    found.Reload()
    assert set(found.Tags()["scalars"]) >= CURVES
    assert set(found.Tags()["images"]) == {"val/image_0", "val/image_1"}
    assert [event.step for event in found.Scalars("train/loss")] == [0, 1, 2, 3, 4, 5]
    assert [event.step for event in found.Images("val/image_0")] == [1, 3, 5]


def test_other_processes_of_a_run_log_nothing(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for rank, count in ((1, 0), (0, 1)):
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        monkeypatch.setattr(rank_zero_only, "rank", rank)  # as Lightning finds it when it is imported
        loggers = _loggers(tiny(root, tmp_path / "run"))
        loggers[-1].log_metrics({"train/loss": 1.0}, step=0)
        _close(loggers, 0)
        assert len(list(tmp_path.glob("run/wandb/offline-run-*"))) == count


def test_gpu_memory_is_logged_where_there_is_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: dict[str, Any] = {}
    module: Any = SimpleNamespace(log=lambda name, value, **_: logged.update({name: value}))
    device = SimpleNamespace(type="cuda", index=1)
    trainer: Any = SimpleNamespace(strategy=SimpleNamespace(root_device=device), world_size=2)
    peak = {1: 3 * 2**29}
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda asked: peak[asked.index])
    curves = Curves()
    for _ in range(2):
        curves.on_train_batch_end(trainer, module, None, {"name": ["x"]}, 0)
    assert logged["gpu_memory"] == 1.5
    assert logged["images/s"] > 0
    logged.clear()
    device.type = "cpu"
    curves.on_train_batch_end(trainer, module, None, {"name": ["x"]}, 1)
    assert set(logged) == {"images/s"}


@pytest.fixture
def silent_port() -> Iterator[str]:
    """The address of somebody who listens and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def closed_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def test_a_server_that_never_answers_is_given_up_on(silent_port: str) -> None:
    assert why_unreachable(silent_port, 0.3) == f"{silent_port} does not answer within 0.3 s"


def test_a_name_whose_look_up_hangs_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answered = threading.Event(), threading.Event()

    def hang(*_: Any, **__: Any) -> None:
        asked.set()
        answered.wait()
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    assert why_unreachable("http://wandb.example", 0.3) == "http://wandb.example does not answer within 0.3 s"
    assert asked.is_set()
    answered.set()


def test_a_server_that_is_none_of_wandb_is_named(closed_port: str, server: Server) -> None:
    assert why_unreachable(closed_port) == f"{closed_port} cannot be reached (ConnectionError)"
    assert why_unreachable(server.url) is None
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{other.server_address[1]}"
        assert why_unreachable(url) == f"{url} answers 501, not as wandb does"
        other.shutdown()


def go_online(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", url)
    monkeypatch.setenv("WANDB_API_KEY", KEY)


def check_complete_and_offline(cfg: DictConfig, said: str, reason: str) -> None:
    path = f"{cfg.run_dir}/wandb/offline-run-*"
    assert lines_of_wandb(said) == [f"wandb: {reason}, so offline; `wandb sync {path}` uploads"]
    [run] = offline_runs(cfg.run_dir)
    assert list(run.curve("train/loss")) == [0, 1]
    assert list(run.curve("val/psnr")) == [1]
    assert len(run.table("test/per_image")["data"]) == 2
    assert run.state["state"] == "finished"


@pytest.mark.parametrize("kind", ["silent_port", "closed_port"])
def test_with_an_account_and_no_server_a_run_goes_on_offline_with_one_line(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
    kind: str,
) -> None:
    url = request.getfixturevalue(kind)
    go_online(monkeypatch, url)
    cfg = tiny(root, tmp_path / "run", "trainer.max_epochs=1")
    assert not cfg.logger.wandb.offline
    train(cfg)
    said = {"silent_port": "does not answer within 4 s", "closed_port": "cannot be reached (ConnectionError)"}
    captured = capfd.readouterr()
    check_complete_and_offline(cfg, captured.out + captured.err, f"{url} {said[kind]}")


def test_a_server_that_answers_and_takes_no_run_costs_seconds_and_no_data(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    server: Server,
) -> None:
    server.silent = b"upsertBucket"
    go_online(monkeypatch, server.url)
    monkeypatch.setattr(tracking, "INIT_SECONDS", 1.0)
    cfg = tiny(root, tmp_path / "run", "trainer.max_epochs=1")
    train(cfg)
    [line] = [line for line in capfd.readouterr().out.splitlines() if "so offline" in line]
    check_complete_and_offline(cfg, line, line.removeprefix("wandb: ").partition(", so offline")[0])
    assert "imed out" in line


def test_asked_to_be_online_without_a_key_a_run_goes_on_offline(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    server: Server,
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", server.url)
    cfg = tiny(root, tmp_path / "run", "trainer.max_epochs=1", "logger.wandb.offline=false")
    train(cfg)
    reason = "No API key configured. Use `wandb login` to log in."
    check_complete_and_offline(cfg, capfd.readouterr().out, reason)


def test_a_server_that_dies_does_not_keep_a_finished_run_waiting(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    server: Server,
) -> None:
    go_online(monkeypatch, server.url)
    monkeypatch.setattr(tracking, "FINISH_SECONDS", 1.0)
    monkeypatch.setattr(RunLogger, "log_record", lambda self, record: (server.die(), log_record(self, record)))
    cfg = tiny(root, tmp_path / "run", "trainer.max_epochs=1")
    assert train(cfg)["training"]["steps"] == 2
    said = capfd.readouterr().out
    [line] = [line for line in said.splitlines() if "so offline" in line]
    assert line.endswith(f"so offline; `wandb sync {cfg.run_dir}/wandb/*run-*` uploads")
    [folder] = Path(cfg.run_dir).glob("wandb/run-*")
    before, [after] = read_run(folder), offline_runs(cfg.run_dir)
    assert list(before.curve("train/loss")) == [0, 1]
    assert server.runs[0]["name"] == before.about["run_id"] == after.about["run_id"]
    assert server.runs[0]["groupName"] == "train"
    assert len(after.table("test/per_image")["data"]) == 2
    assert "test/psnr" in after.summary


@pytest.mark.long
def test_each_job_of_a_sweep_is_one_run_and_its_first_process_logs(root: Path, tmp_path: Path) -> None:
    words = [word for word in TINY.split() if "meddler" not in word]
    command = [sys.executable, "-m", "deblur_lit.train", "-m", f"data.root={root}", *words, "trainer=ddp_cpu"]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, "ablation=baseline,dffm", "study=s"], check=True, cwd=tmp_path, env=environment)
    found = [offline_runs(tmp_path / f"runs/s/gopro/{row}/seed0") for row in ("baseline", "dffm")]
    assert [len(starts) for starts in found] == [1, 1]
    assert len({starts[0].about["run_id"] for starts in found}) == 2
    assert {starts[0].about["run_group"] for starts in found} == {"s"}
    assert [list(starts[0].curve("train/loss")) for starts in found] == [[0, 1, 2, 3, 4, 5]] * 2
