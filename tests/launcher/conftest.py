"""The toy program in a folder, and how to start it."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from toy import CALLBACK, CONFIG, PROGRAM, Run, Start


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the program as package `toy`, its configuration, and an installed command `toy-train`."""
    conf = tmp_path / "toy" / "conf"
    (conf / "ablation").mkdir(parents=True)
    (tmp_path / "toy" / "__init__.py").touch()
    (tmp_path / "toy" / "train.py").write_text(PROGRAM)
    (tmp_path / "toy" / "results.py").write_text(CALLBACK)
    (conf / "train.yaml").write_text(CONFIG)
    for name, mode in {
        "baseline": "",
        "dffm": "",
        "crash": "crash",
        "sleep": "sleep",
        "forget": "forget",
        "meet": "meet",
        "preempt": "preempt",
        "msrm": "",
        "dffm_msrm": "",
    }.items():
        (conf / "ablation" / f"{name}.yaml").write_text(f"mode: '{mode}'\nwidth: 8\n")
    (tmp_path / "toy-train").write_text("import sys\nfrom toy.train import main\nsys.exit(main())\n")
    return tmp_path


@pytest.fixture
def start(place: Path) -> Start:
    """Start the program in its folder; interrupts reach it even where the tests run in the background."""
    given = [path for path in [os.environ.get("PYTHONPATH")] if path]

    def start(
        *words: str, entry: tuple[str, ...] = ("-m", "toy.train"), extra: dict[str, str] | None = None
    ) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, *entry, *words],
            cwd=place,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(place), *given])} | (extra or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
        )

    return start


@pytest.fixture
def run(start: Start) -> Run:
    """Run the program to its end."""

    def run(*words: str, **options: Any) -> "subprocess.CompletedProcess[str]":
        with start(*words, **options) as process:
            out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    return run
