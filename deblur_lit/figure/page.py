"""The page: a slider between any two pictures of an image, and a table of all values. It needs nothing but itself."""

import math
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from PIL import Image
from rich.console import Console
from rich.progress import track

from deblur_lit.data.pairs import PairList
from deblur_lit.figure.scenes import load, ranked
from deblur_lit.figure.systems import BLURRED, System, of_blur
from deblur_lit.metrics.protocols import PROTOCOLS
from deblur_lit.web import POLICY, part, picture, script_data

TEMPLATE, STYLE, SCRIPT = "page.html", "page.css", "page.js"


@dataclass(frozen=True)
class Cases:
    """The images whose pictures the page holds.

    Attributes:
        chosen: those of the figure.
        worst: those with the smallest gain of the last system, the smallest first.
        best: those with the largest, the largest first.
    """

    chosen: list[str]
    worst: list[str]
    best: list[str]

    @classmethod
    def of(cls, system: System, chosen: Sequence[str], number: int) -> "Cases":
        """Choose `number` images at either end."""
        images = ranked(system)
        return cls(list(chosen), images[:number], images[::-1][:number])

    @property
    def names(self) -> list[str]:
        """Each image once."""
        return list(dict.fromkeys([*self.chosen, *self.worst, *self.best]))


def page(title: str, pairs: PairList, systems: Sequence[System], cases: Cases) -> str:
    """Return the page as HTML; the pictures are lossless WebP inside of it.

    Args:
        title: of the data.
        pairs: the data.
        systems: at least one, of the same images.
        cases: whose pictures the page holds.

    Raises:
        ValueError, OSError: if a picture is missing, does not fit, or cannot be read.
    """
    scenes = {}
    console = Console(stderr=True)
    for name in track(cases.names, "embedding pictures", console=console, transient=True):
        scene = load(pairs, name, "", systems)
        scenes[name] = {label: picture(Image.fromarray(pixels)) for label, pixels in scene.pictures.items()}
    images = list(systems[-1].rows)
    data = {
        "images": images,
        "columns": list(_columns(systems, images)),
        "protocols": {name: _legend(name) for name in _protocols(systems)},
        "shown": systems[-1].protocol,
        "last": systems[-1].label,
        "pictures": scenes,
        "cases": {"shown": cases.chosen, "worst": cases.worst, "best": cases.best},
    }
    held = "all" if len(cases.names) == len(images) else f"{len(cases.names)} of the"
    summary = (
        f"{len(images)} images, restored by {_and(system.label for system in systems)}. The table has the values of "
        f"all images; pictures are here of {held} {len(images)}: those of the figure, and those with the smallest and "
        f"the largest gain of {systems[-1].label} over the blurred input."
    )
    origins = "".join(f"<li><b>{escape(system.label)}</b>: {escape(system.origin)}</li>" for system in systems)
    return string.Template(part(TEMPLATE, __package__)).substitute(
        title=escape(title),
        summary=escape(summary),
        origins=origins,
        policy=POLICY,
        style=part("base.css") + part("slider.css") + part(STYLE, __package__),
        script=part("elements.js") + part("slider.js") + part(SCRIPT, __package__),
        data=script_data(data),
    )


def _protocols(systems: Sequence[System]) -> list[str]:
    return list(dict.fromkeys(protocol for system in systems for protocol in system.protocols))


def _legend(protocol: str) -> dict[str, str]:
    known = PROTOCOLS.get(protocol)
    return (
        {"unit": known.unit, "text": f"{known.text}. Used by: {known.used_by}"} if known else {"unit": "", "text": ""}
    )


def _columns(systems: Sequence[System], images: Sequence[str]) -> Iterable[dict[str, Any]]:
    """Yield label, protocol and values of each column; blurred values are in every table and taken from the last."""
    for protocol in _protocols(systems):
        if all(of_blur(protocol) in row for row in systems[-1].rows.values()):
            yield _column(BLURRED, protocol, [systems[-1].rows[image][of_blur(protocol)] for image in images])
        for system in systems:
            if protocol in system.protocols:
                yield _column(system.label, protocol, [system.rows[image][protocol] for image in images])


def _column(label: str, protocol: str, values: Sequence[float]) -> dict[str, Any]:
    shown = [value if math.isfinite(value) else {math.inf: "Infinity"}.get(value, "NaN") for value in values]
    return {"label": label, "protocol": protocol, "values": shown}


def _and(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
