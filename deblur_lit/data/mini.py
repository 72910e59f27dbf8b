"""The embedded benchmark: pairs made from photographs that come with the package, built once into a cache."""

import hashlib
import json
import shutil
import uuid
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from rich.console import Console
from rich.progress import track

from deblur_lit.data import synthesis
from deblur_lit.data.images import RGB, read_rgb, write_png
from deblur_lit.data.synthesis import Camera, ResponseName, synthesize
from deblur_lit.user_cache import cache_folder

SCENES = Path(__file__).with_name("scenes")
NAMES: dict[str, str] = {"identity": "mini", "gamma": "mini_gamma"}  # what results are filed under
_INSTALLED = "scikit-image"  # the one package whose photographs are read where they are installed


class _Job(NamedTuple):
    split: str
    scene: str
    number: int  # from 1, within the scene
    others: list[str]  # scenes of the same split, which lend foregrounds


@dataclass(frozen=True)
class Mini:
    """Recipe of an embedded benchmark; `root()` is the folder of its pairs, built when it is first asked for.

    Args:
        name: `mini` for response `identity`, `mini_gamma` for `gamma`, so that a result says what it is of.
        response: `identity` averages encoded values (GoPro's `blur`), `gamma` linear light (`blur_gamma`).
        splits: names of the scenes of each split; a scene belongs to one split at most.
        pairs_per_scene: number of pairs made from each scene of a split.
        frame_size: (height, width) of the pairs, in pixels.
        seed: of all draws. A pair depends on it, on its scene and number and on the scenes of its split.
        foreground_share: probability that an object of another scene of the split moves in front.
        camera: ranges of the motion.
        cache: folder for built copies; by default `deblur_lit` in XDG_CACHE_HOME or in ~/.cache.

    Raises:
        ValueError: if name and response disagree, a scene is unknown, in two splits or smaller than a frame
            with its margins, or `pairs_per_scene` and `splits` name different splits.
    """

    name: str
    response: ResponseName
    splits: Mapping[str, Sequence[str]]
    pairs_per_scene: Mapping[str, int]
    frame_size: tuple[int, int]
    seed: int
    foreground_share: float
    camera: Camera
    cache: str | Path | None = None

    def __post_init__(self) -> None:
        if self.response not in NAMES:
            raise ValueError(f"response={self.response!r} is unknown; there is {' and '.join(NAMES)}")
        if self.name != NAMES[self.response]:
            raise ValueError(
                f"name={self.name!r}, but response={self.response!r} belongs to data={NAMES[self.response]}: "
                "choose that, so that results say what they were measured on"
            )
        if set(self.pairs_per_scene) != set(self.splits):
            raise ValueError(f"pairs_per_scene has {sorted(self.pairs_per_scene)}, splits {sorted(self.splits)}")
        scenes = self._scenes()
        height, width = (side + 2 * self.camera.margin for side in self.frame_size)
        for scene in scenes:
            if scene not in manifest():
                raise ValueError(f"scene {scene!r} is not in {SCENES}; there is {', '.join(sorted(manifest()))}")
            if scenes.count(scene) > 1:
                raise ValueError(f"scene {scene!r} stands twice in splits; a scene belongs to one split")
            size = scene_size(scene)
            if size[0] < height or size[1] < width:
                raise ValueError(
                    f"scene {scene!r} is {size[1]}x{size[0]}, smaller than a frame with its margins, "
                    f"{width}x{height}: choose a smaller frame_size or camera.margin"
                )

    def root(self) -> Path:
        """Return the folder with `<split>/<scene>/{blur,sharp}/<number>.png`; build it where it is missing.

        It appears whole or not at all: pairs are written to a folder beside it, which is renamed at the end.
        Where two processes build at once, the first to finish provides it; the other's copy is dropped.

        Raises:
            FileNotFoundError: if a photograph is missing from an installed package.
            OSError: if the cache cannot be written.
        """
        folder = self._folder()
        if folder.is_dir():
            return folder
        part = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.part")
        try:
            self._build(part)
            _move(part, folder)
        except OSError as error:
            raise OSError(
                error.errno,
                f"cannot write data={self.name} below {folder.parent} ({error.strerror or error}): free some "
                "space there, or choose another folder by data.root.cache or XDG_CACHE_HOME",
            ) from error
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return folder

    def pair(self, scene: str, number: int, others: Sequence[str] = ()) -> tuple[RGB, RGB]:
        """Make one pair.

        Args:
            scene: name in the manifest. Of a scene with two views, odd numbers show the first.
            number: from 1; another number is another motion.
            others: scenes that may lend the foreground; without any, the mirrored scene lends it.

        Returns:
            (blur, sharp), both (H, W, 3) uint8 of `frame_size`.
        """
        seed = hashlib.sha256(f"{self.seed}/{scene}/{number}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(seed[:7], "big"))
        photograph = self._cut(scene, number, generator)
        foreground = None
        if torch.rand((), generator=generator) < self.foreground_share:
            index = int(torch.randint(max(len(others), 1), (), generator=generator))
            foreground = self._cut(others[index] if others else scene, number, generator)
            foreground = foreground if others else foreground[:, ::-1]
        return synthesize(photograph, generator, self.camera, self.response, foreground)

    def _cut(self, scene: str, number: int, generator: torch.Generator) -> RGB:
        """Return a frame with its margins, at a random place of a scene."""
        pictures = read_scene(scene)
        picture = pictures[(number - 1) % len(pictures)]
        height, width = (side + 2 * self.camera.margin for side in self.frame_size)
        top = int(torch.randint(picture.shape[0] - height + 1, (), generator=generator))
        left = int(torch.randint(picture.shape[1] - width + 1, (), generator=generator))
        return picture[top : top + height, left : left + width]

    def _scenes(self) -> list[str]:
        return [scene for split in self.splits.values() for scene in split]

    def _folder(self) -> Path:
        """Return where this recipe is built; other settings, photographs or code make another name."""
        digest = hashlib.sha256(json.dumps(self._recipe(), sort_keys=True).encode())
        code = [Path(__file__), Path(synthesis.__file__), SCENES / "manifest.yaml"]
        photographs = [path for scene in self._scenes() for path in scene_files(scene)]
        for path in code + photographs:
            digest.update(path.read_bytes())
        return cache_folder(self.cache) / f"mini-{self.response}-{digest.hexdigest()[:12]}"

    def _recipe(self) -> dict[str, Any]:
        ranges = asdict(self.camera)
        return {
            "response": self.response,
            "splits": {split: list(scenes) for split, scenes in self.splits.items()},
            "pairs_per_scene": dict(self.pairs_per_scene),
            "frame_size": list(self.frame_size),
            "seed": self.seed,
            "foreground_share": self.foreground_share,
            "camera": {k: v if isinstance(v, int | float) else list(v) for k, v in ranges.items()},
        }

    def _jobs(self) -> Iterator[_Job]:
        for split, scenes in self.splits.items():
            for scene in scenes:
                for number in range(1, self.pairs_per_scene[split] + 1):
                    yield _Job(split, scene, number, [other for other in scenes if other != scene])

    def _build(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "recipe.yaml").write_text(yaml.safe_dump(self._recipe(), sort_keys=False), encoding="utf-8")
        shutil.copyfile(SCENES / "manifest.yaml", folder / "credits.yaml")  # licences ask for the authors' names
        jobs = list(self._jobs())
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # one thread per pair is twice as fast as all threads on one pair
        pool = ThreadPoolExecutor(threads)
        try:
            done = pool.map(partial(self._write, folder), jobs)
            bar = track(done, f"Building data={self.name}, once", len(jobs), console=Console(stderr=True))
            deque(bar, maxlen=0)
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(threads)

    def _write(self, folder: Path, job: _Job) -> None:
        pair = self.pair(job.scene, job.number, job.others)
        for side, image in zip(("blur", "sharp"), pair, strict=True):
            path = folder / job.split / job.scene / side / f"{job.number:06d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_png(path, image)


@cache
def manifest() -> dict[str, dict[str, Any]]:
    """Return the entries of scenes/manifest.yaml by the name of the scene."""
    return yaml.safe_load((SCENES / "manifest.yaml").read_text(encoding="utf-8"))["scenes"]


def scene_size(scene: str) -> tuple[int, int]:
    """Return (height, width) of the pictures of a scene, in pixels.

    Example:
        >>> scene_size("boats")
        (320, 384)
    """
    left, top, right, bottom = manifest()[scene]["crop"]
    reduction = manifest()[scene]["reduction"]
    return (bottom - top) // reduction, (right - left) // reduction


def scene_files(scene: str) -> list[Path]:
    """Return the files of a scene; it has more than one where they show the same place.

    Raises:
        FileNotFoundError: if a file is missing, with the package that should hold it.
    """
    installed = manifest()[scene]["package"] == _INSTALLED
    spec = find_spec("skimage") if installed else None
    folder = Path(spec.origin).with_name("data") if spec and spec.origin else SCENES
    files = [folder / name for name in manifest()[scene]["files"]]
    for path in files:
        if not path.is_file():
            package = _INSTALLED if installed else "deblur_lit"
            raise FileNotFoundError(f"{path}, the photograph of scene {scene!r}, is missing: reinstall {package}")
    return files


@cache
def read_scene(scene: str) -> list[RGB]:
    """Return the pictures of a scene, each (H, W, 3) uint8 of `scene_size`."""
    pictures = [read_rgb(path) for path in scene_files(scene)]
    if manifest()[scene]["package"] == _INSTALLED:
        left, top, right, bottom = manifest()[scene]["crop"]
        pictures = [picture[top:bottom, left:right] for picture in pictures]
    return pictures


def _move(part: Path, folder: Path) -> None:
    """Rename, unless another process was faster: its folder has the same contents."""
    try:
        part.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
