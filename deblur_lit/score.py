"""`deblur-lit score`: restored images against sharp ones, by every named protocol, matched by name."""

import argparse
import csv
import json
import math
import textwrap
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from deblur_lit import provenance, runs
from deblur_lit.metrics.protocols import PROTOCOLS, choose, legend
from deblur_lit.score_files import Match, match, read_pair

REMARKED = 20  # remarks that are printed
FEW = 5  # images whose values the printed table shows one by one

Scores = dict[str, dict[str, float]]  # image to protocol to value
Remarks = dict[str, list[str]]  # image to what its protocols have to say of it


_DESCRIPTION = """Score restored images against sharp ones by the protocols of published code. Two files, or two
folders whose files are matched by name (with subfolders, without extension), never by order. Images are 8-bit RGB (PNG,
JPEG, WebP, TIFF), or floats in [0, 1] as .npy (H, W, 3) or 32-bit TIFF. The score of a folder is the mean of the scores
of its images; the PSNR of identical images is infinite, and so is a mean that has one."""


def main(arguments: Sequence[str]) -> int:
    """Run `deblur-lit score <arguments>` and return its exit status.

    Raises:
        ValueError, OSError: for what the user can put right; the message is one line.
    """
    options = _parser().parse_args(arguments)
    names = choose(options.protocol)
    for file in filter(None, (options.csv, options.json)):
        if not file.parent.is_dir():  # said now and not after hours
            raise FileNotFoundError(f"{file}: there is no folder {file.parent}; make it or choose another")
    scores, remarks = score_pairs(match(options.restored, options.sharp), names, options.jobs)
    means = {name: fmean(values[name] for values in scores.values()) for name in names}
    if options.csv:
        write_csv(options.csv, scores, names)
    if options.json:
        write_json(options.json, scores, means, remarks)
    _print(scores, means)
    _print_remarks(remarks, len(scores))
    return 0


def score_pairs(pairs: Sequence[Match], names: Sequence[str], jobs: int) -> tuple[Scores, Remarks]:
    """Return the scores of each pair, in the order given, whatever `jobs` is; a bad pair ends it.

    Scores of aligned protocols are kept in the user's cache, so that an interrupted call goes on.

    Args:
        pairs: files.
        names: known protocols.
        jobs: pairs that are scored at once, in processes where images are aligned. Cores that are left over share the
            work of one pair.

    Returns:
        The scores, and remarks of the images that have any, such as why one could not be aligned.

    Raises:
        ValueError: if a pair cannot be scored; the message names its files.
        OSError: if a file cannot be read.
    """
    workers = min(jobs, len(pairs))
    work = partial(_score, names=names, threads=max(1, runs.cores() // workers))
    with Progress(console=Console(stderr=True), transient=True) as progress, _pool(names, workers) as pool:
        try:
            done = progress.track(pool.map(work, pairs), total=len(pairs), description="scoring")
            found = {pair.name: scored for pair, scored in zip(pairs, done, strict=True)}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return {name: scores for name, (scores, _) in found.items()}, {n: texts for n, (_, texts) in found.items() if texts}


def _pool(names: Sequence[str], workers: int) -> Executor:
    """Return processes for alignment, which is mostly Python; threads for the rest, which is not."""
    if workers > 1 and any(PROTOCOLS[name].aligned for name in names):
        return ProcessPoolExecutor(workers, get_context("spawn"))
    return ThreadPoolExecutor(workers)


def _score(pair: Match, names: Sequence[str], threads: int) -> tuple[dict[str, float], list[str]]:
    # Not above: --help should not wait for OpenCV.
    from deblur_lit.metrics.measure import measure
    from deblur_lit.score_aligned import measure_aligned

    levels = read_pair(pair)
    aligned = [name for name in names if PROTOCOLS[name].aligned]
    try:
        found = measure(levels, [name for name in names if name not in aligned], threads)
    except ValueError as error:
        raise ValueError(f"{pair.restored}: {error}") from error
    if aligned:
        found |= measure_aligned(levels, aligned)
    return {name: found[name] for name in names}, levels.remarks


def write_csv(path: Path, scores: Scores, names: Sequence[str]) -> None:
    """Write one line for each image, numbers in full precision, infinite ones as inf."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["name", *names])
        writer.writerows([image, *(values[name] for name in names)] for image, values in scores.items())


def write_json(path: Path, scores: Scores, means: dict[str, float], remarks: Remarks) -> None:
    """Write means, values and remarks of each image, what the protocols are, and versions.

    Numbers that JSON does not have are "inf" and "nan".
    """
    commit, changed = provenance.git_state()
    record = {
        "images": len(scores),
        "means": _for_json(means),
        "per_image": [{"name": image, **_for_json(values)} for image, values in scores.items()],
        "remarks": remarks,
        "protocols": {
            name: {"unit": PROTOCOLS[name].unit, "text": PROTOCOLS[name].text, "used_by": PROTOCOLS[name].used_by}
            for name in means
        },
        "commit": commit,
        "changed": changed,
        "versions": provenance.versions(),
    }
    path.write_text(json.dumps(record, indent=1, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")


def _for_json(values: dict[str, float]) -> dict[str, float | str]:
    return {name: value if math.isfinite(value) else str(value) for name, value in values.items()}


def _print(scores: Scores, means: dict[str, float]) -> None:
    shown = scores if 1 < len(scores) <= FEW else {}
    table = Table(box=None, header_style="bold")
    for number, title in enumerate(("protocol", *shown, f"mean of {len(scores)}" if len(scores) > 1 else "value")):
        table.add_column(escape(title), justify="right" if number else "left", overflow="fold")
    for name, mean in means.items():
        digits = 4 if PROTOCOLS[name].unit == "dB" else 6
        values = [*(values[name] for values in shown.values()), mean]
        table.add_row(name, *(f"{value:.{digits}f}" for value in values))
    console = Console()
    if not console.is_terminal:
        console.width = 30 + 40 * (1 + len(shown))  # a file has no width to fold for
    console.print(table)
    if identical := sum(math.inf in values.values() for values in scores.values()):
        print(f"infinite PSNR: {identical} of {len(scores)} equal their sharp images, which makes the mean infinite")
    print()
    print("\n".join(legend(means)))


def _print_remarks(remarks: Remarks, images: int) -> None:
    if not remarks:
        return
    print(f"\n{len(remarks)} of {images} images:")
    for name, texts in list(remarks.items())[:REMARKED]:
        print(f"  {name}: {'; '.join(texts)}")
    if len(remarks) > REMARKED:
        print(f"  and {len(remarks) - REMARKED} more, which --json FILE lists")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="deblur-lit score",
        description=textwrap.fill(_DESCRIPTION, 100),
        epilog="protocols:\n" + "\n".join(f"  {line}" for line in legend(PROTOCOLS)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("restored", type=Path, metavar="RESTORED", help="folder or file")
    parser.add_argument("sharp", type=Path, metavar="SHARP", help="folder or file")
    parser.add_argument(
        "--protocol", nargs="+", action="extend", metavar="NAME", help="names below, or all (default: all unaligned)"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the values of each image")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write values, means, legend and versions")
    parser.add_argument("--jobs", type=_jobs, default=runs.cores(), metavar="N", help="pairs at once (default: cores)")
    return parser


def _jobs(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of jobs; give 1 or more")
    return int(text)
