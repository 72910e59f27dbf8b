"""`deblur-lit predict` with an identity in place of the network: what it says, what it leaves, and that it goes on."""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from photo_files import LOSSLESS, LOSSY, REFUSED
from PIL import Image
from safetensors.torch import save_file

from deblur_lit.networks.loading import load_network
from deblur_lit.nodes import network_config
from deblur_lit.predict import command
from deblur_lit.predict.photo import read_photo

REPO = Path(__file__).resolve().parents[2]


class Same(NamedTuple):
    """An identity's result."""

    image: Any
    fallbacks: list[str]


class Identity:
    """Stands in for a network; counts what it was given."""

    def __init__(self) -> None:
        self.given: list[tuple[int, ...]] = []

    def restore(self, image: Any, progress: Callable[[int, int], None] | None = None) -> Same:
        self.given.append(image.shape)
        if progress:
            progress(1, 1)
        return Same(image.copy(), ["a tile"] if image.shape[0] == 7 else [])


@pytest.fixture(autouse=True)
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, a cache of its own, and a folder of weights that nobody opens."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return folder


@pytest.fixture
def predict(weights: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str, int]]:
    """Run the command; returns its status, what it wrote on stdout and stderr, and how many images were restored."""

    def run(*words: str, deblurs: Identity | None = None) -> tuple[int, str, str, int]:
        identity = deblurs or Identity()
        status = command.main(["--checkpoint", str(weights), *words], load=lambda options: identity)
        out, err = capsys.readouterr()
        return status, out, err, len(identity.given)

    return run


def make(*names: str) -> None:
    makers = {**LOSSLESS, **LOSSY, **{name: maker for name, (maker, _) in REFUSED.items()}}
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        makers[Path(name).name](Path(name))


Predict = Callable[..., tuple[int, str, str, int]]


def test_a_photograph_is_restored_beside_itself(predict: Predict) -> None:
    make("rgb.jpg")
    status, out, err, given = predict("rgb.jpg")
    assert (status, out, given) == (0, "1 restored\n", 1)
    assert "rgb.jpg -> rgb.deblurred.jpg" in err
    with Image.open("rgb.deblurred.jpg") as image:
        assert image.size == (53, 37)


def test_a_folder_keeps_its_structure_and_odd_files_cost_only_themselves(predict: Predict) -> None:
    good, odd = ["rgb.png", "day/rgb_16_bit.tif", "day/lossy.webp"], [f"bad/{name}" for name in REFUSED]
    make(*(f"t/{name}" for name in good + odd))
    Path("t/unreadable.jpg").symlink_to("nowhere")
    Path("t/folder.jpg").mkdir()
    Path("t/loop.jpg").symlink_to("loop.jpg")
    os.mkfifo("t/pipe.jpg")
    Path("t/notes.txt").write_text("x", encoding="utf-8")
    status, out, err, _ = predict("t", "-o", "o")
    assert status == 1
    assert sorted(path.relative_to("o").as_posix() for path in Path("o").rglob("*") if path.is_file()) == sorted(good)
    suffixless = sum(not name.endswith((".gif", ".heic")) for name in odd)
    assert out.startswith(f"3 restored; {suffixless + 3} failed; ")
    assert "1 .txt" in out
    assert "1 .heic" in out
    lines = [line for line in err.splitlines() if line.startswith("failed: ")]
    for name in ["t/unreadable.jpg", "t/loop.jpg", "t/pipe.jpg", "t/bad/empty.jpg", "t/bad/cmyk.tif"]:
        assert sum(f"{name}: " in line for line in lines) == 1
    assert len(lines) == suffixless + 3
    assert "Traceback" not in err


def test_what_may_not_be_read_is_named_and_the_rest_goes_on(predict: Predict, monkeypatch: pytest.MonkeyPatch) -> None:
    make("rgb.png", "grey.png")
    read_bytes = Path.read_bytes

    def refuse(path: Path) -> bytes:  # root may read everything
        if path.name == "rgb.png":
            raise PermissionError(13, "Permission denied", str(path))
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    status, out, err, _ = predict("rgb.png", "grey.png")
    assert (status, out) == (1, "1 restored; 1 failed\n")
    assert "failed: rgb.png: Permission denied" in err


def test_a_folder_that_cannot_be_made_is_named(predict: Predict) -> None:
    make("rgb.png")
    Path("o").write_bytes(b"")
    status, _, err, _ = predict("rgb.png", "-o", "o/deep")
    assert status == 1
    assert "failed: rgb.png: Not a directory" in err


