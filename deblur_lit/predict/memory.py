"""How much memory this process holds, and how much more it may take."""

import ctypes
import os
import re
import resource
import sys
from contextlib import suppress
from pathlib import Path

SHARE = 0.5  # of what is free, taken by default: other programs go on
MMAP_THRESHOLD = -3  # glibc's name of the size in bytes from which on memory comes from the system and goes back
LARGE = 2**20
UNKNOWN = 2 * 2**30  # bytes, where the system does not tell what is free
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def parse_size(text: str) -> int:
    """Return the bytes that a size such as `2G`, `1.5 GiB`, `800M` or `1000000` means.

    Raises:
        ValueError: if it is none.

    Example:
        >>> parse_size("1.5G") == 1.5 * 2**30
        True
    """
    match = re.fullmatch(r"\s*(\d+\.?\d*)\s*([KMGT]?)(i?B)?\s*", text, re.IGNORECASE)
    if not match:
        raise ValueError(f"{text!r} is no memory size; write 2G or 800M")
    return int(float(match[1]) * UNITS[match[2].upper()])


def resident() -> int:
    """Return the bytes of memory that this process holds now, 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak() -> int:
    """Return the most bytes of memory that this process held so far."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def available() -> int:
    """Return the bytes of memory that are free for this process, in the machine and in its control group."""
    found = [UNKNOWN]
    try:
        said = Path("/proc/meminfo").read_text(encoding="ascii")
        found = [1024 * int(value) for value in re.findall(r"MemAvailable:\s+(\d+)", said)] or found
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
        if limit != "max":
            held = int(Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii"))
            kept = re.search(r"inactive_file (\d+)", Path("/sys/fs/cgroup/memory.stat").read_text(encoding="ascii"))
            found.append(max(0, int(limit) - held + (int(kept[1]) if kept else 0)))  # files kept in memory give way
    except (OSError, ValueError):  # another system, or no control group
        pass
    return min(found)


def room(memory: int | None, beside: int) -> int:
    """Return the bytes that this process may take for tiles, 0 where there is no room.

    Args:
        memory: bytes that it may hold in all; None: what it holds, and half of what is free.
        beside: bytes that it will need besides.
    """
    if memory is None:
        return max(0, int(SHARE * available()) - beside)
    _give_back()
    return max(0, memory - resident() - beside)


def _give_back() -> None:
    """Have glibc return what is freed to the system: it would keep, in pieces, up to as much again as is in use."""
    with suppress(OSError, AttributeError):  # another C library
        library = ctypes.CDLL(None)
        library.mallopt(MMAP_THRESHOLD, LARGE)
        library.malloc_trim(0)
