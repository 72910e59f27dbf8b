"""Decoded frames: the same pixels as the files, fresh or not used, whole or not there."""

import errno
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deblur_lit.cli import main
from deblur_lit.config import build as instantiate
from deblur_lit.config import compose
from deblur_lit.data import cache, datamodule
from deblur_lit.data.cache import Built, CachedPairs, build, open_cached, shards
from deblur_lit.data.images import ImageError, read_rgb, write_png
from deblur_lit.data.paired_folder import PairedFolder
from deblur_lit.data.pairs import PairList
from deblur_lit.runs import FolderInUseError, lock

MakeTree = Callable[..., Path]

# Builds with one thread and is killed inside the second shard.
KILLED = """
import os, signal, sys
from pathlib import Path
from deblur_lit.data import cache
from deblur_lit.data.paired_folder import PairedFolder

class Dying(PairedFolder):
    def read(self, index, *window):
        if index == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().read(index, *window)

cache.build(Dying(sys.argv[1], "train"), Path(sys.argv[2]))
"""


@pytest.fixture
def root(make_tree: MakeTree) -> Path:
    return make_tree({"train": {"a": 3, "b": 2, "c": 1}, "test": {"d": 2}})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "frames"


def train(root: Path, **selection: list[str]) -> PairList:
    return PairedFolder(root, "train", **selection)


def assert_same(cached: PairList, pairs: PairList) -> None:
    """Compare whole frames and a crop of every pair."""
    assert (cached.names, cached.sequences) == (pairs.names, pairs.sequences)
    assert cached.fingerprint() == pairs.fingerprint()
    for index in range(len(pairs)):
        assert cached.size(index) == pairs.size(index)
        for window in ((), (3, 5, 16, 24)):
            for ours, theirs in zip(cached.read(index, *window), pairs.read(index, *window), strict=True):
                np.testing.assert_array_equal(ours, theirs)
                assert ours.flags.c_contiguous


def test_cached_pixels_are_those_of_the_files(root: Path, folder: Path) -> None:
    pairs = train(root)
    assert build(pairs, folder, jobs=2) == Built(6, 0, sum(path.stat().st_size for path in folder.glob("*.npy")))
    cached = open_cached(pairs, folder)
    assert isinstance(cached, CachedPairs)
    assert cached.cached == 6
    assert_same(cached, pairs)
    with pytest.raises(ValueError, match=r"rows 30:46, columns 0:16 leave the 48x40 image"):
        cached.read(0, 30, 0, 16, 16)


def test_frames_of_several_sizes_fit_in_one_shard(root: Path, folder: Path) -> None:
    for side in ("blur", "sharp"):
        write_png(root / f"train/a/{side}/000002.png", np.full((20, 70, 3), 7, np.uint8))
    pairs = train(root)
    build(pairs, folder)
    assert_same(open_cached(pairs, folder), pairs)


def test_long_sequences_are_cut_into_shards(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "SHARD_PAIRS", 2)
    assert [len(shard.indices) for shard in shards(train(root))] == [2, 1, 2, 1]


def test_a_part_of_the_sequences_finds_its_frames(root: Path, folder: Path) -> None:
    build(train(root), folder)
    for selection in ({"exclude": ["b"]}, {"sequences": ["b"]}):
        pairs = train(root, **selection)
        cached = open_cached(pairs, folder)
        assert isinstance(cached, CachedPairs)
        assert cached.cached == len(pairs)
        assert_same(cached, pairs)


def test_reading_leaves_the_files_alone(root: Path, folder: Path) -> None:
    pairs = train(root)
    build(pairs, folder)
    cached = open_cached(pairs, folder)
    expected = pairs.read(0)
    for path in root.rglob("*.png"):
        os.truncate(path, 10)
    np.testing.assert_array_equal(cached.read(0), expected)


def test_a_second_build_keeps_what_is_there(root: Path, folder: Path) -> None:
    build(train(root, sequences=["a"]), folder)
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.npy")}
    built = build(train(root), folder)
    assert (built.decoded, built.kept) == (3, 3)
    assert before.items() <= {path: path.stat().st_mtime_ns for path in folder.glob("*.npy")}.items()
    assert build(train(root), folder)[:2] == (0, 6)


