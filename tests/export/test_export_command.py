"""`deblur-lit export`: what it writes, that it checks it, and what it refuses."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from conftest import save_folder
from safetensors.torch import load_file, save_file

from deblur_lit import runs
from deblur_lit.export import parity, writing
from deblur_lit.export.command import main
from deblur_lit.networks.loading import load_network
from deblur_lit.pretrained import load_folder


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that pools nothing."""
    return save_folder(tmp_path_factory.mktemp("plain") / "plain", "unet", "channels=2", "num_blocks=1")


@pytest.mark.parametrize("half", [False, True])
def test_a_folder_is_loaded_again_as_it_was(
    half: bool, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "out"
    assert main([str(folder), "--format", "safetensors", "-o", str(out), *["--half"] * half]) == 0
    assert "PyTorch differs by at most 0.0e+00" in capsys.readouterr().out
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "config.yaml", "model.safetensors"]
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    before = load_folder(folder)
    assert same(load_folder(out), before.half().float() if half else before)
    stored = {tensor.dtype for tensor in load_file(out / "model.safetensors").values()}
    assert stored == {torch.float16 if half else torch.float32}
    front, _, card = (out / "README.md").read_text(encoding="utf-8").removeprefix("---\n").partition("---\n")
    assert yaml.safe_load(front)["library_name"] == "deblur_lit"
    assert "from_pretrained" in card


def test_a_card_that_a_folder_has_goes_along(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "in")
    (tmp_path / "in" / "README.md").write_text("# Mine\n", encoding="utf-8")
    main([str(tmp_path / "in"), "--format", "safetensors", "-o", str(tmp_path / "out")])
    text = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert text.startswith("---\nlibrary_name: deblur_lit\n")
    assert text.endswith("\n# Mine\n")


def test_a_program_takes_other_sizes_and_says_which(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.pt2"
    assert main([str(plain), "--format", "torch-export", "--half", "-o", str(path)]) == 0
    assert "sides are padded by you, to multiples of (4, 4)" in capsys.readouterr().out
    inside = {"deblur_lit.json": ""}
    restore = torch.export.load(path, extra_files=inside).module()
    network = load_folder(plain).half().float()
    for size in ((2, 3, 8, 20), (1, 3, 36, 8)):
        blur = torch.rand(size, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            torch.testing.assert_close(restore(blur), network(blur).full, rtol=0, atol=1e-6)
    facts = json.loads(inside["deblur_lit.json"])
    assert (facts["step"], facts["least"]) == ([4, 4], [8, 8])
    assert str(Path(__file__).parents[2]).encode() not in path.read_bytes()


def test_a_finished_run_is_exported_by_its_folder(folder: Path, tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    run.mkdir()
    network = load_folder(folder)
    torch.save({"state_dict": network.state_dict()}, run / "best.ckpt")
    runs.save_config(run, {"network": yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))})
    record = {"row": "dffm_msrm", "title": "+ DFFM + MSRM", "study": "mine", "seed": 3, "commit": "abc"}
    runs.write_record(run, {**record, "schema": runs.SCHEMA, "checkpoint": {"file": "best.ckpt"}})
    assert main([str(run), "--format", "safetensors", "-o", str(out)]) == 0
    assert same(load_folder(out), network)
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "# + DFFM + MSRM" in card
    assert "Row dffm_msrm of study mine, seed 3" in card


def test_a_network_is_exported_by_its_name_with_its_paper(tmp_path: Path) -> None:
    network = load_network("deblurgan_v2_mobilenet")
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    words = ["--network", "deblurgan_v2_mobilenet", "--checkpoint", str(tmp_path / "weights.pth")]
    main([*words, "--format", "safetensors", "-o", str(tmp_path / "out")])
    assert same(load_folder(tmp_path / "out"), network)
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "Kupyn et al., ICCV 2019" in card
    assert "Exported from `weights.pth`" in card


def test_what_differs_from_pytorch_is_an_error_and_leaves_nothing(
    folder: Path, onnx_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = shutil.copytree(folder, tmp_path / "other")
    network = load_folder(other)
    network.leave[0].bias.data += 0.1
    save_file(network.state_dict(), other / "model.safetensors")
    monkeypatch.setattr(writing, "write_onnx", lambda network, facts, path: shutil.copy(onnx_file, path))
    (tmp_path / "out").mkdir()
    with pytest.raises(ValueError, match=r"at 33x47 it differs from PyTorch by 1\.0e-01, above 0\.0001"):
        main([str(other), "--format", "onnx", "-o", str(tmp_path / "out" / "a.onnx")])
    monkeypatch.setattr(parity, "MOST", -1.0)
    with pytest.raises(ValueError, match="differs from PyTorch"):
        main([str(folder), "--format", "safetensors", "-o", str(tmp_path / "out" / "folder")])
    assert not list((tmp_path / "out").iterdir())


def test_what_is_there_is_kept_unless_it_is_asked_for(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").write_bytes(b"")
    words = [str(folder), "--format", "safetensors", "-o", str(out)]
    with pytest.raises(ValueError, match="out is there already; --overwrite replaces it"):
        main(words)
    with pytest.raises(ValueError, match="mine in it is none of a network's files"):
        main([*words, "--overwrite"])
    (out / "mine").rename(out / "config.yaml")
    assert main([*words, "--overwrite"]) == 0
    with pytest.raises(ValueError, match="out is a folder; choose another -o"):
        main([str(folder), "--format", "onnx", "-o", str(out), "--overwrite"])


def test_weights_beyond_float16_are_refused_by_name(folder: Path) -> None:
    network = load_folder(folder)
    network.leave[0].bias.data[0] = 1e5
    with pytest.raises(ValueError, match=r"leave\.0\.bias holds values beyond 65504"):
        writing._stored(network, half=True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--network", "unet"], "has random weights without --checkpoint"),
        (["--network", "unett", "--checkpoint", "w.pth"], "unet"),
        (["--network", "unet", "--checkpoint", "w.pth"], r"w\.pth: no such checkpoint"),
        (["--checkpoint", "w.pth"], "needs --network NAME"),
        (["nowhere"], "nowhere: no config.yaml there"),
        (["nowhere", "--network", "unet"], "nowhere brings its network"),
    ],
)
def test_what_does_not_go_together_is_refused(words: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises((ValueError, OSError), match=said):
        main([*words, "--format", "safetensors", "-o", str(tmp_path / "out")])
    assert not list(tmp_path.iterdir())
