"""The embedded benchmark: where its photographs come from, how they are split, and that a cache is whole."""

import errno
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hydra.utils import instantiate

from deblur_lit.config import compose
from deblur_lit.data import mini
from deblur_lit.data.images import RGB, read_rgb, write_png
from deblur_lit.data.mini import SCENES, Mini, cache_folder, manifest, read_scene, scene_files, scene_size
from deblur_lit.data.paired_folder import PairedFolder
from deblur_lit.data.synthesis import Camera

DATA = ("mini", "mini_gamma")
FREE = re.compile(r"CC0-1\.0|CC-BY(-SA)?-[34]\.0|L?GPL-[23]\.0-(only|or-later)|LicenseRef-[\w-]+")
LISTED: dict[str, Any] = yaml.safe_load((SCENES / "manifest.yaml").read_text(encoding="utf-8"))


def tiny(cache: Path, **changes: Any) -> Mini:
    """Two scenes, one pair each, 48x64."""
    recipe = Mini(
        name="mini",
        response="identity",
        splits={"train": ["coffee"], "test": ["leaf"]},
        pairs_per_scene={"train": 1, "test": 1},
        frame_size=(48, 64),
        seed=0,
        foreground_share=0.5,
        camera=Camera(),
        cache=cache,
    )
    return replace(recipe, **changes)


def full(data: str = "mini") -> Mini:
    return instantiate(compose("train", [f"data={data}"]).data.root)


def psnr(blur: RGB, sharp: RGB) -> float:
    return float(10 * np.log10(255**2 / np.mean((blur.astype(float) - sharp) ** 2)))


def test_a_build_is_a_paired_folder_of_the_asked_size(tmp_path: Path) -> None:
    root = tiny(tmp_path).root()
    pairs = PairedFolder(root, "train")
    blur, sharp = pairs.read(0)
    assert pairs.names == ["coffee/000001"]
    assert PairedFolder(root, "test").names == ["leaf/000001"]
    assert blur.shape == sharp.shape == (48, 64, 3)
    assert (root / "credits.yaml").read_text(encoding="utf-8").count("author:") == len(manifest())


def test_two_builds_are_equal_and_a_pair_depends_on_no_other(tmp_path: Path) -> None:
    first = tiny(tmp_path / "a")
    second = tiny(tmp_path / "b", splits={"test": ["leaf"]}, pairs_per_scene={"test": 3})
    for side, image in zip(("blur", "sharp"), first.pair("leaf", 1), strict=True):
        for root in (first.root(), second.root()):
            assert (read_rgb(root / "test" / "leaf" / side / "000001.png") == image).all()


def test_a_finished_build_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tiny(tmp_path).root()
    monkeypatch.setattr(Mini, "_build", None)  # calling it would fail
    assert tiny(tmp_path).root() == root


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"frame_size": (32, 64)}, {"foreground_share": 0.0}, {"camera": Camera(rotation=0)}],
    ids=lambda change: next(iter(change)),
)
def test_another_recipe_has_another_folder(tmp_path: Path, change: dict[str, Any]) -> None:
    assert tiny(tmp_path)._folder() != tiny(tmp_path, **change)._folder()


def test_other_photographs_or_code_have_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tiny(tmp_path)._folder()
    with monkeypatch.context() as patch:
        patch.setitem(manifest()["leaf"], "files", ["moss.webp"])
        assert tiny(tmp_path)._folder() != before
    (tmp_path / "synthesis.py").write_text("# another camera\n")
    monkeypatch.setattr(mini.synthesis, "__file__", str(tmp_path / "synthesis.py"))
    assert tiny(tmp_path)._folder() != before


def test_the_folder_says_the_response(tmp_path: Path) -> None:
    assert tiny(tmp_path)._folder().name.startswith("mini-identity-")
    assert tiny(tmp_path, name="mini_gamma", response="gamma")._folder().name.startswith("mini-gamma-")


def test_an_interrupted_build_leaves_nothing_and_the_next_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(path: Path, image: RGB) -> None:
        if "test" in path.parts:
            raise KeyboardInterrupt
        write_png(path, image)

    monkeypatch.setattr(mini, "write_png", interrupt)
    with pytest.raises(KeyboardInterrupt):
        tiny(tmp_path).root()
    monkeypatch.undo()
    assert not list(tmp_path.iterdir())
    assert len(PairedFolder(tiny(tmp_path).root(), "test")) == 1


def test_the_rest_of_a_killed_build_is_not_used(tmp_path: Path) -> None:
    folder = tiny(tmp_path)._folder()
    (tmp_path / f".{folder.name}.0123abcd.part" / "train" / "coffee").mkdir(parents=True)
    assert not folder.exists()
    assert len(PairedFolder(tiny(tmp_path).root(), "train")) == 1


