"""Pictures of a sweep's rows: blur, restored and sharp, cut out of each row's validation.png."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from deblur_lit import web
from deblur_lit.report.sweep.jobs import PICTURE, Job

ZOOM = 3  # enlargement of the details in validation.png
FRAME_WIDTH = 640  # pixels to which whole frames are reduced
QUALITY = 88  # of a frame, WebP
LOSSLESS_PIXELS = 128 * 1024  # a detail up to this size keeps every pixel
DETAIL_QUALITY = 95  # of a larger one
BUDGET = 6_000_000  # characters of all pictures of a data set: then no more images are shown
REDUCED = f"Frames are reduced to {FRAME_WIDTH} px and compressed (WebP {QUALITY}); details keep every pixel"
KINDS = ("detail", "frame")


@dataclass
class Pictures:
    """The pictures of one data set.

    Attributes:
        uris: each picture once.
        images: names in order.
        places: by image and kind (`detail`, `frame`): row, or "blur" and "sharp", to the index of its picture.
        source: by row where its pictures are from.
        missing: by row why it has none.
        left_out: images that would have made the page too large.
    """

    uris: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    places: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    source: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def cut(rows: Mapping[str, Sequence[Job]]) -> Pictures:
    """Return the pictures of each row's first seed that has some."""
    found = Pictures()
    indices: dict[str, int] = {}
    sheets = {}
    for row, jobs in rows.items():
        held = [job for job in jobs if (job.path / PICTURE).is_file()]
        if not held:
            found.missing[row] = f"no {PICTURE} yet" if jobs else "no run"
            continue
        try:
            status = (held[0].path / PICTURE).stat()
            sheets[row] = read_sheet(held[0].path / PICTURE, status.st_mtime_ns, status.st_size)
        except (OSError, ValueError) as error:
            found.missing[row] = f"{held[0].folder}/{PICTURE} cannot be cut: {error}"
            continue
        seed = "" if held[0].seed is None else f"seed {held[0].seed}, "
        found.source[row] = f"{seed}step {sheets[row].step}"
    for name in dict.fromkeys(name for sheet in sheets.values() for name in sheet.images):
        mine = {row: sheet.images[name] for row, sheet in sheets.items() if name in sheet.images}
        new = {uri for kinds in mine.values() for labels in kinds.values() for uri in labels.values()} - indices.keys()
        if sum(map(len, [*found.uris, *new])) > BUDGET:
            found.left_out.append(name)
            continue
        found.images.append(name)
        found.places[name] = {kind: {} for kind in KINDS}
        for row, kinds in mine.items():
            for kind in KINDS:
                for label, uri in kinds[kind].items():
                    if uri not in indices:
                        indices[uri] = len(found.uris)
                        found.uris.append(uri)
                    found.places[name][kind][f"row {row}" if label == "restored" else label] = indices[uri]
    return found


@dataclass(frozen=True)
class Sheet:
    """A cut validation.png: the step after which it was written, and data URIs by image, kind and label."""

    step: int
    images: dict[str, dict[str, dict[str, str]]]


@lru_cache(maxsize=64)  # while a sweep is watched, a picture is cut again only when it changed
def read_sheet(path: Path, modified: int, size: int) -> Sheet:
    """Cut a validation.png as it itself says.

    Args:
        path: the file.
        modified: when it was written and
        size: its bytes: another file of the same name is read again.

    Raises:
        OSError, ValueError: if it is no picture, or does not say where its parts lie.
    """
    from PIL import Image

    with Image.open(path) as sheet:
        sheet.load()
        text = getattr(sheet, "text", {}).get("panels")
        if text is None:
            raise ValueError("it does not say where its pictures lie; a run of this version writes that")
        rgb = sheet.convert("RGB")
    try:
        about = json.loads(text)
        images = {
            str(image["name"]): {
                kind: {
                    label: _reduce(rgb.crop(_box(image["panels"][kind][label], rgb.size)), kind)
                    for label in ("blur", "restored", "sharp")
                }
                for kind in KINDS
            }
            for image in about["images"]
        }
        return Sheet(int(about["step"]), images)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"what it says of its pictures is damaged ({error!r})") from None


def _box(box: Any, size: tuple[int, int]) -> tuple[int, int, int, int]:
    left, top, right, bottom = map(int, box)
    if not (0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]):
        raise ValueError(f"it says that a picture lies at {box}, outside of its {size[0]}x{size[1]} pixels")
    return left, top, right, bottom


def _reduce(picture: Any, kind: str) -> str:
    """Return a part of a sheet as it goes into the page."""
    from PIL import Image

    width, height = picture.size
    if kind == "detail":
        small = picture.resize((max(1, width // ZOOM), max(1, height // ZOOM)), Image.Resampling.NEAREST)
        quality = None if small.size[0] * small.size[1] <= LOSSLESS_PIXELS else DETAIL_QUALITY
        return _encode(small.tobytes(), small.size, quality)
    if width > FRAME_WIDTH:
        picture = picture.resize((FRAME_WIDTH, round(height * FRAME_WIDTH / width)), Image.Resampling.LANCZOS)
    return _encode(picture.tobytes(), picture.size, QUALITY)


@lru_cache(maxsize=64)  # blur and sharp are the same in all rows
def _encode(pixels: bytes, size: tuple[int, int], quality: int | None) -> str:
    from PIL import Image

    return web.picture(Image.frombytes("RGB", size, pixels), quality)
