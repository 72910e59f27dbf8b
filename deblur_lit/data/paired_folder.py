"""Folders of blurred and sharp files, read where they lie and matched by name, never by order."""

from collections.abc import Collection
from pathlib import Path

from deblur_lit.data.faults import DataError, refuse
from deblur_lit.data.pairs import Pair, PairList, existing_folder, select_sequences, some

SUFFIXES = (".png", ".jpg", ".jpeg")
_CROPS = {"input_crops", "target_crops", "blur_crops", "sharp_crops"}  # of Restormer's and NAFNet's preparation


class PairedFolder(PairList):
    """One split of a data set in a folder: GoPro's own layout, or the flat copies that other projects made.

    Args:
        root: holds the split; `<split>/<sequence>/{blur,sharp}/<frame>.png` (GoPro),
            `<split>/{blur,sharp}/<sequence>_<frame>.png` (MIMO-UNet) or
            `<split>/{input,target}/<sequence>-<frame>.png` (MPRNet), told apart by the folder names.
        split: name of the folder, such as `train` or `test`.
        blur_folder: `blur`, or `blur_gamma` for GoPro's other version, which flat copies lack.
        sharp_folder: `sharp`.
        sequences: keep only these; all by default.
        exclude: leave these sequences out.
        subset: folder inside the split to read instead of it where it exists: Restormer keeps its test sets
            in `test/{GoPro,HIDE}/{input,target}`.

    Raises:
        FileNotFoundError: if the folder is missing; names the nearest one that exists.
        ValueError: if a file lacks its partner, a sequence is empty or unknown, or nothing is found; names the
            likely cause.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        blur_folder: str = "blur",
        sharp_folder: str = "sharp",
        sequences: Collection[str] | None = None,
        exclude: Collection[str] = (),
        subset: str | None = None,
    ) -> None:
        folder = existing_folder(Path(root) / split)
        nameless = folder.name  # a flat file without sequence: the split stands for it
        if subset is not None and (folder / subset).is_dir():
            folder = folder / subset
        pairs, layout = find_pairs(folder, blur_folder, sharp_folder, nameless)
        super().__init__(select_sequences(pairs, folder, sequences, exclude), layout)


def find_pairs(folder: Path, blur: str, sharp: str, nameless: str) -> tuple[list[Pair], str]:
    """Detect the layout below a split; return its pairs in order of their names, and the layout in words.

    Args:
        folder: of the split.
        blur: name of the folders of blurred files.
        sharp: name of the folders of sharp files.
        nameless: sequence of flat files whose names hold none.

    Raises:
        DataError: as `PairedFolder` does.
    """
    children = sorted(path for path in folder.iterdir() if path.is_dir())
    tops = {path.name for path in children}
    nested = [path for path in children if any((path / side).is_dir() for side in (blur, sharp, "blur_gamma"))]
    layouts = [(blur, sharp, "_")] + [("input", "target", "-")] * (blur == "blur")  # what input/ always holds
    flats = [(b, s, mark) for b, s, mark in layouts if tops & {b, s}]
    if len(flats) + bool(nested) > 1:
        raise DataError(f"{folder} mixes layouts ({some(sorted(tops))}); keep one copy of the data there")
    pairs = []
    for path in nested:
        sides = path / blur, path / sharp
        filled = [side.is_dir() and bool(images_by_stem(side)) for side in sides]
        if not any(filled) or ((path / "blur_gamma").is_dir() and not all(filled)):
            refuse(_nothing_in(path, blur, sharp))
            continue
        pairs += [Pair(f"{path.name}/{frame}", path.name, *files) for frame, *files in match_by_name(*sides)]
    for b, s, mark in flats:
        for stem, *files in match_by_name(folder / b, folder / s):
            sequence, _, frame = stem.rpartition(mark)
            pairs.append(Pair(f"{sequence or nameless}/{frame}", sequence or nameless, *files))
    if not pairs:
        raise _nothing_in(folder, blur, sharp)
    tree = f"<sequence>/{{{blur},{sharp}}}/<frame>" if nested else f"{{{b},{s}}}/<sequence>{mark}<frame>"
    return sorted(pairs), tree


def _nothing_in(folder: Path, blur: str, sharp: str) -> DataError:
    """Return the error about a folder without pairs, with the likely cause where its contents tell one."""
    children = [path for path in folder.iterdir() if path.is_dir()]
    tops = {path.name for path in children}
    cause = ""
    if "blur_gamma" in tops:
        cause = "; blur_gamma is there: MIMO-UNet's preprocessing moves the other two out, into a flat copy: read that"
    elif tops & _CROPS:
        cause = "; it has crops, eight of each frame: point data.root to whole frames, cropped when they are read"
    elif "input" in tops:
        cause = "; input/ and target/ of a flat copy hold `blur`: use data=gopro, or the official tree"
    elif any(images_by_stem(path) for path in children):
        cause = "; its sequences have frames alone: GOPRO_Large_all is the source frames, GOPRO_Large the pairs"
    return DataError(f"{folder} has no pairs of {', '.join(SUFFIXES)} in {blur}/ and {sharp}/{cause}")


def match_by_name(blur: Path, sharp: Path) -> list[tuple[str, Path, Path]]:
    """Return (stem, blurred file, sharp file) of two folders; a file without partner is refused."""
    blurs, sharps = images_by_stem(existing_folder(blur)), images_by_stem(existing_folder(sharp))
    for here, there, other in ((blurs, sharps, sharp), (sharps, blurs, blur)):
        if lonely := [str(path) for stem, path in here.items() if stem not in there]:
            count = f"{len(lonely)} of {len(here)} files"
            refuse(
                DataError(
                    f"{count} have no partner of the same name in {other}: {some(lonely)}; with {len(here)} files "
                    f"against {len(there)} complete the download, or remove these",
                    "partner",
                )
            )
    return [(stem, path, sharps[stem]) for stem, path in blurs.items() if stem in sharps]


def images_by_stem(folder: Path) -> dict[str, Path]:
    """Return the images of a folder by stem; other files are ignored."""
    images: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
            if path.stem in images:
                raise DataError(f"{images[path.stem]} and {path} have one name; remove one of them")
            images[path.stem] = path
    return images
