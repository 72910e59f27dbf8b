"""Writing the page of a sweep: once, again and again by `--watch`, and for a launcher that says when."""

import os
import select
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from deblur_lit.report.fields import write_whole
from deblur_lit.report.sweep.jobs import Job, counts, is_live
from deblur_lit.report.sweep.page import sweep_page
from deblur_lit.report.sweep.scores import REFERENCE

PAGE = "report.html"  # in the folder of runs
ENDING = 5.0  # seconds in which the jobs of a sweep that was killed end behind it
REST = 20.0  # times as long as a page took, the least time to the next one that nobody asked for


def write_page(runs: Path, page: Path | None = None, reference: str = REFERENCE) -> tuple[Path, list[Job]]:
    """Write the page of a folder of runs, so that a browser meets the old one or the new one.

    Args:
        runs: a folder that holds run folders at any depth.
        page: the file, by default runs/report.html.
        reference: the row that differences refer to.

    Returns:
        The file, and the jobs that it shows.

    Raises:
        OSError: if there is no such folder, it holds no run, or the page cannot be written.
        ValueError: if `reference` is no row.
    """
    text, jobs = sweep_page(runs, reference)
    page = page or runs / PAGE
    if page.is_dir():
        raise IsADirectoryError(f"{page} is a folder: name a file for the page, such as {page / PAGE}")
    return write_whole(page, text.encode()), jobs


def watch(
    runs: Path,
    page: Path | None,
    reference: str,
    seconds: float,
    say: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """Write the page again and again until no job runs or waits; return it.

    Args:
        runs: as in `write_page`, as are `page` and `reference`.
        page: the file.
        reference: the row that differences refer to.
        seconds: between two pages.
        say: called with a line whenever the jobs' states changed.
        sleep: waits.

    Raises:
        OSError, ValueError: as `write_page`.
    """
    said = ""
    while True:
        file, jobs = write_page(runs, page, reference)
        if (line := states(jobs)) != said:
            say(line)
            said = line
        if not is_live(jobs):
            return file
        sleep(seconds)


def states(jobs: Sequence[Job]) -> str:
    """Return how many jobs are in which state, as a line."""
    return ", ".join(f"{number} {state}" for state, number in counts(jobs).items())


def follow(runs: Path, seconds: float, pipe: int) -> None:
    """Write the page whenever a byte comes through a pipe or some time has passed, and when it closes.

    Jobs that still run or wait then end a moment later: the page is written until they have, for `ENDING` at most.
    What is wrong is said in one line and once; the page is tried again.

    Args:
        runs: a folder of runs; the page is its report.html.
        seconds: between two pages while nothing comes; more where a page takes long, so that it never takes more than
            a twentieth of a core.
        pipe: to read from. It closes when the sweep ends, however that happens.
    """
    said = ""
    is_open, is_over, spent, last = True, False, 0.0, 0.0
    while not is_over:
        if not is_open:
            time.sleep(ENDING / 20)
        elif select.select([pipe], [], [], max(seconds, REST * spent))[0]:
            is_open = bool(os.read(pipe, 1 << 16))
            last = time.monotonic() + ENDING
        started = time.process_time()
        try:
            _, jobs = write_page(runs)
            is_over = not is_open and (not is_live(jobs) or time.monotonic() > last)
        except (OSError, ValueError) as error:
            if (line := f"report: {error}; the sweep goes on") != said:
                print(line, file=sys.stderr, flush=True)
                said = line
            is_over = not is_open
        spent = time.process_time() - started


if __name__ == "__main__":  # python -m deblur_lit.report.sweep.watch RUNS SECONDS, its input a pipe from the launcher
    with suppress(OSError):
        os.nice(19)  # whatever trains goes first
    follow(Path(sys.argv[1]), float(sys.argv[2]), sys.stdin.fileno())
