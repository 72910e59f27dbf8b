"""`deblur-lit figure`: evaluated systems side by side, as PNG and PDF and as a page to compare them on."""

import argparse
import io
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from deblur_lit.figure.systems import PAPER, System, open_systems

if TYPE_CHECKING:
    from PIL import Image

    from deblur_lit.data.pairs import PairList
    from deblur_lit.figure.scenes import Crop, Scene

CROPS = 2  # of a frame at most, and where none is given
_DESCRIPTION = """Draw frames with marked crops, and beside each the crops enlarged: blurred, sharp, and each system in
the order given, with the PSNR of the full frame from the system's per_image.csv. Writes PNG and PDF, both without loss,
and a page to compare the systems on."""


class Shown(NamedTuple):
    """An image that was asked for, with its crops."""

    name: str
    crops: "list[Crop]"


def main(arguments: Sequence[str]) -> int:
    """Run `deblur-lit figure <arguments>` and return its exit status.

    Raises:
        ValueError, OSError: for what the user can put right; the message is one line.
    """
    options = _parser().parse_intermixed_args(arguments)
    from deblur_lit.data.named import chosen_splits, data_config, open_split
    from deblur_lit.figure.scenes import load, typical

    data = data_config(options.data, options.root)
    split = chosen_splits(data, [options.split or data.test])[0]
    stem = options.to or Path(f"figure-{options.data}-{split}")
    for file in filter(None, (stem, options.html)):
        if not file.parent.is_dir():
            raise FileNotFoundError(f"{file}: there is no folder {file.parent}; make it or choose another")
    systems = open_systems(options.systems, options.data)
    pairs = open_split(data, split)
    asked = {shown.name: shown.crops for shown in options.shown if shown.name}
    notes = dict.fromkeys(asked, "") or typical(systems[-1])
    scenes = [load(pairs, name, note, systems) for name, note in notes.items()]
    for_all = [crop for shown in options.shown if not shown.name for crop in shown.crops]
    _write_figure(options, stem, scenes, [asked.get(scene.name) or for_all for scene in scenes], systems[-1].protocol)
    if options.html:
        _write_page(options, pairs, scenes, systems, f"{data.title} {split}")
    return 0


def _write_figure(
    options: argparse.Namespace, stem: Path, scenes: "list[Scene]", given: "list[list[Crop]]", protocol: str
) -> None:
    from deblur_lit.figure import sheet
    from deblur_lit.figure.pdf import pdf_of_png
    from deblur_lit.figure.scenes import place_crops

    crops = place_crops(scenes, given, CROPS)
    factor = options.zoom or sheet.enlargement(crops[0][0])
    grid = sheet.lay_out(scenes, crops, factor)
    drawn = sheet.draw(scenes, crops, grid, options.enlarge, options.font)
    caption = f"Crops enlarged {factor} times ({options.enlarge}). PSNR: {protocol} of the full frames."
    png = _png(drawn, grid.width / sheet.PAGE, caption)
    for suffix, content in ((".png", png), (".pdf", pdf_of_png(png, sheet.PAGE * 72, caption))):
        path = stem.with_name(stem.name + suffix)
        path.write_bytes(content)
        print(f"{path}: {len(content) / 1e6:.1f} MB", flush=True)
    print(caption)
    for scene, places in zip(scenes, crops, strict=True):
        why = f" ({scene.note})" if scene.note else ""
        print(f"{scene.name}{why}: " + " ".join(f"--crop {crop}" for crop in places), flush=True)


def _png(picture: "Image.Image", dpi: float, caption: str) -> bytes:
    from PIL.PngImagePlugin import PngInfo

    about = PngInfo()
    about.add_text("Description", caption)
    file = io.BytesIO()
    picture.save(file, "PNG", dpi=(dpi, dpi), pnginfo=about)
    return file.getvalue()


def _write_page(
    options: argparse.Namespace, pairs: "PairList", scenes: "list[Scene]", systems: list[System], title: str
) -> None:
    from deblur_lit.figure.page import Cases, page

    cases = Cases.of(systems[-1], [scene.name for scene in scenes], options.cases)
    text = page(title, pairs, systems, cases)
    options.html.write_text(text, encoding="utf-8")
    told = f"{len(cases.names)} of {len(systems[-1].rows)} images have pictures, the table has all"
    print(f"{options.html}: {len(text) / 1e6:.1f} MB; {told}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="deblur-lit figure",
        description=textwrap.fill(_DESCRIPTION, 100),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", metavar="NAME", help="data set: stem of conf/data")
    parser.add_argument(
        "systems",
        nargs="*",
        metavar="[LABEL=]FOLDER",
        help=f"what `deblur-lit evaluate data=NAME save=true` wrote (default: evaluations/SYSTEM/NAME of the paper's: "
        f"{', '.join(PAPER)})",
    )
    parser.add_argument("--root", type=Path, help="folder of the data (default: the YAML's, below DATA_ROOT)")
    parser.add_argument("--split", help="which split was evaluated (default: the test split)")
    parser.add_argument(
        "--image",
        dest="shown",
        action=_AddImage,
        default=[],
        metavar="SEQUENCE/FRAME",
        help="show this one; repeat for more (default: the median, the best and the worst gain of the last system)",
    )
    parser.add_argument(
        "--crop",
        dest="shown",
        action=_AddCrop,
        metavar="X,Y,W,H",
        help="left, top, width and height in pixels, of the --image before it or else of all; up to twice (default: "
        "the two ninths of the frame with the most contrast in sharp)",
    )
    parser.add_argument("--zoom", type=_positive, metavar="N", help="whole factor of enlargement (default: by width)")
    parser.add_argument("--enlarge", choices=("nearest", "lanczos"), default="nearest", help="default: %(default)s")
    parser.add_argument("--font", type=Path, metavar="FILE", help="TrueType font for labels that are not Western")
    parser.add_argument(
        "--to", type=Path, metavar="STEM", help="write STEM.png and STEM.pdf (default: figure-NAME-SPLIT)"
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write a page that needs nothing but itself")
    parser.add_argument(
        "--cases",
        type=_positive,
        default=2,
        metavar="N",
        help="best and worst images whose pictures the page holds beside those shown (default: %(default)s each)",
    )
    return parser


class _AddImage(argparse.Action):
    """Begin an image, to which the crops behind it belong."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        namespace.shown = [*namespace.shown, Shown(str(values), [])]


class _AddCrop(argparse.Action):
    """Add a crop to the image before it, to a nameless one where there is none."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        from deblur_lit.figure.scenes import Crop

        sides = str(values).split(",")
        if len(sides) != 4 or not all(side.isdecimal() for side in sides):
            parser.error(f"argument --crop: {values!r} is not X,Y,W,H in whole pixels")
        name, crops = namespace.shown[-1] if namespace.shown else Shown("", [])
        if len(crops) == CROPS:
            parser.error(f"argument --crop: {values} is one too many, a frame has up to {CROPS}")
        namespace.shown = [*namespace.shown[:-1], Shown(name, [*crops, Crop(*map(int, sides))])]


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 up")
    return int(text)
