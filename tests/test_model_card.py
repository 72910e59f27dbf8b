"""Measured scores of exported weights, and their card."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

from deblur_lit import model_card, provenance
from deblur_lit.config import build, compose
from deblur_lit.data.images import write_png
from deblur_lit.data.paired_folder import PairedFolder
from deblur_lit.model_card import RECIPE, measure_harm, training_facts
from deblur_lit.networks.checkpoint import load_weights, read_weights
from deblur_lit.pretrain import STAGES, add_restored, export, fitted, main, train
from deblur_lit.runs import save_config

SMALL = ["network.channels=4", "network.encoder_blocks=[1,1,1]"]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run folder with checkpoints of a small network, as Lightning writes them."""
    small = compose("train", [*RECIPE, *SMALL])
    monkeypatch.setattr("deblur_lit.pretrain.compose", lambda *words: small)
    torch.manual_seed(0)
    weights = {f"network.{name}": value for name, value in build(small.network).state_dict().items()}
    folder = tmp_path / "made" / "run"
    folder.mkdir(parents=True)
    state = {"state_dict": weights, "global_step": 30, "callbacks": {"Timer": {"time_elapsed": {"train": 7200.0}}}}
    torch.save(state, folder / "best.ckpt")
    torch.save(state | {"global_step": 40}, folder / "last.ckpt")
    save_config(folder, small)
    return folder


