"""HIDE: blurred files in folders of their split, one flat folder of sharp files for both splits."""

from collections.abc import Collection
from pathlib import Path

from deblur_lit.data.faults import DataError, refuse
from deblur_lit.data.paired_folder import images_by_stem, match_by_name
from deblur_lit.data.pairs import Pair, PairList, existing_folder, select_sequences, some


class Hide(PairList):
    """One split of HIDE; a pair is `<folder>/<stem>`, of the sequence that its folder of blurred files names.

    Args:
        root: holds `train/`, `test/{test-close-ups,test-long-shot}/` and `GT/` (the archive), or
            `<split>/{input,target}/` (MPRNet's flat copy), or that below `<split>/HIDE/` (Restormer's).
        split: `train` or `test`.
        sequences: keep only these folders; all by default.
        exclude: leave these folders out.

    Raises:
        FileNotFoundError: if a folder is missing.
        ValueError: if a blurred file has no sharp one of its name, or nothing is found.

    Source: Shen et al., ICCV 2019.
    """

    def __init__(
        self, root: str | Path, split: str, sequences: Collection[str] | None = None, exclude: Collection[str] = ()
    ) -> None:
        folder = existing_folder(Path(root) / split)
        folder = folder / "HIDE" if (folder / "HIDE").is_dir() else folder
        if (folder / "input").is_dir() or (folder / "target").is_dir():
            found = match_by_name(folder / "input", folder / "target")
            pairs = [Pair(f"{split}/{stem}", split, blur, sharp) for stem, blur, sharp in found]
            layout = "flat copy, {input,target}/<name>"
        else:
            pairs = _read_archive(folder, Path(root) / "GT")
            layout = "archive, <kind of shot>/<name> and GT/<name>"
        if not pairs:
            raise DataError(f"{folder} holds no images; HIDE has them in test-close-ups/ and test-long-shot/")
        super().__init__(select_sequences(sorted(pairs), folder, sequences, exclude), layout)


def _read_archive(folder: Path, ground_truth: Path) -> list[Pair]:
    """Return the pairs of a split; sharp files of the other split are no fault."""
    sharps = images_by_stem(existing_folder(ground_truth))
    pairs, lonely = [], []
    for place in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
        for stem, blur in images_by_stem(place).items():
            if stem in sharps:
                pairs.append(Pair(f"{place.name}/{stem}", place.name, blur, sharps[stem]))
            else:
                lonely.append(str(blur))
    if lonely:
        count = f"{len(lonely)} of {len(lonely) + len(pairs)} files"
        refuse(DataError(f"{count} have no partner of the same name in {ground_truth}: {some(lonely)}", "partner"))
    return pairs
