"""Whether the process that holds a folder lives, told by looking: to take its lock would be in its way."""

import os
import re
import socket
import time
from contextlib import suppress
from pathlib import Path

LOCK = ".lock"  # holds `process <id> on <host>` while the folder is held, and after its holder was killed
SILENT_SECONDS = 1800.0  # after which a process of another host, which cannot be asked, counts as gone
_CLOCK_SECONDS = 2.0  # by which the clocks of kernel and files may differ


def is_held(folder: Path, seen: float) -> bool:
    """Whether a living process holds a folder.

    Args:
        folder: of a run or of a sweep.
        seen: last sign of life in seconds since 1970, which decides where the process is on another host.
    """
    try:
        text = (folder / LOCK).read_text(encoding="utf-8", errors="replace")
        locked = (folder / LOCK).stat().st_mtime
    except OSError:
        return False
    if not (found := re.fullmatch(r"process (\d{1,9}) on (.+)", text.strip())):
        return False
    if found[2] != socket.gethostname():
        return time.time() - seen < SILENT_SECONDS
    try:
        os.kill(int(found[1]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # there, of another user
        pass
    began = _began(int(found[1]))  # after a restart the number may be another process's
    return began is None or began <= locked + _CLOCK_SECONDS


def _began(pid: int) -> float | None:
    """Return when a process began in seconds since 1970, infinity where it ended, None where that cannot be told."""
    with suppress(OSError, StopIteration):
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime"))
        if fields[0] in "ZX":
            return float("inf")
        return int(boot.split()[1]) + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return None
