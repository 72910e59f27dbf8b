"""The data doctor: everything that is wrong with a data set, listed at once. It reads and changes nothing."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from deblur_lit.data.faults import DataError, gathering
from deblur_lit.data.inspection import Seen, look
from deblur_lit.data.named import data_root, open_split
from deblur_lit.data.official import compare_names
from deblur_lit.data.paired_folder import SUFFIXES
from deblur_lit.data.pairs import PairList, shared_sequences, some
from deblur_lit.data.response import Conservation, Verdict, verdict

SHARPER = 1.05  # times the gradients of the sharp side, from where on sides are taken for swapped
RESPONSES = {"identity": "linear", "gamma": "gamma"}  # of the embedded benchmark


@dataclass(frozen=True)
class Finding:
    """Something wrong. `kind` is a key of `faults.KINDS`; the message is the one that training stops with."""

    kind: str
    split: str
    message: str


@dataclass
class Split:
    """What one split was found to be. `expected` is its published number of pairs, None where nothing is published."""

    layout: str
    pairs: int
    sequences: int
    expected: int | None
    response: Verdict | None = None


@dataclass
class Report:
    """What is wrong (`findings`), what is worth knowing (`notices`), and what each split is."""

    name: str
    root: str
    splits: dict[str, Split] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


def examine(
    data: DictConfig, splits: Sequence[str], subset: bool, jobs: int, advance: Callable[[str, int, int], None]
) -> Report:
    """Look at every file of some splits.

    Args:
        data: node of conf/data, see `named.data_config`.
        splits: which to look at; leaks are looked for between them.
        subset: whether frames and splits may be missing.
        jobs: threads.
        advance: is told the split, the pairs looked at so far and their number.
    """
    root = data_root(data)
    report = Report(str(data.name), str(root))
    opened = {split: pairs for split in splits if (pairs := _open(report, data, split, subset))}
    seen = {}
    for split, pairs in opened.items():
        seen[split] = look(pairs, data.official, jobs, partial(advance, split))
        _judge(report, data, split, pairs, seen[split])
    _find_leaks(report, opened, seen)
    _notice_other_files(report, root, opened)
    return report


def _open(report: Report, data: DictConfig, split: str, subset: bool) -> PairList | None:
    """Open a split, and note what is wrong with its names and numbers."""
    with gathering() as faults:
        try:
            pairs = open_split(data, split)
        except FileNotFoundError as error:
            if subset:
                report.notices.append(f"{split}: not there")
            else:
                faults.append(DataError(str(error)))
            pairs = None
        except ValueError as error:
            faults.append(error if isinstance(error, DataError) else DataError(str(error)))
            pairs = None
    report.findings += [Finding(fault.kind, split, str(fault)) for fault in faults]
    if pairs is None:
        return None
    facts = data.official.splits.get(split) if data.official else None
    report.splits[split] = Split(
        pairs.layout, len(pairs), len({*pairs.sequences}), None if facts is None else int(facts.pairs)
    )
    differences = compare_names(pairs, facts) if facts is not None else []
    if subset:
        report.notices += [f"{split}: {text}" for text in differences]
    else:
        report.findings += [Finding("count", split, text) for text in differences]
    return pairs


def _judge(report: Report, data: DictConfig, split: str, pairs: PairList, seen: Sequence[Seen]) -> None:
    """Note the faults of single pairs, then those that many frames show together."""
    report.findings += [Finding(fault.kind, split, str(fault)) for one in seen for fault in one.faults]
    _find_duplicates(report, split, pairs, seen)
    measured = [one.gradients for one in seen if one.gradients]
    blur, sharp = (sum(side) for side in zip(*measured, strict=True)) if measured else (0.0, 0.0)
    if blur > SHARPER * sharp:
        text = f"the blurred side has {blur / max(sharp, 1e-9):.2f} times the gradients of the sharp side: swapped?"
        report.findings.append(Finding("swapped", split, text))
    if data.official is None or data.official.response is not None:
        _judge_response(report, data, split, pairs, seen)


def _judge_response(report: Report, data: DictConfig, split: str, pairs: PairList, seen: Sequence[Seen]) -> None:
    by_sequence: dict[str, list[Conservation]] = defaultdict(list)
    for sequence, one in zip(pairs.sequences, seen, strict=True):
        if one.light:
            by_sequence[sequence].append(one.light)
    found = verdict([light for lights in by_sequence.values() for light in lights])
    each = {sequence: verdict(lights) for sequence, lights in by_sequence.items()}
    report.splits[split].response = found
    expected = data.official.response if data.official else RESPONSES.get(str(data.get("response")))
    decided = Counter(answer for answer in each.values() if answer != "undecidable")
    if len(decided) == 2:
        rarer = min(decided, key=lambda answer: decided[answer])
        odd = some(sequence for sequence, answer in each.items() if answer == rarer)
        text = f"{dict(decided)} sequences, so two versions of the blur are mixed; {rarer} are: {odd}"
        report.findings.append(Finding("response", split, text))
    elif expected and found not in (expected, "undecidable"):
        text = f"the blurred frames are {found}, those of {data.title} are {expected}: files of the other version?"
        report.findings.append(Finding("response", split, text))


def _find_duplicates(report: Report, split: str, pairs: PairList, seen: Sequence[Seen]) -> None:
    first: dict[str, str] = {}
    for name, one in zip(pairs.names, seen, strict=True):
        if one.blur and (other := first.setdefault(one.blur, name)) != name:
            text = f"{other} and {name} have the same blurred image; remove one of them"
            report.findings.append(Finding("duplicate", split, text))


def _find_leaks(report: Report, opened: dict[str, PairList], seen: dict[str, list[Seen]]) -> None:
    """Note sequences and images that two splits have in common."""
    for number, split in enumerate(opened):
        for other in list(opened)[:number]:
            if both := shared_sequences(opened[split].sequences, opened[other].sequences):
                text = f"{some(both)} in {other} too: {len(both)} sequences are in both; keep each in one split"
                report.findings.append(Finding("leak", split, text))
            where = {digest: name for name, one in _images(opened[other], seen[other]) for digest in one}
            for name, digests in _images(opened[split], seen[split]):
                if shared := digests & where.keys():
                    text = f"{name} has an image of {other}'s {where[min(shared)]}; remove it from one of the two"
                    report.findings.append(Finding("leak", split, text))


def _images(pairs: PairList, seen: Sequence[Seen]) -> list[tuple[str, set[str]]]:
    return [(name, {one.blur, one.sharp} - {""}) for name, one in zip(pairs.names, seen, strict=True)]


def _notice_other_files(report: Report, root: Path, opened: dict[str, PairList]) -> None:
    """Say which files below the root belong to no pair, and which are links."""
    used = {path for pairs in opened.values() for pair in pairs.pairs for path in (pair.blur, pair.sharp)}
    suffixes: Counter[str] = Counter()
    spare, links = [], []
    for path in sorted(root.rglob("*")) if root.is_dir() else []:
        if path.is_symlink():
            links.append(str(path))
        hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
        if path in used or hidden or not path.is_file():
            continue
        if path.suffix.lower() in SUFFIXES:
            spare.append(str(path.relative_to(root)))
        else:
            suffixes[path.suffix or path.name] += 1
    if spare:
        report.notices.append(f"{len(spare)} images belong to no pair and were not looked at: {some(spare)}")
    if suffixes:
        listed = ", ".join(f"{count} {suffix}" for suffix, count in sorted(suffixes.items()))
        report.notices.append(f"other files, ignored: {listed}")
    if links:
        report.notices.append(f"{len(links)} are links: {some(links)}")
