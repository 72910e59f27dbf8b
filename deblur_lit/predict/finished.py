"""What earlier runs made: an interrupted command goes on, and takes nothing of another origin for its work."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from deblur_lit.predict.files import Job, absolute
from deblur_lit.user_cache import cache_folder

State = Literal["missing", "same", "other settings", "other source", "unknown"]


class Finished:
    """Notes on results, one file each in the user's cache; the folders of photographs are left as they are.

    Args:
        settings: all that a result depends on beside its source.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = dict(settings)
        self._folder = cache_folder() / "predict"

    def state(self, job: Job) -> State:
        """Tell what lies where the result of a job belongs.

        Returns:
            `same` if it was made by these settings from this very source and not touched since; `unknown` if nothing is
            noted, or the file was changed since.
        """
        if not os.path.lexists(job.target):
            return "missing"
        try:
            note = json.loads(self._note(job).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return "unknown"
        if note["result"] != _stamp(job.target):
            return "unknown"
        if note["source"] != [absolute(job.source), *_stamp(job.source)]:
            return "other source"
        return "same" if note["settings"] == self._settings else "other settings"

    def note(self, job: Job) -> None:
        """Note that the result of a job is there.

        Raises:
            OSError: if the cache cannot be written.
        """
        note = {
            "result": _stamp(job.target),
            "source": [absolute(job.source), *_stamp(job.source)],
            "settings": self._settings,
        }
        self._folder.mkdir(parents=True, exist_ok=True)
        self._note(job).write_text(json.dumps(note), encoding="utf-8")

    def _note(self, job: Job) -> Path:
        name = hashlib.sha256(os.fsencode(absolute(job.target))).hexdigest()
        return self._folder / f"{name[:32]}.json"


def content_hash(path: Path) -> str:
    """Return a sha256 (hex) of a file, or of the names and contents of the files in a folder."""
    digest = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]:
        with file.open("rb") as opened:
            digest.update(f"{file.name}\0{hashlib.file_digest(opened, 'sha256').hexdigest()}\0".encode())
    return digest.hexdigest()


def _stamp(path: Path) -> list[int]:
    """Return size and time of the last change; what is not there, or cannot be seen, has none."""
    try:
        seen = path.stat()
    except OSError:
        return []
    return [seen.st_size, seen.st_mtime_ns]
