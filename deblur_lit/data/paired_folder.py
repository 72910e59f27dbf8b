"""Folders of blurred and sharp files, read where they lie and matched by name, never by order."""

from collections.abc import Collection
from pathlib import Path

from deblur_lit.data.pairs import Pair, PairList, existing_folder, select_sequences, some

SUFFIXES = (".png", ".jpg", ".jpeg")


class PairedFolder(PairList):
    """One split of a data set in a folder: GoPro's own layout, or the flat copies that other projects made.

    Args:
        root: holds the split; `<split>/<sequence>/{blur,sharp}/<frame>.png` (GoPro),
            `<split>/{blur,sharp}/<sequence>_<frame>.png` (MIMO-UNet) or
            `<split>/{input,target}/<sequence>-<frame>.png` (MPRNet), told apart by the folder names.
        split: name of the folder, such as `train` or `test`.
        blur_folder: `blur`, or `blur_gamma` for GoPro's other version.
        sharp_folder: `sharp`.
        sequences: keep only these; all by default.
        exclude: leave these sequences out.

    Raises:
        FileNotFoundError: if the folder is missing; names the nearest one that exists.
        ValueError: if a file lacks its partner, nothing is found, or a sequence is unknown.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        blur_folder: str = "blur",
        sharp_folder: str = "sharp",
        sequences: Collection[str] | None = None,
        exclude: Collection[str] = (),
    ) -> None:
        folder = existing_folder(Path(root) / split)
        super().__init__(select_sequences(_find_pairs(folder, blur_folder, sharp_folder), folder, sequences, exclude))


def _find_pairs(folder: Path, blur: str, sharp: str) -> list[Pair]:
    """Detect the layout below a split and return its pairs in order of their names."""
    children = sorted(path for path in folder.iterdir() if path.is_dir())
    tops = {path.name for path in children}
    nested = [path for path in children if (path / blur).is_dir() or (path / sharp).is_dir()]
    flats = [(b, s, mark) for b, s, mark in ((blur, sharp, "_"), ("input", "target", "-")) if tops & {b, s}]
    if len(flats) + bool(nested) > 1:
        raise ValueError(f"{folder} mixes layouts ({some(sorted(tops))}); keep one copy of the data there")
    pairs = [
        Pair(f"{path.name}/{frame}", path.name, *files)
        for path in nested
        for frame, *files in match_by_name(path / blur, path / sharp)
    ]
    for b, s, mark in flats:
        for stem, *files in match_by_name(folder / b, folder / s):
            sequence, _, frame = stem.rpartition(mark)
            sequence = sequence or folder.name  # a name without mark: the split stands for the sequence
            pairs.append(Pair(f"{sequence}/{frame}", sequence, *files))
    if not pairs:
        gamma = any(path.is_dir() for path in folder.glob("*/blur_gamma"))
        moved = "; blur_gamma is there: MIMO-UNet's preprocessing moves the other two out" if gamma else ""
        raise ValueError(f"{folder} has no pairs of {', '.join(SUFFIXES)} in {blur}/ and {sharp}/{moved}")
    return sorted(pairs)


def match_by_name(blur: Path, sharp: Path) -> list[tuple[str, Path, Path]]:
    """Return (stem, blurred file, sharp file) of two folders; a file without partner is a ValueError."""
    blurs, sharps = images_by_stem(existing_folder(blur)), images_by_stem(existing_folder(sharp))
    for here, there, other in ((blurs, sharps, sharp), (sharps, blurs, blur)):
        if lonely := [str(path) for stem, path in here.items() if stem not in there]:
            count = f"{len(lonely)} of {len(here)} files"
            raise ValueError(f"{count} have no partner of the same name in {other}: {some(lonely)}")
    return [(stem, path, sharps[stem]) for stem, path in blurs.items()]


def images_by_stem(folder: Path) -> dict[str, Path]:
    """Return the images of a folder by stem; other files are ignored."""
    images: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
            if path.stem in images:
                raise ValueError(f"{images[path.stem]} and {path} have one name; remove one of them")
            images[path.stem] = path
    return images
