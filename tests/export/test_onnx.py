"""An exported network: equal to PyTorch at any size, with what tiles need, and without PyTorch."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

from deblur_lit.export.parity import picture
from deblur_lit.predict.command import main as predict
from deblur_lit.predict.deblurrer import Deblurrer
from deblur_lit.predict.onnx_backend import OnnxBackend
from deblur_lit.predict.torch_backend import TorchBackend
from deblur_lit.pretrained import load_folder

REPO = Path(__file__).resolve().parents[2]
SIZES = [(1, 1), (1, 9), (2, 3), (7, 5), (33, 48), (64, 64)]


@pytest.fixture(scope="module")
def backends(folder: Path, onnx_file: Path) -> tuple[OnnxBackend, TorchBackend]:
    return OnnxBackend(onnx_file), TorchBackend(load_folder(folder).half().float(), "cpu")


Both = tuple[OnnxBackend, TorchBackend]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_any_size_equals_pytorch(size: tuple[int, int], backends: Both) -> None:
    image = picture(*size)
    ours, expected = (backend.restore(image) for backend in backends)
    assert ours.shape == image.shape
    np.testing.assert_allclose(ours, expected, atol=1e-6)
    assert np.abs(expected - image).max() > 1e-3


@pytest.mark.parametrize("margin", [0, 8, 30])
def test_tiles_share_the_same_means(margin: int, backends: Both) -> None:
    parts = np.concatenate([picture(64, 64, seed) for seed in range(3)])
    ours, expected = (backend.share(parts, margin) for backend in backends)
    flat = np.concatenate([mean.numpy().ravel() for mean, _ in expected])
    np.testing.assert_allclose(ours, flat, atol=1e-6)
    assert len(flat) == backends[0].facts.means
    tile = picture(33, 48)
    given, theirs = backends[0].restore(tile, ours), backends[1].restore(tile, expected)
    np.testing.assert_allclose(given, theirs, atol=1e-6)
    assert np.abs(given - backends[0].restore(tile)).max() > 1e-6


def test_it_says_what_tiles_need(backends: Both) -> None:
    ours, expected = backends
    assert ours.needs == expected.needs
    assert ours.shares is expected.shares is True
    assert ours.facts.padded(1, 9) == (4, 12)
    assert 0 < ours.pixels(2**40, 0) < 2**40 / ours.facts.bytes_per_pixel


@pytest.mark.parametrize("tta", ["none", "rot4"])
def test_an_image_in_tiles_equals_pytorch_in_tiles(tta: str, backends: Both) -> None:
    image = (255 * picture(150, 170)[0].transpose(1, 2, 0)).astype(np.uint8)
    ours, expected = (Deblurrer(backend=backend, tile=64, tta=tta).restore(image) for backend in backends)
    assert ours.note == expected.note
    assert not ours.fallbacks
    assert np.abs(ours.image.astype(int) - expected.image).max() <= 1
    assert (ours.image != image).any()


def test_one_input_and_one_output_are_enough(onnx_file: Path, backends: Both) -> None:
    session = onnxruntime.InferenceSession(onnx_file, providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == ["blur"]
    image = picture(5, 7)
    np.testing.assert_allclose(session.run(["restored"], {"blur": image})[0], backends[1].restore(image), atol=1e-6)


def test_weights_are_stored_in_float16_and_nothing_of_this_machine(onnx_file: Path) -> None:
    model = onnx.load(onnx_file)
    sizes = {onnx.TensorProto.FLOAT16: 0, onnx.TensorProto.FLOAT: 0}
    for constant in model.graph.initializer:
        if constant.data_type in sizes:
            sizes[constant.data_type] += int(np.prod(constant.dims))
    assert sizes[onnx.TensorProto.FLOAT16] > 19_000
    assert sizes[onnx.TensorProto.FLOAT] < 200
    assert str(REPO).encode() not in onnx_file.read_bytes()
    assert b"site-packages" not in onnx_file.read_bytes()


def test_too_little_memory_is_told_from_other_errors(onnx_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = OnnxBackend(onnx_file)

    class Failing:
        def run(self, outputs: list[str], inputs: dict[str, np.ndarray]) -> None:
            raise RuntimeError(f"Failed to {'allocate memory' if inputs['blur'].shape[3] > 100 else 'run'}\nmore")

    monkeypatch.setattr(backend, "_session", Failing())
    with pytest.raises(MemoryError, match=r"^Failed to allocate memory$"):
        backend.restore(picture(8, 200))
    with pytest.raises(RuntimeError, match="Failed to run"):
        backend.restore(picture(8, 8))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--runtime", "onnx"], r"--runtime onnx needs --checkpoint X\.onnx"),
        (["--runtime", "onnx", "--checkpoint", "w.pth", "--network", "unet"], r"needs --checkpoint X\.onnx"),
        (["--checkpoint", "x.onnx"], r"x\.onnx: there are no weights"),
        (["--checkpoint", "x.onnx", "--network", "unet"], "brings its network"),
        (["--checkpoint", "x.onnx", "--tlc"], "leave --tlc, --precision and --device out"),
        (["--checkpoint", "x.onnx", "--precision", "bf16"], "leave --tlc"),
        (["--checkpoint", "x.onnx", "--device", "cuda"], "on the CPU"),
        (["--checkpoint", "x.onnx", "--runtime", "torch"], "a file of weights needs --network NAME"),
    ],
)
def test_what_does_not_go_with_onnx_is_refused(words: list[str], said: str) -> None:
    with pytest.raises((ValueError, OSError), match=said):
        predict(["a.jpg", *words])


def run(*words: str, cwd: Path) -> set[str]:
    """Packages that the command has loaded at its end, in a process of its own."""
    program = (
        f"import sys\nfrom deblur_lit.cli import main\nassert main({list(words)!r}) == 0\n"
        "print('loaded', *{name.split('.')[0] for name in sys.modules})"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPO), "XDG_CACHE_HOME": str(cwd / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=cwd, env=environment
    )
    return set(done.stdout.splitlines()[-1].split()[1:])


def test_predict_with_onnx_loads_no_torch_and_equals_predict_with_torch(
    folder: Path, onnx_file: Path, tmp_path: Path
) -> None:
    image = (255 * picture(150, 170)[0].transpose(1, 2, 0)).astype(np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png")
    words = ["predict", "a.png", "--tile", "64", "--checkpoint"]
    loaded = run(*words, str(onnx_file), "--runtime", "onnx", "-o", "onnx.png", cwd=tmp_path)
    assert "onnxruntime" in loaded
    assert not loaded & {"torch", "lightning", "hydra", "wandb", "kornia", "albumentations", "onnx"}
    assert "torch" in run(*words, str(folder), "--device", "cpu", "-o", "torch.png", cwd=tmp_path)
    ours, expected = (np.asarray(Image.open(tmp_path / f"{name}.png")).astype(int) for name in ("onnx", "torch"))
    assert np.abs(ours - expected).max() <= 1
    assert (ours != image).any()


def test_files_of_others_and_damaged_ones_are_refused_by_name(onnx_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    with pytest.raises(FileNotFoundError, match=r"other\.onnx: no such file"):
        OnnxBackend(path)
    path.write_bytes(onnx_file.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"other\.onnx: no ONNX file, or damaged"):
        OnnxBackend(path)
    model = onnx.load(onnx_file)
    [facts] = model.metadata_props
    facts.value = facts.value.replace('"format": 1', '"format": 99')
    onnx.save(model, path)
    with pytest.raises(ValueError, match=r"other\.onnx: written by another version"):
        OnnxBackend(path)
    del model.metadata_props[:]
    onnx.save(model, path)
    with pytest.raises(ValueError, match=r"other\.onnx: was not written by `deblur-lit export`"):
        OnnxBackend(path)
