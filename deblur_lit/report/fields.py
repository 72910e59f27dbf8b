"""Checked access to what was read from YAML or JSON, and files that are whole or absent."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
_SAID = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "a mapping",
    list: "a list",
}


def take(data: Mapping[str, Any], key: str, kind: type[T], where: str) -> T:
    """Return `data[key]`, which must be of exactly this kind (true is no number).

    Raises:
        ValueError: if the key is missing or its value is of another kind.

    Example:
        >>> take({"seed": 0}, "seed", int, "metrics.json")
        0
        >>> take({"seed": "0"}, "seed", int, "metrics.json")
        Traceback (most recent call last):
        ...
        ValueError: metrics.json: `seed` is '0', expected a whole number
    """
    if key not in data:
        raise ValueError(f"{where}: `{key}` is missing")
    value = data[key]
    if type(value) is not kind:
        raise ValueError(f"{where}: `{key}` is {value!r:.60}, expected {_SAID.get(kind, kind.__name__)}")
    if isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value):
        raise ValueError(f"{where}: `{key}` is {value!r:.60}, which is no valid text")
    return value


def take_number(data: Mapping[str, Any], key: str, where: str) -> float:
    """Return `data[key]` as a float; the text "inf" is the PSNR of identical images.

    Raises:
        ValueError: if the key is missing or its value is no number, or NaN.

    Example:
        >>> take_number({"psnr": "inf"}, "psnr", "metrics.json")
        inf
    """
    if data.get(key) == "inf":
        return math.inf
    kind = int if type(data.get(key)) is int else float
    number = float(take(data, key, kind, where))
    if not math.isfinite(number):
        raise ValueError(f"{where}: `{key}` is {number}, expected a finite number or the text 'inf'")
    return number


def read_json(file: Path, where: str) -> dict[str, Any]:
    """Return the mapping that a JSON file holds.

    Args:
        file: what to read.
        where: how messages name it.

    Raises:
        ValueError: if the file cannot be read, is not JSON or holds no mapping.
    """
    try:
        content = json.loads(file.read_bytes())
    except OSError as error:
        raise ValueError(f"{where}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: is not JSON, half-written or damaged ({error})") from None
    if not isinstance(content, dict):
        raise ValueError(f"{where}: holds {type(content).__name__}, expected a mapping")
    return content


def write_whole(file: Path, content: bytes) -> Path:
    """Write a file beside its place and rename it, so that a reader meets the old content or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}.part")
    beside.write_bytes(content)
    beside.replace(file)
    return file
