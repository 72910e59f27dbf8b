"""Every pair of a split decoded once: what is wrong with it, and what it says of the whole."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from deblur_lit.data.faults import DataError
from deblur_lit.data.images import RGB, ImageError, read_rgb
from deblur_lit.data.pairs import Pair, PairList, check_sizes, evenly
from deblur_lit.data.response import Conservation, conservation

SAMPLED = 12  # frames of a sequence, evenly spread, of which sharpness and light are measured


class Seen(NamedTuple):
    """What one pair showed. A digest is empty for an image that could not be read or is constant."""

    faults: list[DataError]
    blur: str = ""
    sharp: str = ""
    gradients: tuple[float, float] | None = None  # of blur and sharp, of sampled pairs
    light: Conservation | None = None


def look(pairs: PairList, official: Any, jobs: int, advance: Callable[[int, int], None]) -> list[Seen]:
    """Decode all pairs and return what each showed.

    Args:
        pairs: a split.
        official: what is published of the data set, None for own data.
        jobs: threads.
        advance: is told the number of pairs looked at so far and of all.
    """
    sampled = _sample(pairs.sequences)
    size = tuple(official.size) if official and official.size else None
    alike = re.compile(official.near_identity) if official and official.near_identity else None
    seen: list[Seen] = []
    with ThreadPoolExecutor(jobs) as pool:
        work = [pool.submit(_inspect, pair, index in sampled, size, alike) for index, pair in enumerate(pairs.pairs)]
        try:
            for one in work:
                seen.append(one.result())
                advance(len(seen), len(pairs))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return seen


def _sample(sequences: Sequence[str]) -> set[int]:
    """Return the indices of up to SAMPLED items of each sequence, evenly spread."""
    members: dict[str, list[int]] = defaultdict(list)
    for index, sequence in enumerate(sequences):
        members[sequence].append(index)
    return {indices[place] for indices in members.values() for place in evenly(len(indices), SAMPLED)}


def _inspect(pair: Pair, sampled: bool, size: tuple[int, ...] | None, alike: re.Pattern[str] | None) -> Seen:
    faults: list[DataError] = []
    images: list[RGB] = []
    for path in (pair.blur, pair.sharp):
        try:
            images.append(read_rgb(path))
        except ImageError as error:
            faults.append(error)
        except OSError as error:  # such as a link to nowhere, or no right to read
            faults.append(ImageError(f"{path}: {error.strerror or error}", "missing"))
    if faults:
        return Seen(faults)
    blur, sharp = images
    try:
        check_sizes(pair, blur, sharp)
    except ImageError as error:
        return Seen([error])
    if size and sharp.shape[:2] != size:
        found, stated = (f"{width}x{height}" for height, width in (sharp.shape[:2], size))
        faults.append(DataError(f"{pair.sharp} is {found}; the data set is published as {stated}", "size"))
    constant = [not np.ptp(image, axis=(0, 1)).any() for image in images]
    for path, is_constant in zip((pair.blur, pair.sharp), constant, strict=True):
        if is_constant:
            faults.append(DataError(f"{path}: all pixels are one colour; replace it or remove the pair", "constant"))
    may_be_alike = any(constant) or (alike is not None and alike.fullmatch(pair.name) is not None)
    if not may_be_alike and np.array_equal(blur, sharp):
        text = f"{pair.blur} and {pair.sharp} are the same image; one side was copied to the other"
        faults.append(DataError(text, "identical"))
    blur_digest, sharp_digest = ("" if flat else _digest(image) for image, flat in zip(images, constant, strict=True))
    if not sampled or may_be_alike:
        return Seen(faults, blur_digest, sharp_digest)
    gradients = _gradients(blur), _gradients(sharp)
    return Seen(faults, blur_digest, sharp_digest, gradients, conservation(blur, sharp))


def _digest(image: RGB) -> str:
    return hashlib.blake2b(image.data, digest_size=16, salt=str(image.shape[1]).encode()).hexdigest()


def _gradients(image: RGB) -> float:
    """Return the mean absolute difference of neighbours in green, in grey levels."""
    green = image[..., 1].astype(np.int16)
    return float(np.mean([np.abs(np.diff(green, axis=axis)).mean() if green.shape[axis] > 1 else 0 for axis in (0, 1)]))
