"""Facts about a run folder: whether it is finished, which configuration it belongs to, who works in it.

What starts runs (the sweep launcher, `train`) and what reads them (`report`) asks here, so this file imports
nothing heavy. A folder is finished when its completion record, written last, is there.
"""

import fcntl
import hashlib
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

RECORD = "metrics.json"  # the completion record
CHECKPOINT = "last.ckpt"  # where an interrupted run goes on
LOG = "job.out"  # what a job of a sweep printed
CONFIG = "config.yaml"  # whose folder it is, interpolations unresolved: the latest start that was not refused
HYDRA_CONFIG = ".hydra/config.yaml"  # the latest start, refused or not: Hydra saves it before it asks us
LOCK = ".lock"
LOCK_HELD = "DEBLUR_LIT_LOCKED"  # environment variable: the folder that the parent process has locked for us
SCHEMA = 1

# Keys that change no number: where files lie, how fast they are read, what is shown. Shell patterns for whole
# dotted keys, in which `*` matches dots too.
IGNORED = (
    "study",
    "variant",
    "run_dir",
    "card.*",
    "data.official*",
    "data.module.response",
    "*.title",
    "logger",
    "logger.*",
    "callbacks.progress*",
    "callbacks.plan*",
    "callbacks.curves*",
    "trainer.meeting_seconds",
    "callbacks.images*",
    "callbacks.timer*",
    "callbacks.last.every_n_steps",
    "trainer.log_every_n_steps",
    "trainer.enable_progress_bar",
    "trainer.enable_model_summary",
    "*.root",
    "*.cache",
    "*.folder",
    "*.dirpath",
    "*.save_dir",
    "*.default_root_dir",
    "*.num_workers",
    "*.pin_memory",
    "*.persistent_workers",
    "*.prefetch_factor",
)


class FolderInUseError(ValueError):
    """Another process works in the run folder."""


def read_record(folder: str | Path) -> dict[str, Any]:
    """Return the completion record of a run folder.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is not JSON, or of a schema that this version does not read.
    """
    path = Path(folder) / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path} is missing: the run is not finished, start it again") from error
    except ValueError as error:
        raise ValueError(f"{path} is not a completion record: {error}; delete it and run again") from error
    schema = record.get("schema") if isinstance(record, dict) else None
    if schema != SCHEMA:
        raise ValueError(f"{path} has schema {schema}, this version of deblur_lit reads schema {SCHEMA}")
    return record


def is_finished(folder: str | Path) -> bool:
    """Whether a run folder holds its completion record.

    Raises:
        ValueError: if the record cannot be read, so that nothing is written over it.
    """
    return (Path(folder) / RECORD).exists() and bool(read_record(folder))


def is_begun(folder: str | Path) -> bool:
    """Whether an unfinished run left a checkpoint to go on from."""
    return not is_finished(folder) and (Path(folder) / CHECKPOINT).exists()


