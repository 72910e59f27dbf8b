"""`deblur-lit dashboard`: what it builds without an account, what it saves with one, and what it refuses."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb
from run_store import Store
from wandb_server import KEY, Server

from deblur_lit.cli import main
from deblur_lit.report.dashboard_spec import default_spec, deltas, read_dashboard

pytestmark = pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")  # wandb_workspaces'
VALID = """
title: Mine
baseline: baseline
rows: [dffm]
band: minmax
columns: [test/psnr]
sections:
  - {title: Scores, bars: [test/psnr]}
"""


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.chdir(tmp_path)
    wandb.teardown()
    yield
    wandb.teardown()


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    wandb.teardown()
    found.close()


@pytest.fixture
def study(store: Store) -> Store:
    """Three finished seeds of the baseline and two of a row, and one of a row without a common seed."""
    for seed, psnr in ((0, 25.0), (1, 25.2), (2, 25.1)):
        store.write("baseline", seed, psnr, 0.80, table="mine")
        (store.folder("baseline", seed, "mine") / "run_id").write_text(f"base000{seed}")
    store.write("dffm", 1, 25.5, 0.81, table="mine")
    store.write("dffm", 2, 25.2, 0.81, table="mine")
    store.write("msrm", 7, 26.0, 0.82, table="mine")
    return store


def built(study: Store, *words: str) -> list[dict[str, Any]]:
    output = study.runs / "out.json"
    assert main(["dashboard", "--runs", str(study.runs), "--study", "mine", "--output", str(output), *words]) == 0
    found: list[dict[str, Any]] = json.loads(output.read_text())
    return found


def panels(view: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The panels of a workspace by section."""
    sections = view["spec"]["section"]["panelBankConfig"]["sections"]
    return {section["name"]: section["panels"] for section in sections}