def picture_folder(folder: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    for side in ("blur", "sharp"):
        (folder / "scene" / side).mkdir(parents=True)
        write_png(folder / "scene" / side / "000001.png", image // (2 if side == "blur" else 1))


def test_exported_weights_are_those_of_the_best_checkpoint_as_float16(run: Path, tmp_path: Path) -> None:
    export(run / "best.ckpt", tmp_path / "weights")
    node = yaml.safe_load((tmp_path / "weights" / "config.yaml").read_text(encoding="utf-8"))
    assert (node["channels"], node["encoder_blocks"], node["block"]["_partial_"]) == (4, [1, 1, 1], True)
    network = build(node)
    load_weights(network, tmp_path / "weights" / "model.safetensors")
    stored = read_weights(tmp_path / "weights" / "model.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.float16}
    for name, value in read_weights(run / "best.ckpt").items():
        assert torch.allclose(network.state_dict()[name], value, rtol=1e-3, atol=1e-6)


def test_weights_that_are_too_large_are_refused(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deblur_lit.pretrain.LARGEST", 100)
    with pytest.raises(ValueError, match="more than 100"):
        export(run / "best.ckpt", tmp_path / "weights")
    assert not list((tmp_path / "weights").iterdir())


def test_weights_that_float16_cannot_hold_are_refused(run: Path, tmp_path: Path) -> None:
    state = torch.load(run / "best.ckpt", weights_only=True)
    name = next(iter(state["state_dict"]))
    state["state_dict"][name] = state["state_dict"][name] + 1e6
    torch.save(state, run / "best.ckpt")
    with pytest.raises(ValueError, match="does not fit float16"):
        export(run / "best.ckpt", tmp_path / "weights")


def test_facts_come_from_the_checkpoints_of_a_run_that_is_not_finished(run: Path) -> None:
    facts = training_facts(run / "best.ckpt")
    assert (facts["steps"], facts["chosen"], facts["hours"], facts["finished"]) == (40, 30, 2.0, False)
    (run / "last.ckpt").unlink()
    with pytest.raises(FileNotFoundError, match="train first"):
        training_facts(run / "best.ckpt")


def test_the_card_lists_every_frame_and_every_photograph(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(run / "best.ckpt", tmp_path / "weights")
    for place in (tmp_path / "mini/test", tmp_path / "real/test", run.parent / "pairs/val"):
        picture_folder(place)
    listed = {
        "packages": {"pictures": {"version": "1.2"}},
        "photographs": {"a": {"title": "A", "author": "B", "license": "CC0-1.0", "package": "pictures", "split": "val",
                              "sha256": "f" * 64}},
    }  # fmt: skip
    made = {"recipe": {"side": 32}, "pairs": {"val": 1}, "seed": 0, "sha256": "e" * 64, "photographs": {"a": "f"}}
    (run.parent / "pairs/manifest.yaml").write_text(yaml.safe_dump(made), encoding="utf-8")
    monkeypatch.setattr(model_card.photographs, "manifest", lambda: listed)
    benchmark = SimpleNamespace(root=lambda: tmp_path / "mini")
    monkeypatch.setattr(model_card, "build", lambda node: build(node) if "channels" in node else benchmark)
    monkeypatch.setattr(model_card, "PHOTO_SIZE", (16, 16))

    path = model_card.write(tmp_path / "weights", run / "best.ckpt", [run.parent], tmp_path / "real")
    text = path.read_text(encoding="utf-8")
    assert text.count("| scene/000001 | ") == 2
    assert "](picture.png)" in text
    assert (tmp_path / "weights" / "picture.png").is_file()
    assert "1 real GoPro frames, not the GoPro test set" in text
    assert "| A | B | CC0-1.0 | pictures 1.2 | val | ffffffffffffffff |" in text
    assert provenance.file_sha256(tmp_path / "weights" / "model.safetensors") in text
    assert "weights of step 30" in text
    assert "loss 1.0 x content, 25.6 x frequency (size_invariant=True);" in text
    assert "e" * 64 in text


def test_a_network_that_changes_nothing_harms_nothing() -> None:
    pictures = [np.random.default_rng(seed).integers(0, 256, (8, 9, 3), dtype=np.uint8) for seed in range(2)]
    harm = measure_harm(lambda image: image, pictures)
    assert harm.least > 100
    assert (harm.pictures, harm.shift) == (2, 0)


def test_a_shift_of_flat_patches_and_of_sharp_pictures_is_measured() -> None:
    def brighter(image: Tensor) -> Tensor:
        return image + 3 / 255

    harm = measure_harm(brighter, [np.full((8, 8, 3), 100, np.uint8)])
    assert harm.shift == 3
    assert harm.least == harm.mean == pytest.approx(20 * np.log10(255 / 3))


def test_an_unknown_step_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bake"]) == 1
    assert "bake is no step" in capsys.readouterr().err


def test_each_training_of_the_chain_begins_with_the_weights_of_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[list[str]] = []

    def note(words: list[str], **rest: object) -> SimpleNamespace:
        calls.append(words)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr("subprocess.run", note)
    restored: list[tuple[Path, Path]] = []
    monkeypatch.setattr("deblur_lit.pretrain.add_restored", lambda pairs, trained, _: restored.append((pairs, trained)))
    monkeypatch.setattr("deblur_lit.pretrain.fitted", lambda stage, folder, trained: folder / f"after {trained}")
    assert main(["train", "--folder", str(tmp_path)]) == 0
    assert restored == [(tmp_path / STAGES[-1].name / "pairs", tmp_path / STAGES[-2].name / "run/best.ckpt")]
    starts = [[word for word in words if word.startswith("+module.start=")] for words in calls]
    befores = [tmp_path / stage.name / "run/best.ckpt" for stage in STAGES[:-1]]
    fits = [f"{tmp_path / stage.name}/after " if stage.fit else "" for stage in STAGES[1:]]
    assert starts == [[], *([f"+module.start={fit}{before}"] for fit, before in zip(fits, befores, strict=True))]
    for stage, words in zip(STAGES, calls, strict=True):
        config = compose("train", [word for word in words[3:] if not word.startswith(("hydra.", "+module.start="))])
        assert config.data.root == str(tmp_path / stage.name / "pairs")
    assert [stage.name for stage in STAGES if stage.fit] == ["lines"]


def test_a_line_filter_is_fitted_before_the_u_net_goes_on(tmp_path: Path) -> None:
    stage = STAGES[-2]._replace(overrides=(*SMALL, "network.prefilter.hidden=4"), fit=2)
    torch.manual_seed(1)
    plain = build(compose("train", [*RECIPE, *SMALL, "network.prefilter=null"]).network).state_dict()
    torch.save({"state_dict": plain}, tmp_path / "best.ckpt")
    picture_folder(tmp_path / "pairs/train")
    weights = read_weights(fitted(stage, tmp_path, tmp_path / "best.ckpt"))
    assert all(torch.equal(weights[name], value) for name, value in plain.items())
    assert weights["prefilter.mix.weight"].abs().max() > 0
    assert weights["hint.weight"].abs().max() == 0


def test_what_the_network_restored_is_to_stay(run: Path, tmp_path: Path) -> None:
    picture_folder(tmp_path / "pairs/train")
    for _ in range(2):
        add_restored(tmp_path / "pairs", run / "best.ckpt", 1)
    pairs = PairedFolder(tmp_path / "pairs", "train")
    assert pairs.names == ["restored-scene/000001", "scene/000001"]
    kept, sharp = pairs.read(0)
    assert np.array_equal(kept, sharp)
    network = build(compose("train", [*RECIPE, *SMALL]).network).eval()
    load_weights(network, run / "best.ckpt")
    image = torch.from_numpy(pairs.read(1)[0]).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        restored = network(image).full[0].clamp(0, 1).permute(1, 2, 0).numpy()
    assert np.abs(restored * 255 - kept).max() <= 0.51


def test_a_training_that_fails_stops_the_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.run", lambda words, **rest: SimpleNamespace(returncode=1))
    with pytest.raises(ValueError, match="not finished"):
        train(STAGES[0], tmp_path, None)
