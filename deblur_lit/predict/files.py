"""Which files are restored, and where the results go."""

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Literal, NamedTuple

from deblur_lit.predict.photo import SUFFIXES, Format

VIDEOS = (".mp4", ".m4v", ".mov", ".mkv", ".avi", ".webm")
MARK = ".deblurred"  # in the name of a result that lies beside its source


class Job(NamedTuple):
    """A file, what becomes of it, and the format that the name of the result asks for, if another than its own."""

    source: Path
    target: Path
    kind: Literal["photo", "video"]
    wanted: Format | None = None


class Problem(NamedTuple):
    """A file or an input that is not restored, and why; the reason is one line."""

    name: str
    reason: str


@dataclass
class Plan:
    """Files to restore in the order of the inputs, what is wrong with the others, and what is left alone by suffix."""

    jobs: list[Job] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)


class _Found(NamedTuple):
    """A file and its place below the folder or the pattern that it was found by; none if it was named itself."""

    path: Path
    below: Path | None
    root: Path | None = None


def shown(path: Path | str) -> str:
    """Return a name as one line that every terminal can print.

    Example:
        >>> shown("a\\nb")
        'a\\\\nb'
    """
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def kind_of(path: Path) -> Literal["photo", "video"] | None:
    """Tell photographs and videos by their suffix; None for other files."""
    suffix = path.suffix.lower()
    return "video" if suffix in VIDEOS else "photo" if suffix in SUFFIXES else None


def plan(inputs: Sequence[str], out: Path | None) -> Plan:
    """Find files and name their results.

    A result keeps the name of its source and its place below the folder or pattern that was given. Without `out` it
    lies beside a source that was named, as NAME.deblurred.EXT, and for a folder in one beside that, FOLDER.deblurred.

    Args:
        inputs: files; folders, whose photographs are taken with those of subfolders; patterns such as `trip/**/*.jpg`.
            Folders are not followed into links, hidden files, earlier results and `out` itself.
        out: a folder, or for a single file a file of its format or a PNG.

    Raises:
        ValueError: if two files would have one result, or a result would replace its source or another input.
    """
    made = Plan()
    found: list[_Found] = []
    for text in inputs:
        found += _expand(text, out, made)
    one_file = len(inputs) == 1 and len(found) == 1 and found[0].below is None
    as_file = out is not None and one_file and kind_of(out) is not None and not out.is_dir()
    if out is not None and not as_file and out.exists() and not out.is_dir():
        raise ValueError(f"-o {shown(out)} is a file, but there is more than one result: name a folder")
    for file in found:
        kind = kind_of(file.path) or "photo"  # named by the user: its content decides
        wanted = None
        target = out if out is not None and as_file else _target(file, out)
        if as_file and kind == "photo" and target.suffix.lower() != file.path.suffix.lower():
            wanted = SUFFIXES.get(target.suffix.lower())
        made.jobs.append(Job(file.path, target, kind, wanted))
    made.jobs = _without_results(made.jobs)
    _check_targets(made.jobs)
    return made


def _expand(text: str, out: Path | None, made: Plan) -> Iterator[_Found]:
    path = Path(text)
    if path.is_dir():
        yield from _walk(path, out, made)
    elif os.path.lexists(path):
        yield _Found(path, None)
    elif glob.has_magic(text):
        fixed = Path(*takewhile(lambda part: not glob.has_magic(part), path.parts))
        matches = sorted(match for match in fixed.glob(str(path.relative_to(fixed))) if not match.is_dir())
        found = [_Found(match, match.relative_to(fixed)) for match in matches]
        shows = [file for file in found if not _is_result(file.path) and not _is_hidden(file.below)]
        if not shows:
            made.problems.append(Problem(shown(text), "no file matches it"))
        yield from shows
    else:
        made.problems.append(Problem(shown(text), "there is no such file or folder"))


def _is_hidden(below: Path | None) -> bool:
    return below is not None and any(part.startswith(".") for part in below.parts)


def _walk(root: Path, out: Path | None, made: Plan) -> Iterator[_Found]:
    def refused(error: OSError) -> None:
        made.problems.append(Problem(shown(error.filename or root), error.strerror or str(error)))

    results = None if out is None else out.resolve()
    if results == root.resolve():
        raise ValueError(f"-o {shown(root)} is the input itself, whose files would be replaced: name another folder")
    number = 0
    for folder, folders, names in os.walk(root, onerror=refused):
        inside = Path(folder)
        kept = [name for name in sorted(folders) if not name.startswith(".") and not name.endswith(MARK)]
        made.left["links to folders"] += sum((inside / name).is_symlink() for name in kept)
        folders[:] = [name for name in kept if results is None or (inside / name).resolve() != results]
        for name in sorted(names):
            path = inside / name
            if name.startswith("."):
                continue
            if _is_result(path) or kind_of(path) != "photo":
                made.left["earlier results" if _is_result(path) else path.suffix.lower() or "no suffix"] += 1
                continue
            number += 1
            yield _Found(path, path.relative_to(root), root)
    if not number:
        made.problems.append(Problem(shown(root), f"no photographs in it ({', '.join(SUFFIXES)})"))


def _is_result(path: Path) -> bool:
    return path.stem.endswith(MARK)


def _target(file: _Found, out: Path | None) -> Path:
    if out is not None:
        return out / (file.below or file.path.name)
    if file.root is None or file.below is None:
        return file.path.with_name(f"{file.path.stem}{MARK}{file.path.suffix}")
    root = file.root if file.root.name not in ("", "..") else file.root.resolve()
    return root.with_name(f"{root.name}{MARK}") / file.below


def _without_results(jobs: Sequence[Job]) -> list[Job]:
    """Leave out what was named twice, and results of other jobs, which a shell's `*.jpg` names too."""
    targets = {absolute(job.target) for job in jobs if absolute(job.target) != absolute(job.source)}
    once = {(absolute(job.source), absolute(job.target)): job for job in jobs}
    return [job for (source, _), job in once.items() if source not in targets or not _is_result(job.source)]


def _check_targets(jobs: Sequence[Job]) -> None:
    sources = {absolute(job.source) for job in jobs}
    of: dict[str, Job] = {}
    for job in jobs:
        target = absolute(job.target)
        if target in sources or (job.target.exists() and job.source.exists() and job.target.samefile(job.source)):
            raise ValueError(f"{shown(job.target)} would be replaced by a result, and is an input: name another -o")
        if target in of:
            first = shown(of[target].source)
            raise ValueError(
                f"{first} and {shown(job.source)} would both become {shown(job.target)}: "
                "name their common folder, or restore them one after the other into different folders"
            )
        of[target] = job


def absolute(path: Path) -> str:
    """Return a path from the root, without following links."""
    return os.path.normpath(path.absolute())
