"""What is published of a data set (`official` in its YAML), compared with what is on disk."""

import hashlib
from collections import defaultdict
from collections.abc import Collection
from typing import Any

from deblur_lit.data.pairs import PairList, some

_FEWER = "the download or its unpacking is incomplete, or files were removed"
_MORE = "another data set or a copy lies among the files"


def compare_names(pairs: PairList, facts: Any) -> list[str]:
    """Return how the names of a split differ from the published ones; nothing where they agree.

    Args:
        pairs: a whole split.
        facts: its node in `official.splits`: `pairs`, `names_sha256` and `sequences`, the latter two may be null.
            A sequence is a number of frames or the first and the last number.
    """
    differences = []
    if len(pairs) != facts.pairs:
        cause = _FEWER if len(pairs) < facts.pairs else _MORE
        differences.append(f"{len(pairs)} pairs, {facts.pairs} are published: {cause}")
    if facts.sequences is not None:
        differences += _compare_sequences(pairs, facts.sequences)
    if not differences and facts.names_sha256 and names_digest(pairs.names) != facts.names_sha256:
        differences.append(f"{len(pairs)} pairs as published, but other names: files were renamed or exchanged")
    return differences


def names_digest(names: Collection[str]) -> str:
    """Return the first 16 digits of the sha256 of names, each ended by a newline, in the order of a split."""
    return hashlib.sha256("".join(f"{name}\n" for name in names).encode()).hexdigest()[:16]


def _compare_sequences(pairs: PairList, published: Any) -> list[str]:
    frames: dict[str, list[str]] = defaultdict(list)
    for name, sequence in zip(pairs.names, pairs.sequences, strict=True):
        frames[sequence].append(name.rpartition("/")[2])
    differences = []
    if lost := [sequence for sequence in published if sequence not in frames]:
        differences.append(f"{len(lost)} of {len(published)} sequences are not there: {some(lost)}; {_FEWER}")
    if strange := [sequence for sequence in frames if sequence not in published]:
        differences.append(f"{len(strange)} sequences are not published: {some(strange)}; {_MORE}")
    uneven = []
    for sequence, expected in published.items():
        if sequence in frames and (text := _compare_frames(frames[sequence], expected)):
            uneven.append(f"{sequence} {text}")
    if uneven:
        differences.append(f"{len(uneven)} sequences have other frames than published, first {uneven[0]}")
    return differences


def _compare_frames(frames: list[str], expected: Any) -> str:
    if isinstance(expected, int):
        return "" if len(frames) == expected else f"with {len(frames)} of {expected}"
    numbers = {int(frame) for frame in frames if frame.isdecimal()}
    wanted = {*range(expected[0], expected[1] + 1)}
    if lost := sorted(wanted - numbers):
        return f"with {len(frames)} of {len(wanted)}, without number {some(map(str, lost))}"
    if strange := sorted(set(frames) - {frame for frame in frames if frame.isdecimal() and int(frame) in wanted}):
        return f"with {len(frames)} for {len(wanted)}, among them {some(strange)}"
    return ""
