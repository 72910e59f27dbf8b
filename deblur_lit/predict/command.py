"""`deblur-lit predict`: photographs and videos to restored ones."""

import argparse
import re
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
from deblur_lit.predict.finished import Finished, State, content_hash
from deblur_lit.predict.photo import Pixels, read_photo, write_photo

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_IN_THE_WAY: dict[State, str] = {
    "other settings": "was made by an earlier run with other settings",
    "other source": "was made from another file, or from this one before it changed",
    "unknown": "is there, and was not made by this command or was changed since",
}
_STOPPED = 128 + signal.SIGINT
_DESCRIPTION = """Restore blurred photographs (JPEG, PNG, TIFF, WebP; 8 and 16 bit) and videos with the network that
comes with the package, or another one. A result keeps format, depth, alpha, EXIF (with the orientation as it is),
colour profile, XMP and texts of its source; a JPEG is written at least as finely as it was, and finely enough to lose
nothing visible (45 dB). An interrupted command goes on when it is given again: what is finished is not made twice.
Videos are restored frame by frame, so that what is restored may flicker; sound, times and rotation stay."""


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
    options = _parser().parse_args(arguments)
    planned = plan(options.input, options.out)
    finished = Finished(_settings(options))
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="deblur-lit predict", description=_DESCRIPTION)
    parser.add_argument("input", nargs="+", metavar="INPUT", help="files, folders with their subfolders, patterns "
                        "('trip/**/*.jpg'); videos of a folder are restored when they are named")  # fmt: skip
    parser.add_argument("-o", "--out", type=Path, metavar="OUT", help="folder of the results, which keeps names and "
                        "subfolders; for one file also a file, of its format or PNG "
                        "(default: NAME.deblurred.EXT beside a file, FOLDER.deblurred beside a folder)")  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace results that are there")
    network = parser.add_argument_group("network")
    network.add_argument("--network", metavar="NAME", help="one of `deblur-lit networks`; needs --checkpoint")
    network.add_argument("--checkpoint", type=Path, metavar="F", help="its weights: ours, or the authors' published "
                         "file; without --network a folder with config.yaml and model.safetensors")  # fmt: skip
    network.add_argument("--strength", type=_share, default=1.0, metavar="S", help="0 (none) to 1 (default)")
    network.add_argument("--tta", choices=("none", "rot4", "x8"), default="none", help="mean over quarter turns, "
                         "or over mirrored ones too; takes 4 or 8 times as long")  # fmt: skip
    network.add_argument("--tlc", action="store_true", help="local pools, for networks that pool whole images")
    machine = parser.add_argument_group("machine")
    machine.add_argument("--tile", type=_tile, default="auto", metavar="auto|N|off", help="side of tiles in pixels; "
                         "auto plans it from the memory, off restores whole photographs (default: auto)")  # fmt: skip
    machine.add_argument("--memory", type=_memory, metavar="2G", help="most that may be taken (default: what is free)")
    machine.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="bf16 is faster where the "
                         "machine has it (default: fp32)")  # fmt: skip
    machine.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="default: a GPU "
                         "where there is one")  # fmt: skip
    return parser


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 1")
    return value


def _tile(text: str) -> int | str:
    if text in ("auto", "off"):
        return text
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is neither auto, off nor a number of pixels")
    return int(text)


def _memory(text: str) -> int:
    """Return bytes.

    Example:
        >>> _memory("1.5G"), _memory("200M"), _memory("64KiB")
        (1610612736, 209715200, 65536)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text, re.IGNORECASE)
    size = int(float(found[1]) * _UNITS[found[2].upper()]) if found else 0
    if not size:
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 2G or 500M")
    return size


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    """Check the choice of a network, and return all that a result depends on beside its source.

    Raises:
        ValueError: if network and checkpoint do not go together.
        FileNotFoundError: if weights are not there.
    """
    weights = options.checkpoint
    if options.network is None and weights is None:
        from deblur_lit.pretrained import SHIPPED

        weights = SHIPPED
    elif options.network is not None:
        from deblur_lit.nodes import network_config

        network_config(options.network)  # refuses an unknown name
        if weights is None:
            raise ValueError(f"--network {options.network} has random weights without --checkpoint F")
    elif not weights.is_dir():
        raise ValueError(f"--checkpoint {shown(weights)}: a file of weights needs --network NAME; a folder brings it")
    if not weights.exists():
        raise FileNotFoundError(f"{shown(weights)}: there are no weights; name others by --network and --checkpoint")
    names = ("network", "strength", "tta", "tlc", "tile", "precision")
    return {"weights": content_hash(weights), **{name: getattr(options, name) for name in names}}


def _load(options: argparse.Namespace) -> Deblurs:
    from deblur_lit.predict.deblurrer import Deblurrer

    network = None
    if options.network is not None:
        from deblur_lit.networks.loading import load_network

        network = load_network(options.network, options.checkpoint)
    elif options.checkpoint is not None:
        from deblur_lit.pretrained import load_folder

        network = load_folder(options.checkpoint)
    return Deblurrer(
        network,
        tile=options.tile,
        memory=options.memory,
        tta=options.tta,
        tlc=options.tlc,
        precision=options.precision,
        device=options.device,
        strength=options.strength,
    )


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
                outcome.problems.append(Problem(shown(job.source), _reason(error)))
                line = f"failed: {shown(job.source)}: {_reason(error)}"
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
        return [f"a later run will not know that it is finished: {_reason(error)}"]
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


def _reason(error: Exception) -> str:
    """Return an error as one line that does not repeat the name of the file."""
    if isinstance(error, OSError) and error.strerror:
        other = f" ({shown(error.filename)})" if error.filename else ""
        return f"{error.strerror}{other}"
    if isinstance(error, MemoryError):
        return " ".join(str(error).split()) or "not enough memory; allow smaller tiles by --memory"
    text = shown(" ".join(str(error).split()))
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