def test_the_slower_of_two_builds_uses_what_the_faster_one_made(tmp_path: Path) -> None:
    class Slow(Mini):
        def _build(self, folder: Path) -> None:
            super()._build(folder)
            faster = tiny(tmp_path).root()
            (faster / "mark").touch()

    root = Slow(**vars(tiny(tmp_path))).root()
    assert (root / "mark").exists()
    assert list(tmp_path.iterdir()) == [root]


def test_a_cache_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=f"{tmp_path}/file/deeper.*data.root.cache or XDG_CACHE_HOME"):
        tiny(tmp_path / "file" / "deeper").root()


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(path: Path, image: RGB) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(mini, "write_png", full_disk)
    with pytest.raises(OSError, match=f"{tmp_path} \\(No space left on device\\): free some space") as caught:
        tiny(tmp_path).root()
    assert caught.value.errno == errno.ENOSPC
    assert not list(tmp_path.iterdir())


def test_the_cache_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "deblur_lit"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "deblur_lit"
    assert cache_folder("~/elsewhere") == Path.home() / "elsewhere"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"response": "gamma"}, "name='mini', but response='gamma' belongs to data=mini_gamma"),
        ({"response": "linear"}, "response='linear' is unknown; there is identity and gamma"),
        ({"splits": {"train": ["coffee"], "test": ["coffee"]}}, "'coffee' stands twice"),
        ({"splits": {"train": ["coffee"], "test": ["tea"]}}, "scene 'tea' is not in .*; there is astronaut"),
        ({"pairs_per_scene": {"train": 1}}, r"pairs_per_scene has \['train'\], splits \['test', 'train'\]"),
        ({"frame_size": (300, 320)}, "'coffee' is 384x320, smaller than a frame with its margins, 364x344"),
    ],
)
def test_an_impossible_recipe_is_refused_by_name(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        tiny(tmp_path, **change)


def test_a_missing_photograph_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(manifest()["coffee"], "files", ["tea.png"])
    with pytest.raises(FileNotFoundError, match=r"data/tea\.png, .* 'coffee', is missing: reinstall scikit-image"):
        scene_files("coffee")


@pytest.mark.parametrize("data", DATA)
def test_the_data_name_says_the_response(data: str) -> None:
    recipe = full(data)
    assert recipe.name == data
    assert recipe.response == ("gamma" if data == "mini_gamma" else "identity")
    with pytest.raises(Exception, match="choose that, so that results say"):
        instantiate(compose("train", [f"data={data}", f"data.name={'x' + data}"]).data.root)


@pytest.mark.parametrize("data", DATA)
def test_every_scene_is_in_exactly_one_split(data: str) -> None:
    splits = full(data).splits
    scenes = [scene for split in splits.values() for scene in split]
    assert sorted(scenes) == sorted(manifest())
    assert {split: len(names) for split, names in splits.items()} == {"train": 14, "val": 4, "test": 8}


def test_both_views_of_the_motorcycle_are_one_scene() -> None:
    left, right = read_scene("motorcycle")
    assert left.shape == right.shape
    assert (left != right).any()
    originals = [original for entry in manifest().values() for original in entry["original"].split(", ")]
    assert len(originals) == len(set(originals)) == len(manifest()) + 1  # no photograph in two scenes


@pytest.mark.parametrize("scene", sorted(manifest()))
def test_every_scene_has_author_licence_source_and_pictures_of_its_size(scene: str) -> None:
    entry = manifest()[scene]
    package = LISTED["packages"][entry["package"]]
    assert entry["title"]
    assert entry["author"]
    assert entry["original"]
    assert FREE.fullmatch(entry["license"]), entry["license"]
    assert entry["license"].startswith("LicenseRef") == ("note" in entry)
    assert package["version"]
    assert package["url"].startswith("https://")
    assert all(picture.shape == (*scene_size(scene), 3) for picture in read_scene(scene))


def test_every_committed_photograph_is_listed_lossless_and_small() -> None:
    files = {path.name for path in SCENES.glob("*.webp")}
    assert len(files) >= 18
    assert files == {name for entry in manifest().values() for name in entry["files"] if name.endswith(".webp")}
    for name in files:
        assert (SCENES / name).stat().st_size < 500_000
        assert (SCENES / name).read_bytes()[12:16] == b"VP8L"


@pytest.mark.long
@pytest.mark.parametrize("data", DATA)
def test_the_blurred_test_images_are_between_22_and_28_db(data: str, tmp_path: Path) -> None:
    pairs = PairedFolder(replace(full(data), cache=tmp_path).root(), "test")
    assert len(pairs) == 16
    assert 22 <= np.mean([psnr(*pairs.read(index)) for index in range(len(pairs))]) <= 28
