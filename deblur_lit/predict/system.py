"""Files that appear whole or not at all, and libraries that are kept quiet."""

import errno
import os
import platform
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_STDERR = 2


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Give a file to write in the folder of `path`; then it takes its place, and where writing fails it is removed."""
    mine = f".deblur-lit.{platform.node()}."
    for remains in path.parent.glob(f"{mine}*.part*"):  # of a process that was killed
        if os.name == "posix" and not is_running(remains.name.removeprefix(mine).split(".")[0]):
            remains.unlink(missing_ok=True)
    part = path.with_name(f"{mine}{os.getpid()}.part{path.suffix}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def is_running(process: str) -> bool:
    """Tell whether a process of this machine runs, by its number as text; what is no number might."""
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (OSError, ValueError):  # of another user, or no number
        return True
    return True


def read_regular(path: Path) -> bytes:
    """Return the bytes of a file that is neither a folder, nor a pipe (which could be waited for without end).

    Raises:
        OSError: if it cannot be read, or is none.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "no regular file", str(path))
    return path.read_bytes()


@contextmanager
def quiet() -> Iterator[None]:
    """Send what C libraries write to stderr nowhere: what matters of it is raised."""
    sys.stderr.flush()
    kept, nowhere = os.dup(_STDERR), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, _STDERR)
    try:
        yield
    finally:
        os.dup2(kept, _STDERR)
        os.close(kept)
        os.close(nowhere)
