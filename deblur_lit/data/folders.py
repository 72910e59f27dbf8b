"""Own data: any two folders, matched by name, with splits of their own or divided here."""

import re
from collections.abc import Collection
from pathlib import Path

from deblur_lit.data.faults import DataError, refuse
from deblur_lit.data.paired_folder import SUFFIXES
from deblur_lit.data.pairs import Pair, PairList, existing_folder, select_sequences, some

SPLITS = ("train", "val", "test")


class Folders(PairList):
    """One split of a folder of blurred and a folder of sharp images.

    Files are matched by their path below the two folders, without suffix. Where no two paths agree, what all
    names of a side begin and end with is left away first (`x_blur.png` and `x_sharp.png`, `blur_1` and `gt_1`).
    Each sequence may also hold the two folders itself, as GoPro's tree does: `<sequence>/{blur,sharp}/<frame>`.

    Where `root` holds a folder for a split, the two folders lie in it. Otherwise the last subfolders, or where
    there are fewer than three, the last images in order of their names are the test split, those before them
    the val split: whole blocks, because neighbouring frames of a video are nearly equal and would leak. Numbers in
    names count as numbers, so that frame 10 follows frame 9. Two folders with paths of their own are always divided.

    Args:
        root: folder of the data.
        split: `train`, `val` or `test`.
        blur: folder of blurred images, below `root` (or the split, or each sequence), or absolute.
        sharp: folder of sharp images, likewise.
        val_share: part of the data that is validated on, between 0 and 1; at least one subfolder or image.
        test_share: part of the data that is tested on, likewise.
        sequences: keep only these subfolders; all by default.
        exclude: leave these subfolders out.

    Raises:
        FileNotFoundError: if a folder is missing.
        ValueError: if files lack their partner, there are too few to divide, or a sequence is unknown.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        blur: str = "blur",
        sharp: str = "sharp",
        val_share: float = 0.1,
        test_share: float = 0.1,
        sequences: Collection[str] | None = None,
        exclude: Collection[str] = (),
    ) -> None:
        folder = existing_folder(Path(root))
        inside = not any(side.is_absolute() or ".." in side.parts for side in (Path(blur), Path(sharp)))
        given = [name for name in SPLITS if inside and _holds(folder / name, blur)]
        if split not in given and {*given} - {"test"}:
            raise DataError(
                f"{folder} has {' and '.join(given)}, but no {split}/{blur}: make it, hold subfolders of train out "
                "with data.val=[NAME,...], or set data.val=none"
            )
        if split in given:
            folder = folder / split
            pairs, layout = _find(folder, blur, sharp, split)
        else:
            pairs, layout = _find(folder, blur, sharp, "images")
            pairs = divide(pairs, folder, val_share, test_share)[split]
        super().__init__(select_sequences(pairs, folder, sequences, exclude), layout)


def _holds(folder: Path, blur: str) -> bool:
    """Tell whether a folder holds blurred images, or sequences that do."""
    return (folder / blur).is_dir() or bool(_sequences(folder, blur))


def _sequences(folder: Path, blur: str) -> list[Path]:
    children = sorted(folder.iterdir()) if folder.is_dir() and not Path(blur).is_absolute() else []
    return [path for path in children if (path / blur).is_dir()]


def _find(folder: Path, blur: str, sharp: str, top: str) -> tuple[list[Pair], str]:
    """Return the pairs below a folder, and how they lie; `top` is the sequence of files in no subfolder."""
    sequences = [] if (folder / blur).is_dir() else _sequences(folder, blur)
    if sequences:
        found = [pair for path in sequences for pair in _match(path / blur, path / sharp, path.name)]
        return found, f"<sequence>/{{{blur},{sharp}}}/<frame>"
    return _match(folder / blur, folder / sharp, top), f"{{{blur},{sharp}}}/<name>"


def _match(blur: Path, sharp: Path, top: str) -> list[Pair]:
    """Return the pairs of two folders in order of their names; `top` is the sequence of files in no subfolder."""
    blurs, sharps = _images(existing_folder(blur)), _images(existing_folder(sharp))
    tried = "by name"
    if blurs and sharps and not blurs.keys() & sharps.keys():
        tried = "by name, nor without what all names of a side begin and end with"
        blurs, sharps = _without_affixes(blurs), _without_affixes(sharps)
    lonely = [str(path) for name, path in blurs.items() if name not in sharps]
    widows = [str(path) for name, path in sharps.items() if name not in blurs]
    if lonely or widows:
        refuse(
            DataError(
                f"{blur} and {sharp} do not match {tried}: {len(lonely)} blurred images without a sharp one "
                f"({some(lonely) or 'none'}), {len(widows)} sharp ones without a blurred one "
                f"({some(widows) or 'none'}); rename or remove them",
                "partner",
            )
        )
        blurs = {name: path for name, path in blurs.items() if name in sharps}
    if not blurs:
        raise DataError(f"{blur} and {sharp} hold no images ({', '.join(SUFFIXES)})")
    if blur.resolve() == sharp.resolve():
        raise DataError(f"{blur} would be blurred and sharp side: set data.pairs.blur and data.pairs.sharp apart")
    pairs = []
    for name in sorted(blurs, key=natural_key):
        sequence, _, frame = name.rpartition("/")
        sequence = sequence or top
        pairs.append(Pair(f"{sequence}/{frame}", sequence, blurs[name], sharps[name]))
    return pairs


def natural_key(name: str) -> list[str | int]:
    """Return a sorting key in which numbers count as numbers."""
    return [int(part) if odd % 2 else part for odd, part in enumerate(re.split(r"(\d+)", name))]


def _images(folder: Path) -> dict[str, Path]:
    """Return images by their path below a folder, without suffix."""
    images: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
            name = path.relative_to(folder).with_suffix("").as_posix()
            if name in images:
                raise DataError(f"{images[name]} and {path} have one name; remove one of them")
            images[name] = path
    return images


def _without_affixes(images: dict[str, Path]) -> dict[str, Path]:
    """Return the images by what tells their names apart; digits always do, so they stay."""
    stems = [name.rpartition("/")[2] for name in images]
    suffix = _common_beginning([stem[::-1] for stem in stems])
    rest = [stem[: len(stem) - len(suffix)] for stem in stems]
    prefix = _common_beginning(rest)
    short = {}
    for name, stem in zip(images, rest, strict=True):
        parent, slash, _ = name.rpartition("/")
        short[f"{parent}{slash}{stem[len(prefix) :]}"] = images[name]
    return short


def _common_beginning(words: list[str]) -> str:
    """Return what all words begin with and go on after, up to a sign such as `_` or to where a number begins.

    So no number is cut, nor a name: of `night_1` and `noon_1` nothing is left away.
    """
    length = 0
    for letters in zip(*words, strict=False):
        if len(set(letters)) > 1:
            break
        length += 1
    for end in range(length, 0, -1):
        last, following = words[0][end - 1], [word[end : end + 1] for word in words]
        numbers = all(sign.isdigit() for sign in following)
        if all(following) and not last.isdigit() and (numbers or not last.isalnum()):
            return words[0][:end]
    return ""


def divide(pairs: list[Pair], folder: Path, val_share: float, test_share: float) -> dict[str, list[Pair]]:
    """Return the pairs of each split, cut in whole blocks as `Folders` says.

    Raises:
        DataError: if there are too few; names `folder`.
        ValueError: if the shares leave nothing to train on.
    """
    if not (0 < val_share < 1 and 0 < test_share < 1 and val_share + test_share < 1):
        raise ValueError(f"val_share={val_share} and test_share={test_share} must be above 0 and below 1 in sum")
    sequences = list(dict.fromkeys(pair.sequence for pair in pairs))
    units = [[pair for pair in pairs if pair.sequence == name] for name in sequences]
    by_image = len(units) < len(SPLITS)
    if by_image:
        units = [[pair] for pair in pairs]
    tests, vals = (max(1, round(share * len(units))) for share in (test_share, val_share))
    train = len(units) - vals - tests
    if train < 1:
        raise DataError(f"{folder}: {len(pairs)} pairs cannot be divided into train, val and test; give at least 3")
    parts = {"train": units[:train], "val": units[train : train + vals], "test": units[train + vals :]}
    divided = {split: [pair for unit in part for pair in unit] for split, part in parts.items()}
    if by_image:  # a sequence of its own for each block, as none may be both trained and validated on
        divided = {
            split: [pair._replace(name=f"{split}/{pair.name}", sequence=split) for pair in part]
            for split, part in divided.items()
        }
    return divided
