"""RealBlur-J and RealBlur-R, read through the authors' lists of pairs."""

import re
from collections.abc import Collection
from pathlib import Path

from deblur_lit.data.faults import DataError, refuse
from deblur_lit.data.pairs import Pair, PairList, existing_folder, nearest, select_sequences, some

_LAST_SCENE = 234  # later numbers are of the Tele extension


class RealBlur(PairList):
    """One split of RealBlur as its list file defines it; a pair is `<scene>/<K>` of the sequence `<scene>`.

    The list is the definition because the folders hold more: previews, and scenes of the later Tele set.

    Args:
        root: the unpacked archive: `RealBlur_J_test_list.txt` beside `RealBlur-J_.../scene001/{gt,blur}`.
        split: `train` (3758 pairs in 182 scenes) or `test` (980 pairs in 50 scenes).
        kind: `J` (camera JPEG) or `R` (from raw).
        sequences: keep only these scenes; all by default.
        exclude: leave these scenes out.
        reference_pairs: keep K = 1, in `train` alone, which the intensities of a scene were matched to: sharp on
            both sides, 182 pairs that teach next to nothing, kept by the authors and by those who compare.

    Raises:
        FileNotFoundError: if the folder or the list is missing.
        DataError: if a listed file is missing.
        ValueError: if a line of the list is not a pair of this kind, is of the Tele extension or stands twice, or
            a scene is unknown.

    Source: Rim et al., ECCV 2020; lists of github.com/rimchang/RealBlur.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        kind: str = "J",
        sequences: Collection[str] | None = None,
        exclude: Collection[str] = (),
        reference_pairs: bool = True,
    ) -> None:
        folder = existing_folder(Path(root))
        listed = _read_list(folder / f"RealBlur_{kind}_{split}_list.txt", kind)
        pairs = [pair for pair in listed if reference_pairs or not pair.name.endswith("/1")]
        chosen = select_sequences(pairs, folder, sequences, exclude)
        missing = [path for pair in chosen for path in (pair.blur, pair.sharp) if not path.is_file()]
        if missing:
            refuse(
                DataError(
                    f"{folder}: {len(missing)} files of the {split} list are missing: {some(map(str, missing))}. "
                    "Unpack the whole archive, or set data.root to the folder that holds the lists",
                    "missing",
                )
            )
        lost = set(missing)
        there = [pair for pair in chosen if not {pair.blur, pair.sharp} & lost]
        super().__init__(there, f"the authors' list, RealBlur-{kind}_.../<scene>/{{gt,blur}}")


def _read_list(path: Path, kind: str) -> list[Pair]:
    """Parse lines of `<gt file> <blur file> ` in any order; return the pairs by scene, then by number."""
    if not path.is_file():
        lists = [file.name for file in path.parent.glob("*.txt")]
        raise FileNotFoundError(
            f"{path.parent} has no list {path.name}{nearest(path.name, lists)}. Lists lie in the authors' archive "
            f"beside RealBlur-{kind}_...; flat copies of other projects have none and can be read by data=folder"
        )
    line_of_kind = re.compile(rf"((RealBlur-{kind}_[^\s/]*/(\w+))/gt/gt_(\d+)\.png) (\2/blur/blur_\4\.png)")
    found: dict[tuple[str, int], Pair] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        match = line_of_kind.fullmatch(line.strip())
        if match is None:
            raise DataError(
                f"{path}, line {number}: {line!r} is not a sharp and a blurred file of RealBlur-{kind}; "
                "take the list from the authors' archive"
            )
        sharp, _, scene, frame, blur = match.groups()
        if not re.fullmatch(r"scene\d{3}", scene) or int(scene[5:]) > _LAST_SCENE:
            raise DataError(
                f"{path}, line {number}: {scene} is of the Tele extension, no part of what papers score; "
                "take the list without Tele in its name"
            )
        if (scene, int(frame)) in found:
            raise DataError(f"{path}, line {number}: {scene}/{frame} is listed twice")
        found[scene, int(frame)] = Pair(f"{scene}/{frame}", scene, path.parent / blur, path.parent / sharp)
    return [found[key] for key in sorted(found)]
