"""What an offline run of wandb holds, as wandb's own reader tells it."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

READER = [str(Path(sys.executable).parent / "wandb"), "leet", "inspect", "--json"]


@dataclass
class OfflineRun:
    """One start of a run: the folder, what it was called, its axes, each step that it logged, and how it ended."""

    folder: Path
    about: dict[str, Any]
    metrics: list[dict[str, Any]]
    history: list[dict[str, Any]]
    state: dict[str, Any]

    def curve(self, key: str) -> dict[int, Any]:
        """The values logged under a key, by optimiser step."""
        return {row["trainer/global_step"]: row[key] for row in self.history if key in row}

    @property
    def summary(self) -> dict[str, Any]:
        """The last or final value under each key."""
        return self.state["summary"]

    def table(self, key: str) -> dict[str, Any]:
        """Columns and data of a table."""
        [path] = self.curve(f"{key}.path").values()
        found: dict[str, Any] = json.loads((self.folder / "files" / path).read_text())
        return found


def read(folder: Path, *options: str) -> str:
    command = [*READER, *options, folder.name]
    return subprocess.run(command, cwd=folder.parent, capture_output=True, text=True, check=True).stdout


def read_run(folder: Path) -> OfflineRun:
    records = [json.loads(line) for line in read(folder).splitlines()]
    about = next(record["run"] for record in records if record["type"] == "run")
    metrics = [record["metric"] for record in records if record["type"] == "metric"]
    history = [record["history"]["item"] for record in records if record["type"] == "history"]
    return OfflineRun(folder, about, metrics, history, json.loads(read(folder, "--summary")))


def offline_runs(run_dir: str | Path) -> list[OfflineRun]:
    """Each start of the run in a run folder, in order of time."""
    return [read_run(folder) for folder in sorted(Path(run_dir).glob("wandb/offline-run-*"))]
