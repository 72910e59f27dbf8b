"""The command line: what it lists, and that a mistake is one line."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deblur_lit.cli import main
from deblur_lit.config import stems
from deblur_lit.networks import listing
from deblur_lit.networks.loading import describe, network_config

# Parameters of the full networks, counted by hand from the published code (mimo_unet*) and the method's description.
PARAMETERS = {"mimo_unet": 6_807_171, "mimo_unet_plus": 16_107_651, "baseline": 6_739_395, "unet": 6_739_395}


@pytest.fixture(scope="module")
def listed() -> Iterator[dict[str, dict[str, Any]]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "receptive_field", lambda config: None)  # seconds each; tests/networks measure it
        yield {network["name"]: network for network in listing.list_networks()}


def run(*command: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-m", *command], cwd=cwd, capture_output=True, text=True)


def test_every_network_and_ablation_is_listed_with_its_parameters(listed: dict[str, dict[str, Any]]) -> None:
    assert list(listed) == [*stems("network"), *stems("ablation")]
    assert {name: listed[name]["parameters"] for name in PARAMETERS} == PARAMETERS
    assert listed["dffm_msrm"]["parameters"] == describe(network_config("dffm_msrm").network)["parameters"]
    assert all(network["paper"] and network["macs_256"] > network["parameters"] for network in listed.values())


def test_networks_are_printed_as_json_and_as_a_table(
    listed: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(listing, "list_networks", lambda names: list(listed.values()))
    assert main(["networks", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == list(listed.values())
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["networks"]) == 0
    costs, weights = capsys.readouterr().out.split("\n\n")
    assert len(costs.splitlines()) == 1 + len(listed)
    [line] = [line for line in costs.splitlines() if line.startswith("mimo_unet_plus")]
    assert line.split()[-4:] == ["2021", "16.108", "150.71", "unbounded"]
    assert len(weights.splitlines()) == 1 + sum(network["weights"]["url"] is not None for network in listed.values())
    [line] = [line for line in weights.splitlines() if line.startswith("mimo_unet_plus")]
    assert line.split()[-1] == listed["mimo_unet_plus"]["weights"]["url"]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ([], "COMMAND"),
        (["trane"], "'trane'"),
        (["networks", "--jsn"], "--jsn"),
        (["networks", "--size", "64"], "--size"),
        (["--verbose", "networks"], "--verbose"),
    ],
)
def test_a_command_that_is_none_is_refused_by_name(
    words: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    assert named in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mimo_unett"], "did you mean 'mimo_unet'"),
        (["mimo_unet", "--size", "64", "64"], "add --latency"),
        (["mimo_unet", "--device", "cpu"], "add --latency"),
        (["mimo_unet", "--latency", "--device", "abacus"], "--device abacus: torch cannot use it"),
        (["mimo_unet", "--latency", "--device", "meta:7x"], "--device meta:7x: torch cannot use it"),
        (["svrnn", "--latency", "--size", "0", "64"], "--size 0 64"),
    ],
)
def test_a_mistake_in_listing_networks_is_one_line(
    words: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(listing, "receptive_field", lambda config: None)
    assert main(["networks", *words]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert said in error


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    listed = re.findall(r"(?m)^    (\w+)", said)
    assert listed == [
        "networks",
        "train",
        "reproduce",
        "report",
        "dashboard",
        "evaluate",
        "predict",
        "app",
        "export",
        "score",
        "figure",
        "data",
        "bench",
    ]


def test_a_commands_own_help_is_its_modules(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["report", "--help"])
    assert "--record" in capsys.readouterr().out


def test_a_table_of_nothing_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "table1", "--runs", str(tmp_path)]) == 1
    said = capsys.readouterr()
    folder = tmp_path / "table1" / "mini"
    assert said.out == ""
    assert said.err == f"report: no runs of table1 on mini: there is no folder {folder}\n"


@pytest.mark.parametrize(
    ("module", "words", "said"),
    [
        ("deblur_lit.train", ["optimzer.lr=1"], "there is no key 'optimzer.lr'; did you mean 'optimizer.lr'?"),
        (
            "deblur_lit.train",
            ["-m", "ablation=baseline,dfm"],
            "there is no conf/ablation/dfm.yaml; did you mean 'dffm'?",
        ),
        ("deblur_lit.cli train", ["network=mimo_unet", "ablation=dffm"], "leave one out"),
        (
            "deblur_lit.cli train",
            ["data=gopro", "data.root=nowhere/gopro", "trainer.max_epochs=1"],
            "data folder nowhere/gopro/train does not exist",
        ),
    ],
    ids=["key", "sweep", "deblur-lit", "data"],
)
def test_a_mistake_in_a_training_command_is_one_line(module: str, words: list[str], said: str, tmp_path: Path) -> None:
    done = run(*module.split(), *words, "logger=csv", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stdout