def test_the_same_command_again_does_nothing_and_says_so(predict: Predict) -> None:
    make("t/rgb.png", "t/grey.png")
    assert predict("t")[3] == 2
    assert predict("t") == (0, "0 restored; 2 were finished by an earlier run\n", "", 0)
    make("t/rgba.png")
    status, out, _, given = predict("t")
    assert (status, out, given) == (0, "1 restored; 2 were finished by an earlier run\n", 1)


def test_nothing_that_is_there_is_overwritten_unless_it_is_asked_for(predict: Predict, weights: Path) -> None:
    make("rgb.png", "grey.png")
    Path("rgb.deblurred.png").write_bytes(b"mine")
    status, _out, err, given = predict("rgb.png", "grey.png")
    assert (status, given, Path("rgb.deblurred.png").read_bytes()) == (1, 1, b"mine")
    assert "rgb.deblurred.png is there, and was not made by this command" in err
    assert predict("rgb.png", "--overwrite")[:2] == (0, "1 restored\n")
    status, _, err, given = predict("rgb.png", "--tta", "x8")
    assert (status, given) == (1, 0)
    assert "rgb.deblurred.png was made by an earlier run with other settings" in err
    (weights / "model.safetensors").write_bytes(b"others")
    assert "with other settings" in predict("rgb.png")[2]
    (weights / "model.safetensors").write_bytes(b"weights")
    assert predict("rgb.png")[0] == 0
    time.sleep(0.01)
    make("rgb.png")
    assert "was made from another file, or from this one before it changed" in predict("rgb.png")[2]
    Path("rgb.deblurred.png").write_bytes(b"touched")
    assert "or was changed since" in predict("rgb.png")[2]


def test_a_cache_that_cannot_be_written_is_said_and_no_failure(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("rgb.png")
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    status, out, err, _ = predict("rgb.png")
    assert (status, out) == (0, "1 restored\n")
    assert "a later run will not know that it is finished" in err


def test_an_interrupted_command_removes_half_files_and_goes_on(predict: Predict) -> None:
    make("t/grey.png", "t/rgb.png", "t/rgba.png")

    class Stopped(Identity):
        def restore(self, image: Any, progress: Callable[[int, int], None] | None = None) -> Same:
            if len(self.given) == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().restore(image, progress)

    before = signal.getsignal(signal.SIGTERM)
    status, out, _, _ = predict("t", deblurs=Stopped())
    assert status == 130
    assert out == "1 restored; interrupted: the same command goes on with the 2 that are not done\n"
    assert [path.name for path in Path("t.deblurred").iterdir()] == ["grey.png"]
    assert signal.getsignal(signal.SIGTERM) is before
    assert predict("t")[1] == "2 restored; 1 were finished by an earlier run\n"


def test_what_a_killed_process_left_is_removed_and_that_of_others_is_not(predict: Predict) -> None:
    make("rgb.png")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    node = os.uname().nodename
    gone, mine = Path(f".deblur-lit.{node}.{dead.pid}.part.png"), Path(f".deblur-lit.{node}.{os.getppid()}.part.png")
    other = Path(f".deblur-lit.elsewhere.{dead.pid}.part.png")
    for path in (gone, mine, other):
        path.write_bytes(b"half")
    assert predict("rgb.png")[0] == 0
    assert (gone.exists(), mine.exists(), other.exists()) == (False, True, True)


def test_a_network_that_fails_on_a_photograph_costs_that_one(predict: Predict) -> None:
    class Failing(Identity):
        def restore(self, image: Any, progress: Callable[[int, int], None] | None = None) -> Same:
            if image.shape[:2] == (1, 1):
                raise RuntimeError("out of\nmemory")
            return super().restore(image, progress)

    Image.new("RGB", (1, 1)).save("a.png")
    make("rgb.png")
    status, out, err, _ = predict("a.png", "rgb.png", deblurs=Failing())
    assert (status, out) == (1, "1 restored; 1 failed\n")
    assert "failed: a.png: RuntimeError: out of memory" in err


def test_tiles_that_fell_back_are_said(predict: Predict) -> None:
    Image.fromarray(np.zeros((7, 9, 3), np.uint8)).save("a.png")
    assert "1 tiles stayed as they were" in predict("a.png")[2]


def test_a_wrong_suffix_is_said(predict: Predict) -> None:
    make("rgb.png")
    Path("rgb.png").rename("rgb.jpg")
    assert "it is a PNG by its content, and stays one" in predict("rgb.jpg")[2]


def test_nothing_found_is_a_failure(predict: Predict) -> None:
    status, out, err, _ = predict("nothing.jpg")
    assert (status, out) == (1, "0 restored; 1 failed\n")
    assert err == "failed: nothing.jpg: there is no such file or folder\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "INPUT"),
        (["a.jpg", "--strength", "2"], "'2' is not between 0 and 1"),
        (["a.jpg", "--strength", "nan"], "'nan' is not between 0 and 1"),
        (["a.jpg", "--tile", "0"], "'0' is neither auto, off nor"),
        (["a.jpg", "--memory", "much"], "'much' is no memory size"),
        (["a.jpg", "--tta", "x9"], "x9"),
        (["a.jpg", "--device", "tpu"], "tpu"),
    ],
)
def test_a_wrong_word_is_refused_by_name(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        command.main(words)
    assert stop.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--network", "mimo_unet"], "has random weights without --checkpoint"),
        (["--network", "mimo_unett", "--checkpoint", "x"], "mimo_unet"),
        (["--network", "mimo_unet", "--checkpoint", "nowhere.pkl"], "nowhere.pkl: there are no weights"),
        (["--checkpoint", "file.pkl"], "needs --network NAME"),
    ],
)
def test_networks_and_weights_have_to_go_together(words: list[str], said: str) -> None:
    with pytest.raises((ValueError, OSError), match=said):
        command.main(["a.jpg", *words])