def test_a_copy_of_the_data_finds_its_frames(root: Path, folder: Path) -> None:
    build(train(root), folder)
    copy = root.with_name("copy")
    shutil.copytree(root, copy, copy_function=shutil.copyfile)  # with new times
    cached = open_cached(train(copy), folder)
    assert isinstance(cached, CachedPairs)
    assert cached.cached == 6


def test_a_build_notes_the_times_of_a_copy(root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(train(root), folder)
    copy = root.with_name("copy")
    shutil.copytree(root, copy, copy_function=shutil.copyfile)
    assert build(train(copy), folder)[:2] == (0, 6)
    hashed: list[Path] = []
    monkeypatch.setattr(cache, "_sha256", hashed.append)
    cached = open_cached(train(copy), folder)
    assert isinstance(cached, CachedPairs)
    assert (cached.cached, hashed) == (6, [])


def change(path: Path) -> None:
    """Change a file and keep its length."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1  # of the last chunk's checksum
    path.write_bytes(data)
    os.utime(path, ns=(1, 1))


def test_changed_files_are_never_read_from_the_cache(
    root: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = train(root)
    build(pairs, folder)
    old = read_rgb(root / "train/b/sharp/000001.png")
    write_png(root / "train/b/sharp/000001.png", 255 - old)
    os.truncate(root / "train/a/blur/000001.png", 60)
    change(root / "train/c/blur/000001.png")
    cached = open_cached(pairs, folder)
    said = capsys.readouterr().out
    assert isinstance(cached, CachedPairs)
    np.testing.assert_array_equal(cached.read(pairs.names.index("b/000001"))[1], 255 - old)
    with pytest.raises(ImageError, match=r"train/a/blur/000001\.png"):
        cached.read(0)
    assert "pairs are not in it, or their files changed since, such as " in said
    assert 5 not in cached._places  # same length, other content
    assert "`deblur-lit data cache`" in said
    with pytest.raises(ImageError, match=r"train/a/blur/000001\.png"):
        build(pairs, folder)


def test_a_changed_file_is_decoded_by_the_next_build(root: Path, folder: Path) -> None:
    build(train(root), folder)
    write_png(root / "train/b/sharp/000001.png", np.zeros((40, 48, 3), np.uint8))
    assert build(train(root), folder).decoded == 2  # its shard
    assert_same(open_cached(train(root), folder), train(root))


@pytest.mark.parametrize("damage", ["no index", "cut index", "cut frames", "no frames"])
def test_damaged_shards_are_not_used_and_made_again(damage: str, root: Path, folder: Path) -> None:
    build(train(root), folder)
    [shard] = shards(train(root, sequences=["a"]))
    path = folder / f"{shard.key}.{'json' if 'index' in damage else 'npy'}"
    path.unlink() if damage.startswith("no") else os.truncate(path, 100)
    cached = open_cached(train(root), folder)
    assert isinstance(cached, CachedPairs)
    assert cached.cached == 3
    assert_same(cached, train(root))
    assert build(train(root), folder).decoded == 3


def test_a_killed_build_is_continued(root: Path, folder: Path) -> None:
    words = [sys.executable, "-c", KILLED, str(root), str(folder)]
    killed = subprocess.run(words, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert list(folder.glob(".*.part"))
    cached = open_cached(train(root), folder)
    assert isinstance(cached, CachedPairs)
    assert cached.cached == 3  # the shard in work is not used
    assert build(train(root), folder)[:2] == (3, 3)
    assert not list(folder.glob(".*.part"))
    assert_same(open_cached(train(root), folder), train(root))


def test_one_build_at_a_time_works_in_a_folder(root: Path, folder: Path) -> None:
    held = f"with lock({str(folder)!r}):\n print(1, flush=True)\n time.sleep(60)"
    program = f"import time\nfrom deblur_lit.runs import lock\n{held}"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(FolderInUseError, match=str(folder)):
            build(train(root), folder)
        other.kill()
    with lock(folder):
        pass


def test_too_small_a_disk_is_named_before_anything_is_written(
    root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1, 1, 1000))
    with pytest.raises(OSError, match=r"the decoded frames need 0\.00 GB and 0\.00 GB are free.*--to"):
        build(train(root), folder)
    assert not list(folder.glob("*.npy"))


def test_a_disk_that_fills_up_keeps_finished_shards(root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = os.fsync, []

    def full(handle: int) -> None:
        calls.append(handle)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device: free some space there") as caught:
        build(train(root), folder)
    assert caught.value.filename == str(folder)
    monkeypatch.undo()
    assert build(train(root), folder).kept >= 3


def test_workers_get_the_pairs_without_the_open_files(root: Path, folder: Path) -> None:
    build(train(root), folder)
    cached = open_cached(train(root), folder)
    cached.read(0)
    copy = pickle.loads(pickle.dumps(cached))
    assert copy._maps == {}
    assert_same(copy, train(root))


def test_without_a_cache_the_pairs_are_the_same_object(root: Path, folder: Path) -> None:
    pairs = train(root)
    assert open_cached(pairs, folder) is pairs


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_do_not_depend_on_the_cache(workers: int, root: Path, folder: Path) -> None:
    def batches() -> list[tuple[list[str], bytes]]:
        words = ["data=gopro", f"data.root={root}", "data.val=none", "data.crop_size=16", "data.batch_size=2"]
        words += [f"data.num_workers={workers}", f"data.module.cache={folder}"]
        data = instantiate(compose("train", words).data.module)
        found = []
        loader = data.train_dataloader()
        for epoch in range(2):
            loader.sampler.set_epoch(epoch)
            found += [
                (batch["name"], batch["blur"].numpy().tobytes() + batch["sharp"].numpy().tobytes()) for batch in loader
            ]
        assert isinstance(data.train_pairs, CachedPairs) == folder.is_dir()
        data.teardown("fit")
        return found

    before = batches()
    build(train(root), folder)
    assert batches() == before


def test_ranks_share_one_cache_and_the_batches_of_one_rank(root: Path, folder: Path) -> None:
    build(train(root), folder)
    words = ["data=gopro", f"data.root={root}", "data.val=none", "data.crop_size=16", "data.batch_size=2"]
    node = compose("train", [*words, "data.num_workers=0", f"data.module.cache={folder}"]).data.module

    def samples(rank: int, ranks: int) -> list[tuple[str, bytes]]:
        data = instantiate(node)
        data._rank = lambda: (rank, ranks)
        found = [
            (name, blur.numpy().tobytes() + sharp.numpy().tobytes())
            for batch in data.train_dataloader()
            for name, blur, sharp in zip(batch["name"], batch["blur"], batch["sharp"], strict=True)
        ]
        assert isinstance(data.train_pairs, CachedPairs)
        return found

    shares = [samples(rank, 2) for rank in range(2)]
    assert [len(share) for share in shares] == [3, 3]
    assert sorted(shares[0] + shares[1]) == sorted(samples(0, 1))


def test_training_says_what_a_cache_would_save(
    root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data=gopro", f"data.root={root}", "data.val=none", f"data.module.cache={folder}", "data.crop_size=16"]
    instantiate(compose("train", words).data.module).train_dataloader()
    assert capsys.readouterr().out == ""  # too little to matter
    monkeypatch.setattr(datamodule, "WORTH_CACHING", 0)
    instantiate(compose("train", words).data.module).train_dataloader()
    assert "GoPro: each crop decodes two whole 48x40 files; `deblur-lit data cache`" in capsys.readouterr().out
    build(train(root), folder)
    instantiate(compose("train", words).data.module).train_dataloader()
    assert capsys.readouterr().out == ""


def test_the_command_caches_all_splits(root: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["data", "cache", "gopro", "--root", str(root), "--to", str(folder), "--jobs", "1"]
    assert main(words) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("gopro train: 6 pairs decoded in ")
    assert second.startswith("gopro test: 2 pairs decoded in ")
    assert main([*words, "--split", "test"]) == 0
    assert "gopro test: 0 pairs decoded" in capsys.readouterr().out
    assert sum(len(json.loads(path.read_text())) for path in folder.glob("*.json")) == 8


@pytest.mark.parametrize(
    ("name", "said"),
    [("gorpo", "there is no conf/data/gorpo.yaml; did you mean 'gopro'?"), ("gopro", "data folder")],
)
def test_an_unknown_name_or_folder_is_one_line(
    name: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "cache", name, "--root", str(tmp_path / "nowhere"), "--to", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error
    assert error.count("\n") == 1
