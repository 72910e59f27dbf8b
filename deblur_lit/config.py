"""Finding, composing, checking and naming configurations."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType
from hydra.core.plugins import Plugins
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from deblur_lit.account import is_offline
from deblur_lit.nodes import ABLATED_NETWORK as ABLATED_NETWORK
from deblur_lit.nodes import NO_ABLATION as NO_ABLATION
from deblur_lit.nodes import conf_dir as conf_dir
from deblur_lit.nodes import keys, nearest
from deblur_lit.nodes import stems as stems

DEFAULT_METRICS = "gopro"


def groups() -> list[str]:
    """Return the config groups."""
    return sorted(path.name for path in conf_dir().iterdir() if path.is_dir() and path.name != "hydra")


def compose(config_name: str = "train", overrides: Sequence[str] = ()) -> DictConfig:
    """Compose a configuration from conf/ outside of a Hydra application.

    Args:
        config_name: stem of the primary file in conf/.
        overrides: Hydra overrides.

    Raises:
        ValueError: for an override that names no key, group or choice; the message gives the nearest.
    """
    check_overrides(config_name, overrides)
    return _compose(config_name, overrides)


def _compose(config_name: str, overrides: Sequence[str]) -> DictConfig:
    running = GlobalHydra.instance().hydra  # inside a Hydra job there is one: give it back afterwards
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            return hydra_compose(config_name, list(overrides))
    finally:
        GlobalHydra.instance().hydra = running


def check_overrides(config_name: str, overrides: Iterable[str]) -> None:
    """Refuse overrides that name no key, group or choice, with the nearest valid one.

    Sweeps (`ablation=baseline,dffm`) are checked value by value. `+new=1`, `++any=1` and keys of `hydra`
    other than its launcher are left to Hydra.

    Raises:
        ValueError: naming the override at fault.
    """
    given = [_parse(text) for text in overrides]
    for override in given:
        if override.key_or_group == "hydra/launcher":
            _check_launcher(override)
    parsed = [override for override in given if not override.is_hydra_override()]
    for override in parsed:
        key = override.key_or_group
        if _is_group(key) and not override.is_delete():
            choices = _values(override)
            if not choices:
                raise ValueError(f"{override.input_line}: matches none of {', '.join(stems(key))}")
            for choice in choices:
                choice = "null" if choice is None else str(choice)  # Hydra has no empty choice
                if choice not in stems(key):
                    hint = nearest(choice, stems(key))
                    raise ValueError(f"{key}={choice}: there is no conf/{key}/{choice}.yaml{hint}")
    if "ablation" in (o.key_or_group for o in parsed):
        networks = [v for o in parsed if o.key_or_group == "network" for v in _values(o)] or [ABLATED_NETWORK]
        if any(network != ABLATED_NETWORK for network in networks):
            raise ValueError(
                f"ablation= fills the slots of network={ABLATED_NETWORK} alone, not of {networks}: leave one out"
            )
    chosen = [_one_choice(override) for override in parsed if _is_group(override.key_or_group)]
    config: DictConfig | None = None
    for override in parsed:
        key = override.key_or_group
        if _is_group(key) or override.is_add() or override.is_force_add():
            continue
        config = config if config is not None else _compose(config_name, chosen)
        if not _has(config, key):
            valid = [*groups(), *keys(config)]
            raise ValueError(f"{override.input_line}: there is no key {key!r}{nearest(key, valid)}")


def check(cfg: DictConfig) -> None:
    """Refuse a configuration whose numbers would not mean what they seem to mean.

    Raises:
        ValueError: if an ablation meets a network without slots, or a checkpoint would be chosen on test data.
    """
    if cfg.card.name != ABLATED_NETWORK and cfg.ablation.name != NO_ABLATION:
        raise ValueError(
            f"ablation={cfg.ablation.name} fills the slots of network={ABLATED_NETWORK} alone, "
            f"not of network={cfg.card.name}: leave one of the two out"
        )
    for name, callback in (cfg.callbacks or {}).items():
        monitor = (callback or {}).get("monitor")
        if monitor and not str(monitor).startswith("val/"):
            raise ValueError(
                f"callbacks.{name}.monitor={monitor}: a checkpoint is chosen on validation data alone; "
                "monitor a val/ metric"
            )


def build(node: Any, arguments: Mapping[str, Any] | None = None) -> Any:
    """Instantiate a configuration node, with further arguments.

    Raises:
        ValueError: for what Hydra or the code of the target refuses; an OSError of the target stays one.
    """
    try:
        return instantiate(node, **(arguments or {}))
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, ValueError | OSError):
            raise cause from None
        raise ValueError(" ".join(str(error).split())) from error  # Hydra's names the key, in several lines


def metrics_config(data: str) -> DictConfig:
    """Return the protocols by which a data set is scored: conf/metrics/<data>.yaml, or GoPro's where it has none."""
    choice = data if data in stems("metrics") else DEFAULT_METRICS
    return compose("evaluate", [f"metrics={choice}"]).metrics


