"""Which restored file belongs to which sharp file, and their pixels. Whatever is in doubt is an error that names it."""

import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deblur_lit.metrics.levels import LevelPair

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".npy"}
LOSSY = {".jpg", ".jpeg", ".webp"}
_LISTED = 20  # names that an error lists before it stops


class Match(NamedTuple):
    """Two files of one image. `name` is the path below the folder, without extension."""

    name: str
    restored: Path
    sharp: Path


def match(restored: Path, sharp: Path) -> list[Match]:
    """Return the pairs of two folders, sorted by name, or the pair of two files, whatever their names.

    Raises:
        FileNotFoundError: if one of the two does not exist.
        ValueError: if one is a folder and the other a file, a folder has no images or two of one name, or an
            image has no partner; the message lists them and says which names differ in case alone.
    """
    for path in (restored, sharp):
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist; give two folders or two files of images")
    if restored.is_dir() != sharp.is_dir():
        folder, file = (restored, sharp) if restored.is_dir() else (sharp, restored)
        raise ValueError(f"{folder} is a folder and {file} a file; give two folders or two files")
    if restored.is_file():
        return [Match(sharp.stem, restored, sharp)]
    ours, theirs = _by_name(restored), _by_name(sharp)
    if ours.keys() != theirs.keys():
        raise ValueError(_mismatch(restored, sharp, ours.keys() - theirs.keys(), theirs.keys() - ours.keys()))
    pairs = [Match(name, ours[name], theirs[name]) for name in sorted(ours)]
    _say_other_extensions(pairs)
    return pairs


def _by_name(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        below = path.relative_to(folder)
        if path.suffix.lower() not in SUFFIXES or below.name.startswith(".") or not path.is_file():
            continue
        name = below.with_suffix("").as_posix()
        if name in found:
            raise ValueError(f"{found[name]} and {path} have one name without their extensions; remove one")
        found[name] = path
    if not found:
        raise ValueError(f"{folder} has no images ({', '.join(sorted(SUFFIXES))}); give a folder that has")
    return found


def _mismatch(restored: Path, sharp: Path, ours: Collection[str], theirs: Collection[str]) -> str:
    parts = [
        f"{len(names)} without a partner in {folder}: {_listed(sorted(names))}"
        for folder, names in ((restored, ours), (sharp, theirs))
        if names
    ]
    lower = {name.lower(): name for name in theirs}
    cases = [f"{name} and {lower[name.lower()]}" for name in sorted(ours) if name.lower() in lower]
    if cases:
        parts.append(f"names that differ in upper and lower case alone: {_listed(cases)}; rename one of each")
    return "images are matched by name, but " + "; ".join(parts)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def _say_other_extensions(pairs: Iterable[Match]) -> None:
    others = [pair for pair in pairs if pair.restored.suffix != pair.sharp.suffix]
    for before, after in sorted({(pair.restored.suffix, pair.sharp.suffix) for pair in others}):
        count = sum((pair.restored.suffix, pair.sharp.suffix) == (before, after) for pair in others)
        loss = " The lossy files are scored as they are, compression included." if LOSSY & {before, after} else ""
        print(
            f"note: {count} pairs differ in extension, {before} against {after}, and are matched without it.{loss}",
            file=sys.stderr,
        )


def read_pair(pair: Match) -> "LevelPair":
    """Return the pixels of two files.

    Raises:
        ValueError: if a file is not 8-bit RGB or float in [0, 1], or the two differ in size; it names the files.
        OSError: if a file cannot be read.
    """
    from deblur_lit.metrics.levels import LevelPair

    restored, sharp = read_image(pair.restored), read_image(pair.sharp)
    if restored.shape != sharp.shape:
        ours, theirs = (f"{image.shape[1]}x{image.shape[0]}" for image in (restored, sharp))
        raise ValueError(
            f"{pair.restored} is {ours} but {pair.sharp} is {theirs} (width x height); a pair needs one size"
        )
    return LevelPair(restored.transpose(2, 0, 1), sharp.transpose(2, 0, 1))


def read_image(path: Path) -> "NDArray[Any]":
    """Return (H, W, 3) RGB: uint8, or floats in [0, 1] of a .npy file or a 32-bit TIFF.

    Raises:
        ValueError: if it is anything else, has NaN or values outside [0, 1]; the message names the file.
        OSError: if it cannot be read.
    """
    from deblur_lit.data.images import read_rgb
    from deblur_lit.metrics.measure import check_range

    suffix = path.suffix.lower()
    if suffix not in (".npy", ".tif", ".tiff"):
        return read_rgb(path)
    image = _load_npy(path) if suffix == ".npy" else _load_tiff(path)
    kinds = ("float16", "float32", "float64", "uint8")
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0 or image.dtype.name not in kinds:
        what = f"shape {image.shape}, {image.dtype}"
        raise ValueError(f"{path}: {what}; give RGB (H, W, 3), floats in [0, 1] or 8 bits")
    check_range(str(path), image)
    return image


def _load_npy(path: Path) -> "NDArray[Any]":
    import numpy as np

    try:
        image: NDArray[Any] = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path}: no array of numbers ({error}); write it with numpy.save") from error
    return image


def _load_tiff(path: Path) -> "NDArray[Any]":
    import cv2

    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ValueError(f"{path}: no TIFF that can be read; copy it again or convert it to .npy")
    # OpenCV gives BGR; other numbers of channels are refused by the caller.
    return image[..., ::-1] if image.ndim == 3 and image.shape[2] == 3 else image
