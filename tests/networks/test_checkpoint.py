"""Reading weights: our files, published files, and files that are neither."""

import pickle
from pathlib import Path

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


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model", "params"])
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
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
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
