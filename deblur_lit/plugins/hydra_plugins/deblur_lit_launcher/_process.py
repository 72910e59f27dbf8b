"""One child process: started in a group of its own, followed line by line, ended with all that it started."""

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

POLL_SECONDS = 0.1  # how late an ended child or a signal is seen
PIPE_SECONDS = 2.0  # what a process that left the group may hold the output pipe open after the child's end
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


def run_child(
    command: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    show: Callable[[str], None],
    stop: StopSignals,
    grace_seconds: float,
) -> int:
    """Run a command to its end and return its exit status, negative for a signal.

    Args:
        command: words of the command.
        environment: all of its environment variables.
        log: file to which the command and what it prints are appended.
        show: called with each line that it prints, without the line end.
        stop: signals seen so far; the first interrupts the child's group, the second kills it.
        grace_seconds: how long the group has to end after the interrupt.

    Raises:
        OSError: if the log cannot be written or the command not be started.
    """
    prepare = _preparation()
    with log.open("ab", buffering=0) as file:
        file.write(f"$ {shlex.join(command)}\n".encode())
        with subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=prepare,
        ) as process:
            assert process.stdout is not None
            output = _Output(process.stdout.fileno(), file.write, show)
            try:
                _follow(process, output, stop, grace_seconds)
            finally:
                with suppress(ProcessLookupError, PermissionError):  # nothing of the group is left
                    os.killpg(process.pid, signal.SIGKILL)
            output.drain()
    return process.returncode


def _follow(process: "subprocess.Popen[bytes]", output: "_Output", stop: StopSignals, grace_seconds: float) -> None:
    """Return when the child has ended or must be killed."""
    deadline = None
    while process.poll() is None:
        output.pump()
        if stop.received and deadline is None:
            os.killpg(process.pid, signal.SIGINT)
            deadline = time.monotonic() + grace_seconds
        if deadline is not None and (len(stop.received) > 1 or time.monotonic() > deadline):
            return


def _preparation() -> Callable[[], None]:
    """What the child does before it becomes the job: end when this process is killed, and heed interrupts."""
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def prepare() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if prctl is not None:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    return prepare


class _Output:
    """What a child prints: bytes to a file as they come, lines to `show`."""

    def __init__(self, pipe: int, write: Callable[[bytes], Any], show: Callable[[str], None]) -> None:
        self.pipe, self.write, self.show = pipe, write, show
        self.line = b""
        self.open = True

    def pump(self, seconds: float = POLL_SECONDS) -> bool:
        """Wait for output and pass it on; whether there was any."""
        if not self.open:
            time.sleep(seconds)
            return False
        if not select.select([self.pipe], [], [], seconds)[0]:
            return False
        data = os.read(self.pipe, 1 << 16)
        self.open = bool(data)
        self.write(data)
        *lines, self.line = (self.line + data).split(b"\n")
        for line in lines:
            self._show(line)
        return self.open

    def drain(self) -> None:
        """Pass on what is left, without waiting for a process outside the group that holds the pipe."""
        deadline = time.monotonic() + PIPE_SECONDS
        while self.open and time.monotonic() < deadline:
            self.pump()
        if self.line:
            self._show(self.line)

    def _show(self, line: bytes) -> None:
        # A progress bar redraws itself after a carriage return: its last state is the line.
        self.show(line.decode(errors="replace").rstrip("\r").rsplit("\r", 1)[-1])
