"""`deblur-lit data synthesize`: blurred and sharp pairs from a fast video, from frames or from sharp photographs."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import yaml

from deblur_lit import runs
from deblur_lit.data import exposures
from deblur_lit.data.exposures import Source
from deblur_lit.data.faults import DataError
from deblur_lit.data.folders import SPLITS
from deblur_lit.data.pair_maker import Job, Recipe, make_all, plan
from deblur_lit.data.synthesis import RESPONSES, Camera, check_response

MANIFEST = "manifest.yaml"  # written last
_BEGUN = ".manifest.yaml"  # what an interrupted call is doing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of the command."""
    parser.add_argument("kind", choices=("video", "frames", "photos"), help="frames: folders of consecutive frames")
    parser.add_argument("source", nargs="+", type=Path, help="video files, or folders of images")
    parser.add_argument("--to", required=True, type=Path, help="folder to write; read it by data=folder data.root=TO")
    parser.add_argument(
        "--average", type=int, nargs="+", default=[7, 13], metavar="M", help="frames of an exposure, or fewest and most"
    )
    parser.add_argument("--stride", type=int, help="frames between the beginnings of exposures (default: no overlap)")
    parser.add_argument(
        "--response", default="identity", help="identity (averages encoded values), gamma, or a file of 256 values"
    )
    parser.add_argument("--noise", type=float, default=0.0, help="added to the blurred side, in grey levels")
    parser.add_argument("--jpeg", type=int, metavar="QUALITY", help="write the blurred side as JPEG")
    parser.add_argument("--per-photo", type=int, default=4, help="pairs of each photograph (default: %(default)s)")
    parser.add_argument("--speed", type=float, nargs=2, help="photos: least and most pixels from frame to frame")
    parser.add_argument("--rotation", type=float, help="photos: largest turn in degrees")
    parser.add_argument("--zoom", type=float, help="photos: largest relative change of scale")
    parser.add_argument("--split", choices=SPLITS, help="all pairs into this one (default: divided by whole blocks)")
    parser.add_argument("--val-share", type=float, default=0.1, help="of the sequences (default: %(default)s)")
    parser.add_argument("--test-share", type=float, default=0.1, help="of the sequences (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of every draw (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=runs.cores(), help="threads (default: %(default)s)")


def run(options: argparse.Namespace) -> int:
    """Write what is missing of the pairs, then the manifest.

    Raises:
        ValueError, OSError: for sources or settings that cannot be used, a folder made with others, a full disk.
    """
    recipe = _recipe(options)
    sources = exposures.find_sources(recipe.kind, options.source)
    with runs.lock(options.to):
        manifest = {"recipe": _plain(recipe), "sources": {s.name: _describe(s) for s in sources}}
        _begin(options.to, manifest)
        jobs = plan(recipe, sources, options.to, options.val_share, options.test_share)
        make_all(recipe, [job for job in jobs if not (job.blur.is_file() and job.sharp.is_file())], options.jobs)
        pairs = {split: _numbers(options.to, split, jobs) for split in SPLITS}
        manifest["pairs"] = {split: numbers for split, numbers in pairs.items() if numbers}
        _write(options.to / _BEGUN, manifest)
        (options.to / _BEGUN).replace(options.to / MANIFEST)
    print(f"{len(jobs)} pairs of {len(sources)} sources in {options.to}, described by {MANIFEST}")
    print(f"train on it by: python -m deblur_lit.train data=folder data.root={options.to}", flush=True)
    return 0


def _recipe(options: argparse.Namespace) -> Recipe:
    """Check the settings and put them together."""
    photos = options.kind == "photos"
    least, most = options.average[0], options.average[-1]
    if len(options.average) > 2 or least < 1 or least > most or least % 2 == 0 or most % 2 == 0:
        raise ValueError(f"--average {options.average}: one odd number or two, as the middle frame is the sharp one")
    if options.stride is not None and (options.stride < 1 or photos):
        raise ValueError(f"--stride {options.stride}: a number of frames from 1 on, not with photos")
    if options.noise < 0 or (options.jpeg is not None and not 1 <= options.jpeg <= 100) or options.per_photo < 1:
        raise ValueError("--noise is 0 or more, --jpeg from 1 to 100, --per-photo 1 or more")
    wanted = {name: getattr(options, name) for name in ("speed", "rotation", "zoom")}
    given = {name: value for name, value in wanted.items() if value is not None}
    if given and not photos:
        raise ValueError(f"--{', --'.join(given)}: the camera moves by itself in a video; these are for photos")
    given |= {"speed": tuple(given["speed"])} if "speed" in given else {}
    camera = asdict(Camera(frames=(least, most), **given)) if photos else None
    curve = None if options.response in RESPONSES else _read_curve(Path(options.response))
    response = Path(options.response).name if curve else options.response
    return Recipe(
        options.kind, (least, most), options.stride, response, curve, options.noise, options.jpeg,
        options.per_photo, camera, options.split, options.seed,
    )  # fmt: skip


def _read_curve(path: Path) -> list[float]:
    """Read 256 numbers from a text file, one per level: the light that the camera encodes as it."""
    if not path.is_file():
        raise ValueError(f"--response {path}: neither {' nor '.join(RESPONSES)} nor a file")
    try:
        curve = [float(word) for word in path.read_text(encoding="utf-8").replace(",", " ").split()]
        check_response(torch.tensor(curve))
    except ValueError as error:
        raise ValueError(f"--response {path}: {error}") from error
    return curve


def _plain(recipe: Recipe) -> dict[str, Any]:
    fields = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(recipe).items()}
    if recipe.camera:
        fields["camera"] = {k: list(v) if isinstance(v, tuple) else v for k, v in recipe.camera.items()}
    return fields


def _describe(source: Source) -> dict[str, Any]:
    return {"file": source.path.name, "frames": source.frames, "sha256": exposures.source_hash(source)}


def _begin(folder: Path, manifest: dict[str, Any]) -> None:
    """Write down what is made in the folder; refuse one that something else is made in."""
    for name in (MANIFEST, _BEGUN):
        if (folder / name).is_file():
            there = yaml.safe_load((folder / name).read_text(encoding="utf-8"))
            before, now = (part.get("recipe", {}) | {"sources": part.get("sources")} for part in (there, manifest))
            if differ := sorted(key for key in {*before, *now} if before.get(key) != now.get(key)):
                raise DataError(
                    f"{folder} was begun with other settings ({', '.join(differ)}): choose another --to, or remove it"
                )
            return
    if others := [path.name for path in folder.iterdir() if not path.name.startswith(".")]:
        raise DataError(f"{folder} holds other files ({others[0]}): choose a new folder by --to")
    _write(folder / _BEGUN, manifest)


def _write(path: Path, manifest: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(manifest, sort_keys=False, default_flow_style=None), encoding="utf-8")


def _numbers(folder: Path, split: str, jobs: list[Job]) -> dict[str, list[list[int]]]:
    """Return for each sequence of a split the first frame and the number of frames of its exposures."""
    found: dict[str, list[list[int]]] = {}
    for job in jobs:
        place = job.sharp.relative_to(folder).parts
        if place[0] == split:
            found.setdefault(place[1], []).append([job.exposure.first, job.exposure.frames])
    return found