def loaded_after(*words: str, cwd: Path) -> set[str]:
    """Packages that the command has loaded at its end, in a process of its own."""
    program = (
        "import sys, contextlib\nfrom deblur_lit.cli import main\n"
        f"with contextlib.suppress(SystemExit): main({list(words)!r})\n"
        "print('loaded', *{name.split('.')[0] for name in sys.modules})"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=cwd, env=environment
    )
    return set(done.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize("words", [["--help"], ["nothing.jpg"], ["nothing.jpg", "--network", "unet"]])
def test_help_and_mistakes_load_nothing_slow(words: list[str]) -> None:
    loaded = loaded_after("predict", *words, cwd=Path.cwd())
    assert "deblur_lit" in loaded
    assert not loaded & {"torch", "lightning", "kornia", "albumentations", "skimage", "cv2", "hydra", "wandb"}


def test_options_reach_the_network(monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    seen: list[argparse.Namespace] = []
    make("rgb.png")

    def load(options: argparse.Namespace) -> Identity:
        seen.append(options)
        return Identity()

    words = ["--tile", "256", "--memory", "2G", "--tta", "rot4", "--tlc", "--precision", "bf16", "--device", "cpu"]
    command.main(["rgb.png", "--checkpoint", str(weights), *words, "--strength", "0.5"], load=load)
    [options] = seen
    assert (options.tile, options.memory, options.tta, options.tlc) == (256, 2 << 30, "rot4", True)
    assert (options.precision, options.device, options.strength) == ("bf16", "cpu", 0.5)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny network of random weights."""
    folder = tmp_path_factory.mktemp("small")
    overrides = ["channels=4", "num_blocks=1"]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_file(load_network("unet", overrides=overrides).state_dict(), folder / "model.safetensors")
    OmegaConf.save(network_config("unet", overrides).network, folder / "config.yaml")
    return folder


def test_a_network_restores_photographs_without_what_only_training_needs(small: Path) -> None:
    make("t/rgb.jpg", "t/day/rgb_16_bit.tif")
    words = ["t", "--checkpoint", str(small), "--device", "cpu", "--memory", "2G", "--strength", "0.5"]
    loaded = loaded_after("predict", *words, cwd=Path.cwd())
    assert "torch" in loaded
    assert not loaded & {"wandb", "hydra", "albumentations", "lightning", "kornia"}
    before, after = read_photo(Path("t/day/rgb_16_bit.tif")), read_photo(Path("t.deblurred/day/rgb_16_bit.tif"))
    assert after.pixels.dtype == before.pixels.dtype
    assert (after.pixels != before.pixels).any()


def test_strength_0_is_an_identity_through_the_command(small: Path) -> None:
    make(*(f"t/{name}" for name in LOSSLESS))
    assert command.main(["t", "--checkpoint", str(small), "--device", "cpu", "--strength", "0"]) == 0
    for name in LOSSLESS:
        before, after = read_photo(Path("t") / name), read_photo(Path("t.deblurred") / name)
        np.testing.assert_array_equal(before.samples(), after.samples())


def test_a_video_is_restored_and_a_damaged_one_is_named_once(predict: Predict) -> None:
    av = pytest.importorskip("av")
    with av.open("clip.mkv", "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for level in range(0, 250, 50):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), level, np.uint8), format="rgb24")))
        out.mux(stream.encode())
    Path("text.mp4").write_text("no video", encoding="utf-8")
    status, out_text, err, given = predict("clip.mkv", "text.mp4", "-o", "o")
    assert (status, out_text, given) == (1, "1 restored; 1 failed\n", 5)
    assert "failed: text.mp4: no video, or damaged" in err
    assert Path("o/clip.mkv").is_file()
