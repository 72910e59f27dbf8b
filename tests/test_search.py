"""experiments/sweep.yaml: what wandb's agent makes of it is the ordinary command."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from deblur_lit.config import check, compose

FILE = Path(__file__).resolve().parents[1] / "experiments" / "sweep.yaml"
SEARCH: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))


def expand(values: dict[str, Any]) -> list[str]:
    """The command that an agent starts for drawn values."""
    known: dict[str, Any] = create_sweep_command_args({"args": {key: {"value": v} for key, v in values.items()}})
    known |= {"env": ["/usr/bin/env"]}
    words: list[str] = []
    for word in create_sweep_command(SEARCH["command"]):
        words += known[word[2:-1]] if word.startswith("${") else [word]
    return words


def corners() -> list[dict[str, Any]]:
    """The first and the last of the values that each parameter can have."""
    ends = [
        [entry["values"][0], entry["values"][-1]]
        if "values" in entry
        else [entry["value"]] * 2
        if "value" in entry
        else [entry["min"], entry["max"]]
        for entry in SEARCH["parameters"].values()
    ]
    return [dict(zip(SEARCH["parameters"], values, strict=True)) for values in zip(*ends, strict=True)]


@pytest.mark.parametrize("values", corners(), ids=["first values", "last values"])
def test_an_agent_starts_a_run_with_the_drawn_values(values: dict[str, Any]) -> None:
    command = expand(values)
    assert command[:4] == ["/usr/bin/env", "python", "-m", "deblur_lit.train"]
    cfg = compose("train", ["variant=''", "run_dir=/run", *command[4:]])
    check(cfg)
    assert cfg.ablation.name == values["ablation"]
    assert cfg.optimizer.lr == values["optimizer.lr"]
    assert cfg.loss.weights.frequency == values["loss.weights.frequency"]
    assert (cfg.seed, cfg.study) == (0, "search")


def test_it_is_judged_by_validation() -> None:
    assert SEARCH["metric"] == {"name": "val/psnr", "goal": "maximize"}
    assert SEARCH["method"] == "bayes"
