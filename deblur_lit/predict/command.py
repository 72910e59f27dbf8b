"""`deblur-lit predict`: photographs and videos to restored ones."""

import argparse
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from deblur_lit.predict.files import Job, Plan, Problem, plan, shown
from deblur_lit.predict.finished import Finished, State
from deblur_lit.predict.options import parser, runs_onnx, settings
from deblur_lit.predict.photo import Pixels, read_photo, write_photo

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from deblur_lit.networks.blocks import DeblurNetwork

_IN_THE_WAY: dict[State, str] = {
    "other settings": "was made by an earlier run with other settings",
    "other source": "was made from another file, or from this one before it changed",
    "unknown": "is there, and was not made by this command or was changed since",
}
_STOPPED = 128 + signal.SIGINT


class Deblurs(Protocol):
    """What restores pixels: `Deblurrer`."""

    def restore(self, image: Pixels, progress: Callable[[int, int], None] | None = None) -> Any:
        """Return an object with the restored `image` and the `fallbacks`, tiles that stayed as they were."""


@dataclass
class Outcome:
    """What became of the files of a command."""

    restored: int = 0
    before: int = 0  # that an earlier run had made
    left: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)


def main(arguments: Sequence[str], load: "Callable[[argparse.Namespace], Deblurs] | None" = None) -> int:
    """Run `deblur-lit predict <arguments>` and return its exit status.

    Args:
        arguments: words of the command line.
        load: makes what restores the pixels, from the options; by default a `Deblurrer`.

    Returns:
        0 if every file is restored or was so before, 1 if any failed, 130 if it was interrupted.

    Raises:
        ValueError, OSError: for what the user can put right before anything is done; the message is one line.
    """
    options = parser().parse_args(arguments)
    planned = plan(options.input, options.out)
    finished = Finished(settings(options))
    outcome = Outcome(left=planned.left, problems=list(planned.problems))
    todo = [job for job in planned.jobs if _is_to_do(job, finished, options.overwrite, outcome)]
    stopped = False
    if todo:
        try:
            with _stopping():
                _restore_all(todo, (load or _load)(options), finished, outcome)
        except KeyboardInterrupt:
            stopped = True
    _print(outcome, planned, stopped)
    return _STOPPED if stopped else 1 if outcome.problems or not planned.jobs else 0


def _load(options: argparse.Namespace) -> Deblurs:
    from deblur_lit.predict.deblurrer import Deblurrer

    backend = None
    if runs_onnx(options):
        from deblur_lit.predict.onnx_backend import OnnxBackend

        backend = OnnxBackend(options.checkpoint)
    return Deblurrer(
        None if backend else load_chosen(options.network, options.checkpoint),
        tile=options.tile,
        memory=options.memory,
        tta=options.tta,
        tlc=options.tlc,
        precision=options.precision,
        device=options.device,
        strength=options.strength,
        backend=backend,
    )


def load_chosen(name: str | None, checkpoint: Path | None) -> "DeblurNetwork | None":
    """Build the network that --network and --checkpoint choose; None for the one that comes with the package.

    Raises:
        ValueError, FileNotFoundError: if the weights do not fit or are not there.
    """
    if name is not None:
        from deblur_lit.networks.loading import load_network

        return load_network(name, checkpoint)
    if checkpoint is not None:
        from deblur_lit.pretrained import load_folder

        return load_folder(checkpoint)
    return None


def _is_to_do(job: Job, finished: Finished, overwrite: bool, outcome: Outcome) -> bool:
    state = finished.state(job)
    if job.target.is_dir():
        outcome.problems.append(Problem(shown(job.source), f"{shown(job.target)} is a folder"))
        return False
    if state == "missing" or overwrite:
        return True
    if state == "same":
        outcome.before += 1
    else:
        way = f"{shown(job.target)} {_IN_THE_WAY[state]}; --overwrite replaces it, or choose another -o"
        outcome.problems.append(Problem(shown(job.source), way))
    return False