def write_record(folder: str | Path, record: Mapping[str, Any]) -> Path:
    """Write the completion record so that it is whole or absent at any moment; return its path.

    Raises:
        ValueError: if `schema` is not the one written here, or a number is infinite or NaN, which JSON lacks.
    """
    path = Path(folder) / RECORD
    if record.get("schema") != SCHEMA:
        raise ValueError(f"{path}: schema is {record.get('schema')!r}, must be {SCHEMA}")
    try:
        text = json.dumps(record, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    except ValueError as error:
        raise ValueError(f"{path}: {error}; write an infinite number as the string 'inf'") from error
    _write(path, text)
    return path


def differing_keys(config: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return the dotted keys whose values differ between two configurations, sorted.

    Keys that change no number (`IGNORED`) are left out, and null is the same as absent. Interpolations are
    compared as written.

    Example:
        >>> differing_keys({"seed": 0, "data": {"root": "a", "crop": 64}}, {"seed": 0, "data": {"crop": 32}})
        ['data.crop']
    """
    left, right = _numbers(_plain(config)), _numbers(_plain(other))
    return sorted(key for key in left.keys() | right.keys() if left.get(key) != right.get(key))


def config_hash(config: Mapping[str, Any]) -> str:
    """Return the sha256 of a configuration as 64 hexadecimal digits, without the keys that change no number.

    Args:
        config: as composed; interpolations are resolved here, those to ignored keys as null, so that the same
            run has the same hash on a machine where files lie elsewhere.

    Example:
        >>> config_hash({"seed": 0, "data": {"crop": 64, "root": "/x"}})[:8]
        'd30dfa4d'
        >>> config_hash({"data": {"crop": 64, "root": "/y"}, "seed": 0})[:8]
        'd30dfa4d'
    """
    plain = _plain(config)
    blank = OmegaConf.create(plain)
    for key, _ in _leaves(plain):
        if _is_ignored(key):
            OmegaConf.update(blank, key, None)
    resolved: Any = OmegaConf.to_container(blank, resolve=True)
    return hashlib.sha256(json.dumps(_numbers(resolved), sort_keys=True).encode()).hexdigest()


def save_config(folder: str | Path, config: Mapping[str, Any]) -> None:
    """Note in a run folder whose it is; call it at each start, once `mismatch` found nothing."""
    _write(Path(folder) / CONFIG, OmegaConf.to_yaml(OmegaConf.create(_plain(config))))


def saved_config(folder: str | Path) -> dict[str, Any]:
    """Return the configuration to which a run folder belongs, empty where none was saved."""
    for name in (CONFIG, HYDRA_CONFIG):
        if (path := Path(folder) / name).exists():
            return _plain(OmegaConf.load(path))
    return {}


def mismatch(folder: str | Path, config: Mapping[str, Any]) -> list[str]:
    """Return what in a begun or finished run folder belongs to another configuration; empty if nothing does.

    Args:
        folder: the run folder.
        config: the composed configuration (without `hydra`) that wants to use it.
    """
    finished = is_finished(folder)
    if not finished and not is_begun(folder):
        return []
    recorded = read_record(folder).get("config_hash") if finished else None
    if recorded is not None and recorded == config_hash(config):
        return []
    keys = differing_keys(config, saved_config(folder))
    return keys or ([f"config_hash in {RECORD}"] if recorded is not None else [])


@contextmanager
def lock(folder: str | Path) -> Iterator[None]:
    """Hold a run folder for this process; the folder is made where it is missing.

    Inside a job of a sweep this does nothing: the launcher holds the folder. Of several ranks only rank zero
    calls it. The lock ends with the process, however that ends.

    Raises:
        FolderInUseError: if another process holds it; names the folder and the process.
    """
    folder = Path(folder)
    if os.environ.get(LOCK_HELD) == str(folder.resolve()):
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _take(folder, handle)
        try:
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
            yield
        finally:
            os.ftruncate(handle, 0)
            fcntl.flock(handle, fcntl.LOCK_UN)  # not left to close: a forked worker shares the open file
    finally:
        os.close(handle)


def check_unlocked(folder: str | Path) -> None:
    """Raise FolderInUseError, which names folder and process, if another process holds a run folder."""
    path = Path(folder) / LOCK
    if path.exists():
        with path.open("r+") as file:
            _take(Path(folder), file.fileno())


def _write(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY)  # the new name itself must reach the disk too
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _take(folder: Path, handle: int) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(handle, 200, 0).decode() or "another process"
        message = f"{folder} is in use by {holder}: let it end or stop it, then run the same command again"
        raise FolderInUseError(message) from error


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _plain(config: Any) -> dict[str, Any]:
    plain: Any = OmegaConf.to_container(config) if isinstance(config, DictConfig) else dict(config)
    return plain


def _is_ignored(key: str) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in IGNORED)


def _leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{key}.")
        else:
            yield key, value


def _numbers(config: Mapping[str, Any]) -> dict[str, str]:
    """Dotted keys and values as JSON, without ignored keys and nulls: a new option, off, leaves old runs valid."""
    leaves = ((key, value) for key, value in _leaves(config) if value is not None and not _is_ignored(key))
    return {key: json.dumps(value, sort_keys=True) for key, value in leaves}