def row_name(cfg: DictConfig) -> str:
    """Return the row of a table that a configuration stands for: its ablation, or else its network."""
    return _row(cfg.card.name, cfg.ablation.name)


def row_title(cfg: DictConfig) -> str:
    """Return how a table shows that row."""
    return str(cfg.ablation.title if cfg.card.name == ABLATED_NETWORK else cfg.card.title)


def _row(network: str, ablation: str) -> str:
    return ablation if network == ABLATED_NETWORK else network


def _variant(override_dirname: str) -> str:
    """Return what tells a run from its row: overrides beyond the row itself, as part of a folder name."""
    return "+" + override_dirname.replace("/", "_") if override_dirname else ""


def _data_root(data_root: str | None, *candidates: str) -> str:
    """Return the first folder of DATA_ROOT that exists, else its first candidate (whose absence is reported)."""
    base = Path(data_root or "data")
    found = [name for name in candidates if (base / name).is_dir()]
    return str(base / (found or list(candidates))[0])


def _run_id(run_dir: str) -> str:
    """Return the logger's name of the run in a folder: drawn at its first start, the same after a resume."""
    path = Path(run_dir) / "run_id"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError), path.open("x") as file:  # another process of the run may be faster
            file.write(uuid.uuid4().hex[:8])
    return path.read_text().strip()


OmegaConf.register_new_resolver("row", _row, replace=True)
OmegaConf.register_new_resolver("variant", _variant, replace=True)
OmegaConf.register_new_resolver("wandb_offline", is_offline, replace=True)
OmegaConf.register_new_resolver("data_root", _data_root, replace=True)
OmegaConf.register_new_resolver("run_id", _run_id, replace=True)


def _parse(text: str) -> Override:
    try:
        return OverridesParser.create().parse_override(text)
    except Exception as error:
        raise ValueError(f"{text!r} is no override (key=value): {error}") from None


def _check_launcher(override: Override) -> None:
    Plugins.instance()  # each launcher that is installed stores its configuration
    names = [name.removesuffix(".yaml") for name in ConfigStore.instance().list("hydra/launcher")]
    for name in map(str, _values(override)):
        if name not in names:
            raise ValueError(f"hydra/launcher={name}: no such launcher is installed{nearest(name, names)}")


def _is_group(key: str) -> bool:
    return (conf_dir() / key).is_dir()


def _values(override: Override) -> list[Any]:
    if override.value_type == ValueType.GLOB_CHOICE_SWEEP:
        return list(override.value().filter(stems(override.key_or_group)))  # type: ignore[union-attr]
    if override.is_sweep_override():
        return [str(value) for value in override.sweep_string_iterator()]
    value = override.value()
    return list(value) if isinstance(value, list) else [value]


def _one_choice(override: Override) -> str:
    """Return the override of a group, of a sweep with its first value."""
    if override.is_sweep_override():
        return f"{override.key_or_group}={_values(override)[0]}"
    return str(override.input_line)


def _has(config: DictConfig, key: str) -> bool:
    """Tell whether a dotted key exists, or lies below a node that takes any key."""
    node: Any = config
    for part in key.split("."):
        if OmegaConf.is_list(node):
            return part.isdigit()
        if not isinstance(node, DictConfig) or part not in node:
            return isinstance(node, DictConfig) and not OmegaConf.is_struct(node)
        node = node._get_node(part)
    return True
