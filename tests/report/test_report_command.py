"""`python -m deblur_lit.report`: what it prints, its exit status, and how little it imports."""

import subprocess
import sys
from pathlib import Path

import pytest
from run_store import Store

from deblur_lit.report.__main__ import main


def test_a_table_is_written_and_printed(mini: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table1", "--runs", str(mini.runs), "--data", "mini"]) == 0
    printed = capsys.readouterr().out
    assert "Table 1" in printed
    assert "25.40" in printed
    assert str(mini.runs / "table1" / "mini" / "table.tex") in printed


def test_record_prints_what_it_copied(mini: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["table1", "--runs", str(mini.runs)]
    assert main([*command, "--record", str(tmp_path / "kept")]) == 1
    assert "make the table first" in capsys.readouterr().err
    assert main(command) == 0
    assert main([*command, "--record", str(tmp_path / "kept")]) == 0
    assert str(tmp_path / "kept" / "table1" / "mini" / "rows" / "blur.json") in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["table9"], "no table 'table9'"), (["table1", "--data", "minni"], "no runs of table1 on minni")],
)
def test_a_mistake_is_one_line_and_status_1(
    mini: Store, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main([*arguments, "--runs", str(mini.runs)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("report: ")
    assert said in error
    assert error.count("\n") == 1


def test_a_damaged_record_does_not_stop_the_table(mini: Store, capsys: pytest.CaptureFixture[str]) -> None:
    (mini.folder("mimo_unet", 0) / "metrics.json").write_text("{")
    assert main(["table1", "--runs", str(mini.runs)]) == 0
    assert "is not JSON, half-written or damaged" in " ".join(capsys.readouterr().out.split())


def test_reading_tables_imports_nothing_slow() -> None:
    slow = {"torch", "lightning", "hydra", "omegaconf", "numpy", "kornia", "albumentations", "wandb"}
    code = f"import sys, deblur_lit.report.__main__; print(sorted({slow!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