def test_without_an_account_the_specification_is_written_and_it_says_so(
    study: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dashboard", "--runs", str(study.runs), "--study", "mine"]) == 0
    assert capsys.readouterr().out == "no account here: the specification is in dashboard.json\n"
    first = Path("dashboard.json").read_bytes()
    assert main(["dashboard", "--runs", str(study.runs), "--study", "mine"]) == 0
    assert Path("dashboard.json").read_bytes() == first


def test_there_is_one_workspace_of_all_rows_and_one_for_each_beside_the_baseline(study: Store) -> None:
    views = built(study, "--project", "p", "--entity", "e")
    spec = read_dashboard(default_spec())
    assert [view["displayName"] for view in views] == [
        "Ablations: mine",
        *(f"Ablations: mine, {row}" for row in spec.rows),
    ]
    shown = []
    for view in views:
        assert (view["project"], view["entity"]) == ("p", "e")
        [runset] = view["spec"]["section"]["runSets"]
        group, rows = runset["filters"]["filters"]
        assert (group["key"]["name"], group["value"]) == ("group", "mine")
        shown.append(rows["value"])
    assert shown == [["baseline", *spec.rows], *(["baseline", row] for row in spec.rows)]


def test_curves_are_means_over_seeds_by_optimiser_step_with_a_band(study: Store) -> None:
    lines = panels(built(study)[0])
    drawn = [panel["config"] for section in ("Validation", "Training", "Cost") for panel in lines[section]]
    assert [config["metrics"] for config in drawn] == [
        ["val/psnr"],
        ["val/ssim"],
        ["train/content"],
        ["train/frequency"],
        ["lr"],
        ["images/s"],
        ["gpu_memory"],
    ]
    for config in drawn:
        assert config["xAxis"] == "trainer/global_step"
        assert config["groupBy"] == "row.value"
        assert (config["groupAgg"], config["groupArea"]) == ("mean", "stddev")
    assert lines["Images"][0]["config"]["mediaKeys"] == ["val/images"]
    assert '"val": "test/per_image"' in json.dumps(lines["Test images"])
    assert [panel["config"]["metrics"] for panel in lines["Scores"]] == [["test/psnr"], ["test/ssim"]]


def test_differences_to_the_baseline_are_those_of_common_seeds(study: Store) -> None:
    view = built(study)[0]
    psnr, ssim = (panel["config"]["value"] for panel in panels(view)["Differences to the baseline"])
    assert "| mini | dffm | 25.35 | +0.20 | 1, 2 |" in psnr
    assert "| mini | dffm | 0.8100 | +0.0100 | 1, 2 |" in ssim
    assert "msrm" not in psnr
    [runset] = view["spec"]["section"]["runSets"]
    assert runset["baselineRunId"] == runset["pinnedRunIds"][0]
    only = panels(built(study)[2])["Differences to the baseline"][0]["config"]["value"]
    assert only == f"No seed of baseline and of another row is finished under {study.runs / 'mine'}."


def test_a_data_set_can_be_shown_alone(study: Store) -> None:
    study.write("baseline", 0, 30.0, 0.9, table="mine", data="gopro")
    study.write("dffm", 0, 30.5, 0.9, table="mine", data="gopro")
    both = deltas(study.runs / "mine", None, "baseline", ["dffm"], "psnr")
    assert ("| gopro |" in both, "| mini |" in both) == (True, True)
    view = built(study, "--data", "gopro")[0]
    shown = panels(view)["Differences to the baseline"][0]["config"]["value"]
    assert ("| gopro |" in shown, "| mini |" in shown) == (True, False)
    assert view["spec"]["section"]["runSets"][0]["filters"]["filters"][2]["value"] == "gopro"


def test_without_a_baseline_run_it_says_what_to_do(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    view = built(store)[0]
    assert "baselineRunId" not in view["spec"]["section"]["runSets"][0]
    assert f"no run of baseline under {store.runs / 'mine'}: choose the baseline" in capsys.readouterr().out


def test_with_an_account_workspaces_and_a_report_are_saved_and_their_addresses_printed(
    study: Store, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", server.url)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert main(["dashboard", "--runs", str(study.runs), "--study", "mine", "--project", "p"]) == 0
    said = capsys.readouterr().out
    assert len(re.findall(rf"(?m)^workspace Ablations: mine.*: {server.url}/team/p\?nw=\w+$", said)) == 4
    assert len(re.findall(rf"(?m)^report: {server.url}/team/p/reports/\S+$", said)) == 1
    kinds = [view["type"] for view in server.views]
    assert kinds[:4] == ["project-view"] * 4
    assert len(kinds) == 5
    assert json.loads(server.views[1]["spec"])["section"]["runSets"][0]["filters"]["filters"][1]["value"] == [
        "baseline",
        "dffm",
    ]
    for row in ("dffm", "msrm", "dffm_msrm"):
        assert f"{row} and baseline" in server.views[4]["spec"]
    assert not Path("dashboard.json").exists()


def test_with_an_account_and_no_server_the_specification_is_written(
    study: Store, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", server.url)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    server.close()
    assert main(["dashboard", "--runs", str(study.runs), "--study", "mine"]) == 0
    assert "cannot be reached (ConnectionError): the specification is in dashboard.json" in capsys.readouterr().out
    assert json.loads(Path("dashboard.json").read_text())


def test_what_wandb_refuses_is_one_line(
    study: Store, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", server.url)
    monkeypatch.setenv("WANDB_API_KEY", "short")
    assert main(["dashboard", "--runs", str(study.runs), "--study", "mine"]) == 1
    assert re.fullmatch(r"dashboard: wandb: .*API key.*\n", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("title: Mine", "titel: Mine", "unknown key `titel`"),
        ("{title: Scores, bars: [test/psnr]}", "{title: Scores, bar: [test/psnr]}", "section 1: unknown key `bar`"),
        ("{title: Scores, bars: [test/psnr]}", "{title: Scores}", "section 1: has no panels"),
        ("bars: [test/psnr]}", "bars: [a], lines: [a]}", "section 1: has lines and bars"),
        ("bars: [test/psnr]", "deltas: [lpips]", "`deltas` names 'lpips'"),
        ("bars: [test/psnr]", "bars: [1]", "`bars` holds 1, expected names"),
        ("minmax", "minimax", "`band` is 'minimax'"),
        ("rows: [dffm]", "", "`rows` is missing"),
        ("rows: [dffm]", "rows: dffm", "`rows` is 'dffm', expected a list"),
        (VALID, "[]", "holds no mapping"),
        ("title: Mine", "title: [", "is not YAML"),
    ],
)
def test_a_wrong_key_is_named_with_its_file(capsys: pytest.CaptureFixture[str], old: str, new: str, said: str) -> None:
    file = Path("mine.yaml")
    file.write_text(VALID)
    read_dashboard(file)
    assert VALID.count(old) == 1
    file.write_text(VALID.replace(old, new))
    assert main(["dashboard", "--config", str(file)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("dashboard: mine.yaml")
    assert said in error
    assert error.count("\n") == 1


def test_a_missing_file_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboard", "--config", "nowhere.yaml"]) == 1
    assert "nowhere.yaml" in capsys.readouterr().err


def test_a_missing_extra_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "wandb_workspaces"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    assert main(["dashboard"]) == 1
    assert "pip install 'deblur_lit[dashboard]'" in capsys.readouterr().err
