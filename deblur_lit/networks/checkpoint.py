"""Reading weights, ours and the authors' published ones, without ever running code from the file."""

import pickle
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from deblur_lit.networks.blocks import DeblurNetwork

INDEX = ".index"  # of the files of a TensorFlow checkpoint
SUFFIXES = (".safetensors", ".ckpt", ".pkl", ".pth", ".pt", ".h5", ".npz", INDEX)
WRAPPERS = ("state_dict", "model", "params", "params_ema", "G")  # keys under which published files hold their weights
PREFIXES = ("network.", "module.")  # Lightning's, DataParallel's
SHOWN = 5  # keys of each kind that an error lists


def find_checkpoint(folder: Path, name: str) -> Path | None:
    """Return `folder/<name>.<suffix>` or the folder `folder/<name>/`, or None where neither is there."""
    for suffix in SUFFIXES:
        if (path := folder / f"{name}{suffix}").is_file():
            return path
    return folder / name if (folder / name).is_dir() else None


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the weights of a checkpoint file, or of a folder with one file per part of a network.

    Wrapping dictionaries and the prefixes of Lightning and DataParallel are taken off. In a folder of several
    files each file's stem becomes the first part of its keys.

    Args:
        path: .safetensors, a Lightning .ckpt, a torch file of tensors (.pkl, .pth, .pt, .h5), NumPy arrays (.npz), or
            the .index of a TensorFlow checkpoint, with or without that suffix.

    Returns:
        Tensors on the CPU by parameter name, as they are stored: names and layout are the file's.

    Raises:
        FileNotFoundError: if there is nothing at `path`.
        ValueError: if the file holds no weights, is damaged, would have to run code to be read, or needs TensorFlow
            where there is none.
    """
    index = path.with_name(path.name + INDEX)
    if index.is_file():
        return read_weights(index)
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
        if not files:
            raise ValueError(f"{path}: no checkpoint in this folder (one of {', '.join(SUFFIXES)})")
        if len(files) == 1:
            return read_weights(files[0])
        return {f"{file.stem}.{key}": value for file in files for key, value in read_weights(file).items()}
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint")
    try:
        if path.suffix == ".safetensors":
            content: Any = load_file(path)
        elif path.suffix == ".npz":
            content = _read_npz(path)
        elif path.suffix == INDEX:
            content = _read_tensorflow(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path}: refused, reading it could run code or it is no checkpoint "
            f"({_first_line(error)}). Export plain tensors (safetensors) from where it was made."
        ) from None
    except ModuleNotFoundError:
        raise ValueError(
            f"{path}: reading a TensorFlow checkpoint takes TensorFlow, which is not installed. Install it "
            "(pip install tensorflow), or export all variables to an .npz where it is: names as keys, layout as it is."
        ) from None
    except (SafetensorError, BadZipFile, RuntimeError, OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: damaged or no checkpoint ({type(error).__name__}: {_first_line(error)})") from None
    weights = _unwrap(content)
    if not weights:
        raise ValueError(f"{path}: holds no tensors")
    return weights


def _read_npz(path: Path) -> dict[str, Tensor]:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:  # np.load alone leaves a bad file open
        return {key: torch.from_numpy(arrays[key]) for key in arrays}


def _read_tensorflow(index: Path) -> dict[str, Tensor]:
    """Read the numeric variables of a TensorFlow checkpoint, by their names."""
    reader = import_module("tensorflow").train.load_checkpoint(str(index.with_suffix("")))
    arrays = {key: np.asarray(reader.get_tensor(key)) for key in reader.get_variable_to_shape_map()}
    return {key: torch.from_numpy(array) for key, array in sorted(arrays.items()) if array.dtype.kind in "fiub"}


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _unwrap(content: Any) -> dict[str, Tensor]:
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            return _unwrap(content[wrapper])
    if not isinstance(content, Mapping):
        return {}
    weights = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    for prefix in PREFIXES:
        if any(key.startswith(prefix) for key in weights):
            weights = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    return weights


def load_weights(network: DeblurNetwork, path: Path) -> None:
    """Load a checkpoint into a network in place, under our names or the authors' published ones.

    Raises:
        FileNotFoundError: if there is nothing at `path`.
        ValueError: as `read_weights`; or, for another network's file, with the missing and unexpected keys and
            the shapes that differ.
    """
    own = network.state_dict()
    weights = read_weights(path)
    if not weights.keys() & own.keys():
        weights = network.from_published(weights)
    missing = [key for key in own if key not in weights]
    unexpected = [key for key in weights if key not in own]
    differ = [
        f"{key} is {tuple(weights[key].shape)} in the file, {tuple(value.shape)} in the network"
        for key, value in own.items()
        if key in weights and weights[key].shape != value.shape
    ]
    if missing or unexpected or differ:
        listed = [
            f"{len(keys)} {kind}: {', '.join(keys[:SHOWN])}{', ...' if len(keys) > SHOWN else ''}"
            for kind, keys in (("missing", missing), ("unexpected", unexpected), ("of another shape", differ))
            if keys
        ]
        raise ValueError(f"{path} does not fit {type(network).__name__}. " + "; ".join(listed))
    network.load_state_dict(weights)
