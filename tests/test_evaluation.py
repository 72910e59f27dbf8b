"""`deblur-lit evaluate`: from a run or a checkpoint to records, tables and images."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from deblur_lit import evaluate as scoring
from deblur_lit import load_network, runs
from deblur_lit.config import compose, metrics_config, stems
from deblur_lit.evaluation import _quoted, evaluate
from deblur_lit.metrics.protocols import PROTOCOLS

SMALL = ["channels=4", "num_blocks=1"]
FRAMES = 3


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three smooth frames; smaller than any window of TLC, larger than any window of SSIM."""
    draw = np.random.default_rng(0)
    for number in range(1, FRAMES + 1):
        sharp = np.kron(draw.integers(0, 256, (6, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
        blur = (0.5 * sharp + 0.5 * np.roll(sharp, 3, axis=1)).astype(np.uint8)
        for side, image in (("blur", blur), ("sharp", sharp)):
            folder = tmp_path / "gopro/test/a" / side
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{number:06d}.png")
    return tmp_path / "gopro"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "weights.pth"
    torch.save(load_network("dffm_msrm", overrides=SMALL).state_dict(), path)
    return path


def run(root: Path, *words: str) -> dict[str, Any]:
    return evaluate(compose("evaluate", ["data=gopro", f"data.root={root}", "device=cpu", *words]))


def network(weights: Path) -> list[str]:
    return ["ablation=dffm_msrm", f"checkpoint={weights}", *(f"network.{word}" for word in SMALL)]


def test_a_checkpoint_is_scored_and_described(root: Path, weights: Path, tmp_path: Path) -> None:
    to = tmp_path / "out"
    record = run(root, *network(weights), f"to={to}", "save=true")
    assert json.loads((to / "metrics.json").read_text()) == record
    scores = record["scores"]["gopro"]
    assert scores["images"] == FRAMES
    assert record["row"] == "dffm_msrm"
    assert record["checkpoint"]["sha256"] == scoring.describe_checkpoint(weights, "given")["sha256"]
    assert record["evaluation"]["protocols"][:2] == ["psnr_uint8", "ssim_matlab_volume"]
    assert record["versions"]["opencv-python-headless"]
    with (to / "per_image.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [f"a/{number:06d}" for number in (1, 2, 3)]
    assert scores["psnr"] == pytest.approx(np.mean([float(row["psnr_uint8"]) for row in rows]))
    assert scores["ssim_uniform7_rgb"] == pytest.approx(np.mean([float(row["ssim_uniform7_rgb"]) for row in rows]))
    restored = np.asarray(Image.open(to / "restored/a/000001.png"))
    blur = torch.from_numpy(np.array(Image.open(root / "test/a/blur/000001.png"))).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        expected = load_network("dffm_msrm", weights, SMALL)(blur).full[0]
    assert np.array_equal(restored, expected.clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy())


def test_the_blurred_input_scores_without_a_network(root: Path, tmp_path: Path) -> None:
    scores = run(root, f"to={tmp_path / 'out'}")["scores"]["gopro"]
    assert scores["psnr"] == scores["psnr_blur"]
    assert scores["psnr_float"] == scores["psnr"]


@pytest.mark.parametrize("save", [False, True])
def test_an_interrupted_evaluation_goes_on(
    save: bool, root: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*network(weights), f"to={tmp_path / 'out'}", f"save={save}"]
    restored: list[int] = []
    forward = scoring._row

    def row(*arguments: Any) -> Any:
        restored.append(1)
        if len(restored) == 3:
            raise KeyboardInterrupt
        return forward(*arguments)

    monkeypatch.setattr(scoring, "_row", row)
    with pytest.raises(KeyboardInterrupt):
        run(root, *words)
    assert not (tmp_path / "out/metrics.json").exists()
    kept = len((tmp_path / "out/per_image.jsonl").read_text().splitlines()) - 1
    assert kept == 2
    with (tmp_path / "out/per_image.jsonl").open("a") as file:
        file.write('{"name": "a/0000')  # as a kill leaves it
    restored.clear()
    monkeypatch.setattr(scoring, "_row", lambda *arguments: (restored.append(1), forward(*arguments))[1])
    record = run(root, *words)
    assert len(restored) == FRAMES - kept
    monkeypatch.undo()
    again = run(root, *network(weights), f"to={tmp_path / 'again'}", f"save={save}")
    for both in (record, again):
        both["scores"]["gopro"].pop("seconds")
    assert record["scores"] == again["scores"]


def test_a_finished_evaluation_is_not_repeated_and_another_is_not_mixed_in(
    root: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*network(weights), f"to={tmp_path / 'out'}"]
    first = run(root, *words)
    capsys.readouterr()
    assert run(root, *words) == first
    assert "finished already" in capsys.readouterr().out
    other = run(root, *words, "ensemble=rotations")
    assert other["scores"]["gopro"]["psnr"] != first["scores"]["gopro"]["psnr"]
    assert "continuing" not in capsys.readouterr().out
    state = load_network("dffm_msrm", weights, SMALL).state_dict()
    torch.save({key: 0.9 * value for key, value in state.items()}, weights)
    assert run(root, *words, "ensemble=rotations")["scores"] != other["scores"]


def test_options_name_their_folder(root: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run(root, *network(weights), "tlc=true", "train_crop=16", "tiles=32", "precision=bf16", "ensemble=dihedral")
    folder = tmp_path / "evaluations/dffm_msrm/gopro-tlc-tiles32-dihedral-bf16"
    record = runs.read_record(folder)
    assert record["evaluation"]["tlc"] == 16
    assert record["evaluation"]["tiles"] == 32


def test_tlc_and_tiles_are_other_scores_than_the_full_frame(root: Path, weights: Path, tmp_path: Path) -> None:
    found = {
        name: run(root, *network(weights), f"to={tmp_path / name}", *words)["scores"]["gopro"]["psnr"]
        for name, words in {"whole": [], "tlc": ["tlc=true", "train_crop=16"], "tiles": ["tiles=32"]}.items()
    }
    assert len(set(found.values())) == 3


def test_a_switch_of_the_network_is_another_evaluation(root: Path, weights: Path, tmp_path: Path) -> None:
    words = [*network(weights), f"to={tmp_path / 'out'}"]
    nearest = run(root, *words)["scores"]["gopro"]["psnr"]
    bilinear = run(root, *words, "network.pyramid_mode=bilinear")["scores"]["gopro"]["psnr"]
    assert nearest != bilinear


def test_a_run_folder_brings_its_network_and_checkpoint(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "runs/s/mini/dffm_msrm/seed0"
    cfg = compose("train", ["ablation=dffm_msrm", *(f"network.{word}" for word in SMALL)])
    OmegaConf.update(cfg, "run_dir", str(folder))
    torch.manual_seed(1)
    trained = load_network("dffm_msrm", overrides=SMALL)
    folder.mkdir(parents=True)
    torch.save({"state_dict": {f"network.{k}": v for k, v in trained.state_dict().items()}}, folder / "best.ckpt")
    runs.save_config(folder, cfg)
    checkpoint = scoring.describe_checkpoint(folder / "best.ckpt", "best by val/psnr")
    record = scoring.record(
        row="dffm_msrm", title="+DFFM+MSRM", study="s", seed=0, config_hash="0" * 64, network=None,
        training={"crop_size": 16}, checkpoint=checkpoint, scores={}, device="cpu",
    )  # fmt: skip
    runs.write_record(folder, record)
    scored = run(root, f"run={folder}", "tlc=true")
    assert scored["evaluation"]["tlc"] == 16
    assert scored["checkpoint"]["sha256"] == checkpoint["sha256"]
    assert (folder / "evaluations/gopro-tlc/metrics.json").is_file()
    assert runs.read_record(folder) == record  # the run itself stays as it was


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ablation=dffm_msrm"], "dffm_msrm: name its weights by checkpoint="),
        (["checkpoint=x.pth"], "x.pth: no such checkpoint"),
        (["run=absent"], "absent/metrics.json is missing"),
        (["run=absent", "network=mimo_unet"], "has a network of its own: leave mimo_unet out"),
        (["tlc=true"], "are of a network"),
        (["metrics=gropo"], "no conf/metrics/gropo.yaml; did you mean 'gopro'"),
    ],
)
def test_a_mistake_is_named(words: list[str], said: str, root: Path, tmp_path: Path) -> None:
    with pytest.raises((ValueError, OSError), match=said):
        run(root, f"to={tmp_path / 'out'}", *words)


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        ("run=runs/a+x=1,y=2/seed0", "run='runs/a+x=1,y=2/seed0'"),
        ("to=it's here", "to='it\\'s here'"),
        ("run='a=b'", "run='a=b'"),
        ("to=null", "to=null"),
        ("tiles=3", "tiles=3"),
        ("--help", "--help"),
    ],
)
def test_paths_need_no_quotes(word: str, quoted: str) -> None:
    assert _quoted(word) == quoted
    if "=" in word:
        cfg = compose("evaluate", [quoted])
        assert cfg.run in (None, "runs/a+x=1,y=2/seed0", "a=b")
        assert cfg.to in (None, "it's here")


def test_the_command_says_a_mistake_in_one_line(root: Path) -> None:
    words = ["-m", "deblur_lit.cli", "evaluate", "data=gopro", f"data.root={root}", "ensembel=rotations"]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == "error: ensembel=rotations: there is no key 'ensembel'; did you mean 'ensemble'?"


@pytest.mark.parametrize("name", stems("metrics"))
def test_every_set_of_protocols_is_known(name: str) -> None:
    node = metrics_config(name)
    assert {node.psnr, node.ssim, *node.also} <= set(PROTOCOLS)
    assert len({node.psnr, node.ssim, *node.also}) == 2 + len(node.also)


def test_data_without_protocols_of_its_own_is_scored_as_gopro() -> None:
    assert metrics_config("mini") == metrics_config("gopro") == metrics_config("folder")
