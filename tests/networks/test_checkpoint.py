"""Reading weights: our files, published files, and files that are neither."""

import pickle
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from deblur_lit import load_network
from deblur_lit.networks.checkpoint import find_checkpoint, load_weights, read_weights

SMALL = ["channels=4", "num_blocks=1"]


STATE = load_network("dffm", overrides=SMALL).state_dict()


def same(path: Path) -> bool:
    loaded = load_network("dffm", checkpoint=path, overrides=SMALL).state_dict()
    return all(torch.equal(value, STATE[key]) for key, value in loaded.items())


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model", "params", "params_ema"])
@pytest.mark.parametrize("prefix", ["", "module.", "network."])
@pytest.mark.parametrize("suffix", [".ckpt", ".pkl", ".pth", ".pt", ".h5"])
def test_every_wrapping_is_read(wrapper: str | None, prefix: str, suffix: str, tmp_path: Path) -> None:
    state = {prefix + key: value for key, value in STATE.items()}
    path = tmp_path / f"w{suffix}"
    torch.save(state if wrapper is None else {wrapper: state, "epoch": 3}, path)
    assert same(path)


def test_safetensors_is_read(tmp_path: Path) -> None:
    save_file({key: value.contiguous() for key, value in STATE.items()}, tmp_path / "w.safetensors")
    assert same(tmp_path / "w.safetensors")


def test_arrays_of_numpy_are_read_as_they_are(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", **{key: value.numpy() for key, value in STATE.items()})
    assert same(tmp_path / "w.npz")
    np.savez(tmp_path / "w.npz", **{"net/conv/weights": np.arange(6.0).reshape(1, 2, 3)})
    read = read_weights(tmp_path / "w.npz")
    assert list(read) == ["net/conv/weights"]
    assert read["net/conv/weights"].shape == (1, 2, 3)


def test_objects_among_the_arrays_of_numpy_are_refused(tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    np.savez(tmp_path / "w.npz", weight=np.array([Touch(proof)], dtype=object))
    with pytest.raises(ValueError, match=r"w\.npz: damaged or no checkpoint .*allow_pickle=False"):
        read_weights(tmp_path / "w.npz")
    assert not proof.exists()


@pytest.fixture
def tensorflow_checkpoint(tmp_path: Path) -> Path:
    """The prefix of a TensorFlow checkpoint in a folder of its own."""
    prefix = tmp_path / "srn/deblur.model-523000"
    prefix.parent.mkdir()
    for suffix in ("index", "meta", "data-00000-of-00001"):
        prefix.with_name(f"{prefix.name}.{suffix}").touch()
    return prefix


def test_a_tensorflow_checkpoint_is_read_by_tensorflow(
    tensorflow_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {"g_net/weights": np.ones((5, 5, 6, 4), np.float32), "_CHECKPOINTABLE_OBJECT_GRAPH": b"a graph"}

    def load_checkpoint(prefix: str) -> SimpleNamespace:
        assert prefix == str(tensorflow_checkpoint)
        shapes = {key: np.shape(value) for key, value in variables.items()}
        return SimpleNamespace(get_variable_to_shape_map=lambda: shapes, get_tensor=variables.__getitem__)

    stub = SimpleNamespace(train=SimpleNamespace(load_checkpoint=load_checkpoint))
    monkeypatch.setitem(sys.modules, "tensorflow", stub)  # type: ignore[arg-type]
    index = tensorflow_checkpoint.with_name(f"{tensorflow_checkpoint.name}.index")
    for path in (tensorflow_checkpoint, index, tensorflow_checkpoint.parent):
        assert {key: tuple(value.shape) for key, value in read_weights(path).items()} == {"g_net/weights": (5, 5, 6, 4)}


def test_without_tensorflow_the_ways_out_are_named(
    tensorflow_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"deblur\.model-523000\.index: .*pip install tensorflow.*\.npz"):
        read_weights(tensorflow_checkpoint)


def test_the_legacy_format_of_torch_is_read(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "w.pkl", _use_new_zipfile_serialization=False)
    assert same(tmp_path / "w.pkl")


def test_a_folder_of_parts_is_one_checkpoint(tmp_path: Path) -> None:
    for part in ("first", "second"):
        torch.save({"weight": torch.ones(2)}, tmp_path / f"{part}.pkl")
    assert sorted(read_weights(tmp_path)) == ["first.weight", "second.weight"]


def test_another_networks_file_is_refused_with_the_keys(tmp_path: Path) -> None:
    torch.save(load_network("msrm", overrides=SMALL).state_dict(), tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"missing: .*; \d+ unexpected: ") as error:
        load_network("dffm", checkpoint=tmp_path / "w.pth", overrides=SMALL)
    assert str(tmp_path / "w.pth") in str(error.value)


def test_another_width_is_refused_with_the_shapes(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"enter\.0\.weight is \(4, 3, 3, 3\) in the file, \(8, 3, 3, 3\)"):
        load_network("dffm", checkpoint=tmp_path / "w.pth", overrides=["channels=8", "num_blocks=1"])


class Touch:
    """Would create a file when it is unpickled."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.proof,)


@pytest.mark.parametrize("plain", [True, False])
def test_a_file_that_would_run_code_is_refused_and_does_not_run_it(plain: bool, tmp_path: Path) -> None:
    path, proof = tmp_path / "evil.pkl", tmp_path / "proof"
    if plain:
        path.write_bytes(pickle.dumps({"model": Touch(proof)}, protocol=2))
    else:
        torch.save({"model": Touch(proof)}, path)
    with pytest.raises(ValueError, match=r"evil\.pkl: (refused|damaged)"):
        read_weights(path)
    assert not proof.exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut off"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".npz"])
def test_a_foreign_or_damaged_file_is_named(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"odd{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="odd"):
        read_weights(path)


def test_a_cut_off_checkpoint_is_named(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "whole.pth")
    data = (tmp_path / "whole.pth").read_bytes()
    (tmp_path / "half.pth").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r"half\.pth: damaged"):
        read_weights(tmp_path / "half.pth")


def test_a_file_without_tensors_is_named(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match="holds no tensors"):
        read_weights(tmp_path / "w.pth")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing-here"):
        load_weights(load_network("dffm", overrides=SMALL), tmp_path / "nothing-here.ckpt")


def test_checkpoints_are_found_by_network_name(tmp_path: Path) -> None:
    assert find_checkpoint(tmp_path, "dmphn") is None
    (tmp_path / "dmphn").mkdir()
    assert find_checkpoint(tmp_path, "dmphn") == tmp_path / "dmphn"
    (tmp_path / "dmphn.pkl").touch()
    assert find_checkpoint(tmp_path, "dmphn") == tmp_path / "dmphn.pkl"
