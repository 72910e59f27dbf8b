"""Child processes: each started in a group of its own, followed line by line, ended with all that it started."""

import ctypes
import os
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from hydra_plugins.deblur_lit_launcher._guard import Guard, kill_job

POLL_SECONDS = 0.1  # how late an ended child or a signal is seen
PIPE_SECONDS = 2.0  # what a process that cannot be killed may hold the output pipe open after the child's end
PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>


class StopSignals:
    """Note the signals that ask this process to end, so that it ends between two steps and not within one.

    A signal that the parent process had us ignore (`nohup`, a background job) stays ignored.
    """

    def __init__(self) -> None:
        self.received: list[signal.Signals] = []

    def __enter__(self) -> "StopSignals":
        self._before: dict[signal.Signals, Any] = {}
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received.append(signal.Signals(number))


class Child:
    """A started command with all processes that it starts.

    Args:
        command: words of the command.
        environment: all of its environment variables.
        mark: the one of them, `NAME=value`, that no process of another child has.
        log: file to which the command and what it prints are appended.
        show: called with each line that it prints, without the line end.
        guard: ends the child if this process is killed.

    Raises:
        OSError: if the log cannot be written or the command not be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        mark: str,
        log: Path,
        show: Callable[[str], None],
        guard: Guard,
    ) -> None:
        self._mark, self._guard = mark, guard
        self._file = log.open("ab", buffering=0)
        try:
            self._file.write(f"$ {shlex.join(command)}\n".encode())
            self.process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_preparation(),
            )
        except OSError:
            self._file.close()
            raise
        guard.start(self.process.pid, mark)
        assert self.process.stdout is not None
        self.output = Output(self.process.stdout.fileno(), self._file.write, show)

    def interrupt(self) -> None:
        """Ask the whole group to end."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGINT)

    def end(self) -> int:
        """Kill what is left, pass on the last output and return the exit status, negative for a signal."""
        ended = self.process.poll()  # before the kill, which would replace the status of an ended child
        kill_job(self.process.pid, self._mark)
        self._guard.end(self.process.pid)
        self.output.drain()
        status = self.process.wait() if ended is None else ended
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._file.close()
        return status


def wait_for_output(children: Sequence[Child]) -> None:
    """Pass on what the children print, waiting a moment for it."""
    ready = wait([child.output for child in children if child.output.open])
    for output in ready:
        output.read()


def wait(outputs: Sequence["Output"]) -> list["Output"]:
    """Return the outputs that have something to read, after a moment none."""
    if not outputs:
        time.sleep(POLL_SECONDS)
        return []
    readable = select.select([output.pipe for output in outputs], [], [], POLL_SECONDS)[0]
    return [output for output in outputs if output.pipe in readable]


def _preparation() -> Callable[[], None]:
    """What the child does before it becomes the job: end when this process is killed, and heed interrupts."""
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def prepare() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if prctl is not None:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # for the moment before the guard knows of it

    return prepare


class Output:
    """What a child prints: bytes to a file as they come, lines to `show`."""

    def __init__(self, pipe: int, write: Callable[[bytes], Any], show: Callable[[str], None]) -> None:
        self.pipe, self.write, self.show = pipe, write, show
        self.line = b""
        self.open = True

    def read(self) -> None:
        """Pass on what is there; blocks where there is nothing."""
        data = os.read(self.pipe, 1 << 16)
        self.open = bool(data)
        self.write(data)
        *lines, self.line = (self.line + data).split(b"\n")
        for line in lines:
            self._show(line)

    def drain(self) -> None:
        """Pass on what is left, without waiting for a process that holds the pipe."""
        deadline = time.monotonic() + PIPE_SECONDS
        while self.open and time.monotonic() < deadline:
            if wait([self]):
                self.read()
        if self.line:
            self._show(self.line)

    def _show(self, line: bytes) -> None:
        # A progress bar redraws itself after a carriage return: its last state is the line.
        self.show(line.decode(errors="replace").rstrip("\r").rsplit("\r", 1)[-1])
