"""Reading evaluations: what they hold, and what is said of those that cannot be compared."""

import json
import math
import shutil
from pathlib import Path

import pytest
from figure_data import FRAMES, Evaluate, table

from deblur_lit.config import compose
from deblur_lit.evaluation import evaluate
from deblur_lit.figure.systems import System, open_systems
from deblur_lit.metrics.protocols import PROTOCOLS


def test_systems_keep_the_order_given_and_take_labels(evaluation: Evaluate) -> None:
    one, two = evaluation("one", 0.5), evaluation("two", 0.8)
    systems = open_systems([str(two), f"First={one}"], "gopro")
    assert [system.label for system in systems] == ["two", "First"]
    assert [system.folder for system in systems] == [two, one]
    assert systems[0].origin == "two, checkpoint sha256 fedcba9876543210, commit 0123456789ab"


def test_values_are_those_of_the_table(evaluation: Evaluate) -> None:
    folder = evaluation("one", 0.5)
    [system] = open_systems([str(folder)], "gopro")
    for name, row in table(folder).items():
        assert system.psnr(name) == float(row["psnr_uint8"])
        assert system.psnr_blurred(name) == float(row["psnr_uint8 of blur"])
        assert system.gain(name) == system.psnr(name) - system.psnr_blurred(name) > 0
    assert system.protocols[:3] == ["psnr_uint8", "ssim_matlab_volume", "psnr_float"]
    assert all("of blur" not in protocol for protocol in system.protocols)


@pytest.mark.parametrize(("protocols", "psnr"), [("gopro", "psnr_uint8"), ("realblur_j", "psnr_realblur")])
def test_what_evaluate_writes_is_read(protocols: str, psnr: str, root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    words = ["data=gopro", f"data.root={root}", f"metrics={protocols}", "device=cpu", f"to={folder}", "save=true"]
    evaluate(compose("evaluate", words))
    [system] = open_systems([str(folder)], "gopro")
    assert system.protocol == psnr
    assert set(system.protocols) <= set(PROTOCOLS)
    assert list(system.rows) == FRAMES
    assert {system.gain(name) for name in FRAMES} == {0}
    assert all(system.picture(name).is_file() for name in FRAMES)
    assert system.origin.startswith("blurred input, no network, commit ")


def test_without_systems_the_papers_are_looked_for_where_evaluate_writes(
    evaluation: Evaluate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("dffm_msrm", "dmphn", "deblurgan_v2"):
        (tmp_path / "evaluations" / name).mkdir(parents=True)
        shutil.move(evaluation(name, 0.5), tmp_path / "evaluations" / name / "gopro")
    assert [system.label for system in open_systems([], "gopro")] == ["deblurgan_v2", "dmphn", "dffm_msrm"]
    shutil.rmtree(tmp_path / "evaluations/dmphn")
    with pytest.raises(FileNotFoundError, match=r"evaluations/dmphn/gopro is no folder"):
        open_systems([], "gopro")


def test_a_folder_without_images_says_how_to_save_them(evaluation: Evaluate) -> None:
    folder = evaluation("one", 0.5)
    shutil.rmtree(folder / "restored")
    with pytest.raises(FileNotFoundError, match=r"one has no restored/: .* save=true"):
        open_systems([str(folder)], "gopro")


def test_an_unfinished_evaluation_is_named(evaluation: Evaluate) -> None:
    folder = evaluation("one", 0.5)
    (folder / "metrics.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"one/metrics\.json is missing"):
        open_systems([str(folder)], "gopro")


def test_another_data_set_is_named(evaluation: Evaluate) -> None:
    with pytest.raises(ValueError, match=r"one was evaluated on gopro, not on realblur_j"):
        open_systems([str(evaluation("one", 0.5))], "realblur_j")


def test_two_of_one_label_are_refused(evaluation: Evaluate) -> None:
    one, two = evaluation("one", 0.5), evaluation("two", 0.8)
    with pytest.raises(ValueError, match=r"two: there are two of the label 'one'; give LABEL=FOLDER"):
        open_systems([str(one), f"one={two}"], "gopro")
    with pytest.raises(ValueError, match="'Sharp'"):
        open_systems([f"Sharp={one}"], "gopro")


def test_an_image_that_a_system_lacks_is_named(evaluation: Evaluate) -> None:
    one, two = evaluation("one", 0.5), evaluation("two", 0.8, FRAMES[:3])
    for words in ([one, two], [two, one]):
        with pytest.raises(ValueError, match=r"two lacks images that .*one has: b/000002; evaluate both"):
            open_systems(list(map(str, words)), "gopro")


def test_psnr_of_two_protocols_is_not_compared(evaluation: Evaluate) -> None:
    one, two = evaluation("one", 0.5), evaluation("two", 0.8)
    record = json.loads((two / "metrics.json").read_text())
    record["scores"]["gopro"]["protocol"]["psnr"] = "psnr_float"
    (two / "metrics.json").write_text(json.dumps(record))
    lines = (two / "per_image.csv").read_text().replace("psnr_uint8 of blur", "psnr_float of blur")
    (two / "per_image.csv").write_text(lines)
    with pytest.raises(ValueError, match=r"one by psnr_uint8, .*two by psnr_float"):
        open_systems([str(one), str(two)], "gopro")


@pytest.mark.parametrize(
    "damaged", ["", "name,psnr_uint8\na,1\n", "name,psnr_uint8,psnr_uint8 of blur\na,1\n", "frame,psnr_uint8\na,1\n"]
)
def test_a_damaged_table_is_named(damaged: str, evaluation: Evaluate) -> None:
    folder = evaluation("one", 0.5)
    (folder / "per_image.csv").write_text(damaged)
    with pytest.raises(ValueError, match=r"one/per_image\.csv: .*run its evaluation again"):
        open_systems([str(folder)], "gopro")


@pytest.mark.parametrize(
    ("psnr", "blurred", "gain"),
    [("nan", "nan", -math.inf), ("inf", "inf", 0), ("inf", "20", math.inf), ("19", "20", -1)],
)
def test_gains_have_an_order_whatever_the_psnr(psnr: str, blurred: str, gain: float, tmp_path: Path) -> None:
    rows = {"a": {"psnr_uint8": float(psnr), "psnr_uint8 of blur": float(blurred)}}
    assert System("x", tmp_path, "psnr_uint8", rows, "").gain("a") == gain
