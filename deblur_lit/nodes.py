"""The YAML files of conf/, and networks made of them with OmegaConf alone: what needs no training starts fast."""

import difflib
import re
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

ABLATED_NETWORK = "unet"  # the only network with empty slots
NO_ABLATION = "baseline"
SELF = "_self_"  # where a file's own lines stand among its defaults


def conf_dir() -> Path:
    """Return the folder of YAML files: `conf/` of the checkout, or the copy inside an installed wheel.

    Raises:
        FileNotFoundError: if neither is there.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "train.yaml").is_file():
            return folder
    raise FileNotFoundError(f"no conf/train.yaml in {package} or {package.parent}: reinstall deblur_lit")


def stems(group: str) -> list[str]:
    """Return the choices of a config group, sorted.

    Example:
        >>> stems("scheduler")
        ['cosine', 'cosine_warmup', 'multistep']
    """
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))


def nearest(word: str, valid: Sequence[str]) -> str:
    """Return the end of an error message that names the valid word nearest to `word`, or some valid ones."""
    leaf = word.split(".")[-1]
    same_leaf = [key for key in valid if key.split(".")[-1] == leaf]  # under a wrong parent
    close = difflib.get_close_matches(word, same_leaf, n=1, cutoff=0.0)
    if close := close or difflib.get_close_matches(word, valid, n=1, cutoff=0.6):
        return f"; did you mean {close[0]!r}?"
    return f"; valid are {', '.join(valid[:12])}{', ...' if len(valid) > 12 else ''}"


def keys(config: DictConfig, prefix: str = "") -> list[str]:
    """Return all dotted keys of a configuration, each before those below it."""
    found = []
    for name in map(str, config):
        found.append(prefix + name)
        node = config._get_node(name)
        if isinstance(node, DictConfig) and not node._is_none() and not node._is_missing():
            found += keys(node, f"{prefix}{name}.")
    return found


def network_config(name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """Compose a network or an ablation as Hydra does for `python -m deblur_lit.train`.

    Args:
        name: a stem of conf/network or conf/ablation.
        overrides: `key=value` relative to the network, such as `channels=16`; `+key=value` for a key that it lacks.

    Returns:
        The nodes `network`, `card` and `ablation`.

    Raises:
        ValueError: for an unknown name or key, with the nearest valid one; or for a YAML file whose defaults list is
            more than a list of its neighbours.
    """
    if name in stems("ablation"):
        parts = [_composed("network", ABLATED_NETWORK), _composed("ablation", name)]
    elif name in stems("network"):
        parts = [_composed("network", name), _composed("ablation", NO_ABLATION)]
    else:
        hint = nearest(name, [*stems("network"), *stems("ablation")])
        raise ValueError(f"network={name}: there is no conf/network/{name}.yaml{hint}")
    config = DictConfig(OmegaConf.merge(*parts))
    for override in overrides:
        _override(config.network, override)
    OmegaConf.set_struct(config, True)
    return config


def build(node: Any, arguments: Mapping[str, Any] | None = None, inside: str = "", key: str = "network") -> Any:
    """Call what a node's `_target_` names with the node's other keys, built first where they have targets themselves.

    Args:
        node: a mapping with `_target_`, and with `_partial_` where further arguments are to come.
        arguments: further ones, in place of the node's.
        inside: beginning of the module of the only classes that are allowed, such as `deblur_lit.`; empty: any target.
        key: what messages call the node.

    Raises:
        ValueError: for a target that is not allowed or not there, or arguments that it does not take.
    """
    if OmegaConf.is_config(node):
        node = OmegaConf.to_container(node, resolve=True)
    if isinstance(node, list):
        return [build(item, None, inside, f"{key}.{index}") for index, item in enumerate(node)]
    if not isinstance(node, Mapping):
        return node
    values = {name: build(value, None, inside, f"{key}.{name}") for name, value in node.items() if not _is_order(name)}
    if "_target_" not in node:
        return values
    target = _find(str(node["_target_"]), inside, f"{key}._target_")
    values.update(arguments or {})
    if node.get("_partial_"):
        return partial(target, **values)
    try:
        return target(**values)
    except TypeError as error:
        raise ValueError(f"{key}: {node['_target_']} cannot be made of {sorted(values)}: {error}") from error


def _is_order(name: Any) -> bool:
    return name in ("_target_", "_partial_")


def _find(target: str, inside: str, key: str) -> Any:
    if not target.startswith(inside):
        raise ValueError(f"{key}={target} is refused: only parts of {inside.rstrip('.')} may be named here")
    module, _, name = target.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{key}={target}: there is no such class ({error})") from None
    if inside and not (isinstance(found, type) and found.__module__.startswith(inside)):
        raise ValueError(f"{key}={target} is refused: it is no class of {inside.rstrip('.')}")
    return found


def _composed(group: str, name: str) -> DictConfig:
    """Merge a file with its defaults, which are files beside it."""
    path = conf_dir() / group / f"{name}.yaml"
    own = OmegaConf.load(path)
    if not isinstance(own, DictConfig):
        raise ValueError(f"{path}: holds no keys")
    defaults = list(own.pop("defaults", []))
    if SELF not in defaults:
        defaults.append(SELF)
    parts = []
    for entry in defaults:
        if not isinstance(entry, str) or (entry != SELF and entry not in stems(group)):
            raise ValueError(f"{path}: {entry!r} in its defaults list is no file of conf/{group}, nor {SELF}")
        parts.append(own if entry == SELF else _composed(group, entry))
    return DictConfig(OmegaConf.merge(*parts))


def _override(network: DictConfig, text: str) -> None:
    match = re.fullmatch(r"(\+{0,2})([\w.]+)=(.*)", text, re.DOTALL)
    if not match:
        raise ValueError(f"{text!r} is no override (key=value)")
    added, key, value = match.groups()
    if not added and key not in keys(network):
        raise ValueError(f"{text}: there is no key {key!r}{nearest(key, keys(network))}")
    OmegaConf.update(network, key, yaml.safe_load(value))