@contextmanager
def _stopping() -> Iterator[None]:
    """Let SIGTERM end the command as Ctrl-C does: half a file is removed, and the summary is printed."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _restore_all(jobs: Sequence[Job], deblurs: Deblurs, finished: Finished, outcome: Outcome) -> None:
    """Restore one file after the other; one that fails is noted, and the rest goes on."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("restoring"), BarColumn(), TextColumn("{task.percentage:.0f} %"), TextColumn("{task.fields[files]}"),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=len(jobs), files="")
        for number, job in enumerate(jobs):
            progress.update(task, completed=number, files=f"{number + 1} of {len(jobs)} files")
            start = time.perf_counter()
            try:
                notes = _restore(job, deblurs, partial(_advance, progress, task, number))
            except Exception as error:
                outcome.problems.append(Problem(shown(job.source), reason(error, job.source)))
            else:
                outcome.restored += 1
                told = [f"{time.perf_counter() - start:.1f} s", *notes, *_note(finished, job)]
                line = f"{shown(job.source)} -> {shown(job.target)} ({'; '.join(told)})"
                console.print(line, markup=False, highlight=False, soft_wrap=True)


def _note(finished: Finished, job: Job) -> list[str]:
    """Note that a job is done; a cache that cannot be written is no reason to fail, but to say so."""
    try:
        finished.note(job)
    except OSError as error:
        return [f"a later run will not know that it is finished: {reason(error, job.target)}"]
    return []


def _advance(progress: "Progress", task: "TaskID", finished: int, done: int, of: int) -> None:
    """Show the files that are finished and the part of the next one that is."""
    progress.update(task, completed=finished + done / of)


def _restore(job: Job, deblurs: Deblurs, progress: Callable[[int, int], None]) -> list[str]:
    """Restore one file and return notes on it."""
    job.target.parent.mkdir(parents=True, exist_ok=True)
    fallbacks = 0

    def restore(pixels: Pixels, told: Callable[[int, int], None] | None = None) -> Pixels:
        nonlocal fallbacks
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the tiles that they are about are counted
            restored = deblurs.restore(pixels, told)
        fallbacks += len(restored.fallbacks)
        return restored.image

    if job.kind == "video":
        from deblur_lit.predict.video import restore_video

        notes = list(restore_video(job.source, job.target, restore, progress))
    else:
        photo = read_photo(job.source)
        write_photo(job.target, photo.restored(restore(photo.pixels, progress)), job.wanted)
        notes = list(photo.notes)
    if fallbacks:
        notes.append(f"{fallbacks} tiles stayed as they were, since the network did harm there")
    return notes


def reason(error: Exception, file: Path) -> str:
    """Return an error as one line that does not repeat the name of the file."""
    if isinstance(error, OSError) and error.strerror:
        other = error.filename if error.filename != str(file) else None
        return error.strerror + (f" ({shown(other)})" if other else "")
    if isinstance(error, MemoryError):
        return " ".join(str(error).split()) or "not enough memory; allow smaller tiles by --memory"
    text = shown(" ".join(str(error).split()).removeprefix(f"{file}: "))
    return text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}"


def _print(outcome: Outcome, planned: Plan, stopped: bool) -> None:
    """Print the failures on stderr and a line on what became of all on stdout."""
    for problem in outcome.problems:
        print(f"failed: {problem.name}: {problem.reason}", file=sys.stderr)
    parts = [f"{outcome.restored} restored"]
    if outcome.before:
        parts.append(f"{outcome.before} were finished by an earlier run")
    if outcome.problems:
        parts.append(f"{len(outcome.problems)} failed")
    if left := {kind: number for kind, number in outcome.left.items() if number}:
        kinds = ", ".join(f"{number} {shown(kind)}" for kind, number in sorted(left.items()))
        parts.append(f"{sum(left.values())} left alone ({kinds})")
    if stopped:
        undone = len(planned.jobs) - outcome.restored - outcome.before
        parts.append(f"interrupted: the same command goes on with the {undone} that are not done")
    print("; ".join(parts), flush=True)
