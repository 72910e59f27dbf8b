"""Files of the people who use the page: kept while they look at it, and not longer."""

import os
import platform
import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deblur_lit.predict.system import is_running

KEPT = 3  # results of a session; a new one takes the place of the oldest
LONGEST = 24 * 3600  # seconds after which a session that does nothing is over
_NAME = f"deblur-lit-app.{platform.node()}."


@dataclass
class _Session:
    sources: set[Path] = field(default_factory=set)
    results: deque[Path] = field(default_factory=deque)
    stop: threading.Event = field(default_factory=threading.Event)
    used: float = field(default_factory=time.monotonic)


class Sessions:
    """What belongs to whom, and what has to go when they leave.

    Args:
        folder: for results, each in a folder whose name cannot be guessed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sessions: dict[str, _Session] = {}
        self._lock = threading.Lock()

    def begin(self, session: str, source: Path) -> threading.Event:
        """Note that a session works on a file; returns what is set when it wants that no more.

        Sessions that did nothing for `LONGEST` end.
        """
        for name in [name for name, other in self._sessions.copy().items() if time.monotonic() - other.used > LONGEST]:
            self.end(name)
        with self._lock:
            mine = self._sessions.setdefault(session, _Session())
            mine.sources.add(source)
            mine.used = time.monotonic()
            mine.stop = threading.Event()
            return mine.stop

    def result_folder(self, session: str) -> Path:
        """Return a new folder for a result of a session; the oldest of more than `KEPT` is removed."""
        made = Path(tempfile.mkdtemp(dir=self.folder))
        with self._lock:
            results = self._sessions.setdefault(session, _Session()).results
            results.append(made)
            old = [results.popleft() for _ in range(len(results) - KEPT)]
        for folder in old:
            shutil.rmtree(folder, ignore_errors=True)
        return made

    def stop(self, session: str) -> None:
        """Have what a session is working on stopped."""
        with self._lock:
            if session in self._sessions:
                self._sessions[session].stop.set()

    def end(self, session: str, keep: Path | None = None) -> None:
        """Stop what a session is working on, and remove its files.

        Args:
            session: its name; it may begin again.
            keep: a source that stays, as those stay that other sessions have too.
        """
        self.stop(session)
        with self._lock:
            gone = self._sessions.pop(session, _Session())
            others = {source for other in self._sessions.values() for source in other.sources}
        for source in gone.sources - others - {keep}:
            source.unlink(missing_ok=True)
        for folder in gone.results:
            shutil.rmtree(folder, ignore_errors=True)

    def end_all(self) -> None:
        """End every session."""
        for session in list(self._sessions):
            self.end(session)


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder that nobody else may read, and remove it at the end, with those of processes that were killed."""
    for remains in Path(tempfile.gettempdir()).glob(f"{_NAME}*"):
        if not is_running(remains.name.removeprefix(_NAME).split(".")[0]):
            shutil.rmtree(remains, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{_NAME}{os.getpid()}."))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
