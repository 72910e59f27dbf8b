"""End jobs with all that they started, also after the sweep itself was killed.

Run as a script it is the guard of a sweep: it reads `start` and `end` of jobs from its input, and when that closes,
because the sweep is gone, it kills what is left. It imports little, so that it is there in milliseconds.
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

WAIT_SECONDS = 10.0  # for killed processes to be gone


def kill_job(pid: int, mark: str) -> None:
    """Kill the process group of a job, and on Linux what left the group: it still carries the job's mark.

    Args:
        pid: of the first process of the job, which leads its group.
        mark: `NAME=value` in the environment of all processes of this job and of no other.
    """
    with suppress(ProcessLookupError, PermissionError):  # nothing of the group is left
        os.killpg(pid, signal.SIGKILL)
    deadline = time.monotonic() + WAIT_SECONDS
    while left := _kill_marked(mark.encode()):
        if time.monotonic() > deadline:
            print(f"processes {sorted(left)} do not end although killed", file=sys.stderr)
            return
        time.sleep(0.02)


def _kill_marked(mark: bytes) -> set[int]:
    """Kill every process with the mark; return those that were still there."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # ended meanwhile, or of another user
            ended = (folder / "stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
            if not ended and mark in (folder / "environ").read_bytes().split(b"\0"):
                found.add(int(folder.name))
                os.kill(int(folder.name), signal.SIGKILL)
    return found


class Guard:
    """The guard's end in the sweep; the guard itself is in a session of its own, so that it outlives the sweep."""

    def __enter__(self) -> "Guard":
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def start(self, pid: int, mark: str) -> None:
        """Watch over a job."""
        self._say({"pid": pid, "mark": mark})

    def end(self, pid: int) -> None:
        """The job was ended."""
        self._say({"pid": pid})

    def _say(self, message: dict[str, object]) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # somebody killed it: the sweep goes on unguarded
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()


def _watch() -> None:
    jobs: dict[int, str] = {}
    for line in sys.stdin:
        message = json.loads(line)
        if "mark" in message:
            jobs[message["pid"]] = message["mark"]
        else:
            jobs.pop(message["pid"], None)
    for pid, mark in jobs.items():
        kill_job(pid, mark)


if __name__ == "__main__":
    _watch()
