"""The list of photographs, and getting them."""

import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deblur_lit.config import compose
from deblur_lit.data import mini, photographs
from deblur_lit.data.photographs import archive_members, fetch, manifest, read

ORIGINAL = "usr/share/backgrounds/grey.png"


def debian_package(path: Path, files: dict[str, bytes]) -> None:
    """Write an `ar` archive with a data.tar.xz, as dpkg does."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    with path.open("wb") as file:
        file.write(b"!<arch>\n")
        for name, content in (("debian-binary", b"2.0"), ("data.tar.xz", data.getvalue())):
            file.write(f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode())
            file.write(content + b"\n" * (len(content) % 2))


@pytest.fixture
def listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A list of one photograph in one package, which is served from a file."""
    picture = io.BytesIO()
    Image.fromarray(np.full((9, 12), 77, np.uint8)).save(picture, "PNG")
    debian_package(tmp_path / "greys.deb", {ORIGINAL: picture.getvalue(), "usr/share/doc/greys": b"text"})
    entry = {
        "package": "greys", "original": ORIGINAL, "split": "train", "reduction": 3,
        "sha256": hashlib.sha256(picture.getvalue()).hexdigest(),
    }  # fmt: skip
    listed = {
        "mirror": "https://mirror/",
        "packages": {"greys": {"version": "1", "path": "greys.deb", "sha256": "abc"}},
        "photographs": {"grey": entry},
    }
    monkeypatch.setattr(photographs, "manifest", lambda: listed)
    monkeypatch.setattr(photographs, "download", lambda url, folder, sha256, advance: tmp_path / "greys.deb")
    return listed


def test_a_package_is_unpacked_once_and_its_photograph_read(
    tmp_path: Path, listing: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    [photograph] = fetch(tmp_path / "photos")
    assert (photograph.name, photograph.split) == ("grey", "train")
    assert np.array_equal(read(photograph), np.full((3, 4, 3), 77, np.uint8))
    assert [path.name for path in (tmp_path / "photos").rglob("*") if path.is_file()] == ["grey.png"]
    monkeypatch.setattr(photographs, "download", None)  # a second call has no need of it
    assert fetch(tmp_path / "photos") == [photograph]


def test_another_photograph_than_the_listed_one_is_refused(tmp_path: Path, listing: dict[str, Any]) -> None:
    listing["photographs"]["grey"]["sha256"] = "0" * 64
    with pytest.raises(ValueError, match="'grey', is missing or not the one"):
        fetch(tmp_path / "photos")


def test_what_is_no_package_or_cut_off_is_refused(tmp_path: Path, listing: dict[str, Any]) -> None:
    whole = (tmp_path / "greys.deb").read_bytes()
    (tmp_path / "cut.deb").write_bytes(whole[:-40])
    with pytest.raises(ValueError, match=r"cut\.deb is cut off"):
        list(archive_members(tmp_path / "cut.deb"))
    (tmp_path / "text.deb").write_bytes(b"<html>no such file</html>")
    with pytest.raises(ValueError, match=r"text\.deb is no Debian package"):
        list(archive_members(tmp_path / "text.deb"))


def test_every_photograph_has_its_author_licence_and_hash() -> None:
    listed = manifest()
    for entry in listed["photographs"].values():
        assert all(entry[key] for key in ("title", "author", "license", "original"))
        assert entry["package"] in listed["packages"]
        assert len(entry["sha256"]) == 64
        assert entry["split"] in ("train", "val", "test")
        assert entry["reduction"] >= 1


@pytest.mark.parametrize("data", ["mini", "mini_gamma"])
def test_no_photograph_of_the_benchmark_is_leaked(data: str) -> None:
    splits = compose("train", [f"data={data}"]).data.splits
    originals = {
        split: {part for scene in splits[split] for part in mini.manifest()[scene]["original"].split(", ")}
        for split in splits
    }
    listed = manifest()["photographs"].values()
    assert not {entry["original"] for entry in listed} & originals["test"]
    assert not {entry["original"] for entry in listed if entry["split"] == "train"} & originals["val"]
