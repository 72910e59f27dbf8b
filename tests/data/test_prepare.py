"""From an address or an archive to a data set: interrupted, damaged and hostile downloads included."""

import hashlib
import io
import re
import stat
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from deblur_lit.cli import main
from deblur_lit.data.download import CHUNK, TRIES, download
from deblur_lit.data.faults import DataError
from deblur_lit.data.unpack import unpack

CONTENT = bytes(range(256)) * 4000  # some 60 chunks


class Server:
    """Serves one file on the loopback; breaks the connection after `breaks_after` bytes, `breaks` times."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.tag: str | None = '"one"'
        self.breaks = 0
        self.breaks_after = 6 * CHUNK
        self.ranges = True
        self.sized = True
        self.asked: list[str | None] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/some%20where/data.zip?key=1"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers.get("Range")
        self.asked.append(asked)
        if "absent" in request.path:
            request.send_error(404)
            return
        start = 0
        if asked and self.ranges and request.headers.get("If-Range") == self.tag:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(self.content):
                request.send_response(416)
                request.send_header("Content-Range", f"bytes */{len(self.content)}")
                request.end_headers()
                return
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        else:
            request.send_response(200)
        body = self.content[start:]
        if self.sized:
            request.send_header("Content-Length", str(len(body)))
        if self.tag:
            request.send_header("ETag", self.tag)
        request.end_headers()
        if self.breaks:
            self.breaks -= 1
            body = body[: self.breaks_after]
        request.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


def fetch(server: Server, folder: Path, sha256: str | None = None) -> Path:
    return download(server.url, folder, sha256, lambda done, total: None, pause=0.0)


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_file_arrives_whole_and_is_not_asked_for_twice(server: Server, tmp_path: Path) -> None:
    path = fetch(server, tmp_path / "new", sha(CONTENT))
    assert path == tmp_path / "new/data.zip"
    assert path.read_bytes() == CONTENT
    assert fetch(server, tmp_path / "new", sha(CONTENT)) == path
    assert server.asked == [None]
    assert [file.name for file in path.parent.iterdir() if file.name != ".lock"] == ["data.zip"]


def test_a_broken_connection_is_gone_on_with(server: Server, tmp_path: Path) -> None:
    server.breaks = 7
    seen: list[tuple[int, int | None]] = []
    path = download(server.url, tmp_path, sha(CONTENT), lambda done, total: seen.append((done, total)), pause=0.0)
    assert path.read_bytes() == CONTENT
    assert server.asked == [None, *(f"bytes={n * server.breaks_after}-" for n in range(1, 8))]
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert {total for _, total in seen} == {len(CONTENT)}


def test_what_an_interrupted_command_left_is_gone_on_with(server: Server, tmp_path: Path) -> None:
    def interrupt(done: int, total: int | None) -> None:
        if done > 9 * CHUNK:
            raise KeyboardInterrupt

    server.breaks = 2
    with pytest.raises(KeyboardInterrupt):
        download(server.url, tmp_path, None, interrupt, pause=0.0)
    assert not (tmp_path / "data.zip").exists()
    kept = (tmp_path / ".data.zip.part").stat().st_size
    assert kept >= 9 * CHUNK
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.asked[-1] == f"bytes={kept}-"


def test_another_file_of_the_same_name_is_not_mixed_in(server: Server, tmp_path: Path) -> None:
    server.breaks = TRIES + 9
    server.breaks_after = 0
    (tmp_path / ".data.zip.part").write_bytes(CONTENT[:1000])
    (tmp_path / ".data.zip.part.json").write_text('"\\"one\\""')
    with pytest.raises(OSError, match=rf"data\.zip.*{TRIES} tries gave nothing new.*1000 bytes are kept"):
        fetch(server, tmp_path)
    server.breaks = 0
    server.tag, server.content = '"two"', CONTENT[::-1]
    assert fetch(server, tmp_path).read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("tag", [None, 'W/"weak"'])
def test_without_a_proof_that_the_file_is_the_same_it_starts_anew(
    tag: str | None, server: Server, tmp_path: Path
) -> None:
    server.tag = tag
    server.breaks = 1
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.asked == [None, None]


def test_a_server_without_ranges_or_sizes_is_served_too(server: Server, tmp_path: Path) -> None:
    server.ranges = server.sized = False
    server.breaks = 0
    assert fetch(server, tmp_path, sha(CONTENT)).read_bytes() == CONTENT


def test_a_download_that_only_lacked_its_check_is_whole(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".data.zip.part").write_bytes(CONTENT)
    (tmp_path / ".data.zip.part.json").write_text('"\\"one\\""')
    assert fetch(server, tmp_path, sha(CONTENT)).read_bytes() == CONTENT
    assert server.asked == [f"bytes={len(CONTENT)}-"]


def test_a_wrong_checksum_leaves_nothing(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.zip.*its sha256 is not 0123"):
        fetch(server, tmp_path, "0123" * 16)
    assert [path.name for path in tmp_path.iterdir() if path.name != ".lock"] == []


@pytest.mark.parametrize(
    ("url", "error", "said"),
    [
        ("ftp://example.org/a.zip", ValueError, "http or https URL"),
        ("http://127.0.0.1/", ValueError, "ends with the name of a file"),
        ("http://127.0.0.1:1/a.zip", OSError, r"127\.0\.0\.1:1/a\.zip: 5 tries gave nothing new"),
    ],
)
def test_a_wrong_address_is_named(url: str, error: type[Exception], said: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=said):
        download(url, tmp_path, None, lambda done, total: None, pause=0.0)


def test_a_refusal_of_the_server_is_told_at_once(server: Server, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"absent\.zip.*: the server answers 404"):
        download(server.url.replace("data.zip", "absent.zip"), tmp_path, None, lambda done, total: None, pause=0.0)
    assert len(server.asked) == 1


Files = dict[str, bytes]
TREE: Files = {"set/train/a/1.png": b"one", "set/test/b/2.png": b"two" * 1000, "set/read me.txt": b""}


def write_zip(path: Path, files: Files) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_tar(path: Path, files: Files) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


WRITERS = [write_zip, write_tar]


def tree(folder: Path) -> Files:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def take(archive: Path, folder: Path) -> int:
    return unpack(archive, folder, lambda done, total: None)


@pytest.mark.parametrize("write", WRITERS)
def test_an_archive_becomes_its_files_and_may_be_unpacked_again(
    write: Callable[[Path, Files], Path], tmp_path: Path
) -> None:
    archive = write(tmp_path / "archive", TREE)
    left = tmp_path / "data/.unpacking-0123/half.png"
    left.parent.mkdir(parents=True)
    left.touch()
    assert take(archive, tmp_path / "data") == 3
    assert tree(tmp_path / "data") == TREE
    (tmp_path / "data/set/train/a/1.png").unlink()
    assert take(archive, tmp_path / "data") == 3
    assert tree(tmp_path / "data") == TREE


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("name", ["../out.png", "/out.png", "a/../../out.png", "..\\out.png", "C:/out.png"])
def test_nothing_is_written_outside(write: Callable[[Path, Files], Path], name: str, tmp_path: Path) -> None:
    archive = write(tmp_path / "archive", {"a/1.png": b"one", name: b"bad"})
    with pytest.raises(DataError, match=r"archive: its member .*out\.png' would lie outside"):
        take(archive, tmp_path / "deep/data")
    assert tree(tmp_path / "deep") == {}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_of_a_tar_are_refused(kind: bytes, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        info = tarfile.TarInfo("link")
        info.type, info.linkname = kind, "/etc"
        archive.addfile(info)
    with pytest.raises(DataError, match="member 'link' is a link or a device"):
        take(tmp_path / "a.tar", tmp_path / "data")
    assert not list((tmp_path / "data").iterdir())


def test_links_of_a_zip_are_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc")
    with pytest.raises(DataError, match="member 'link' is a link or a device"):
        take(tmp_path / "a.zip", tmp_path / "data")
    assert not list((tmp_path / "data").iterdir())


@pytest.mark.parametrize("write", WRITERS)
def test_a_damaged_archive_leaves_nothing(write: Callable[[Path, Files], Path], tmp_path: Path) -> None:
    content = np.random.default_rng(0).bytes(100_000)
    whole = write(tmp_path / "archive", {"a/1.png": content, "a/2.png": content[::-1]}).read_bytes()
    damaged = tmp_path / "damaged"
    changed = bytearray(whole)
    changed[len(whole) // 4 : len(whole) // 4 + 50] = bytes(50)
    for bad in (whole[: len(whole) // 2], bytes(changed), b"<html>", b""):
        damaged.write_bytes(bad)
        with pytest.raises(DataError, match=r"damaged.*download it again"):
            take(damaged, tmp_path / "data")
        assert tree(tmp_path / "data") == {}


@pytest.mark.parametrize("write", WRITERS)
def test_other_files_are_never_overwritten(write: Callable[[Path, Files], Path], tmp_path: Path) -> None:
    mine = tmp_path / "data/set/train/a/1.png"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    with pytest.raises(DataError, match=r"1\.png is there already and differs"):
        take(write(tmp_path / "archive", TREE), tmp_path / "data")
    assert tree(tmp_path / "data") == {"set/train/a/1.png": b"mine"}


@pytest.mark.parametrize("write", WRITERS)
def test_a_small_disk_is_told_before(
    write: Callable[[Path, Files], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 10}))
    with pytest.raises(OSError, match=r"archive needs 0\.00 GB and 0\.00 GB are free.*--root"):
        take(write(tmp_path / "archive", TREE), tmp_path / "data")


def gopro_files(make_tree: Callable[..., Path]) -> Files:
    root = make_tree({"train": {"GOPR0372_07_00": 2}, "test": {"GOPR0384_11_00": 1}})
    return {f"GOPRO_Large/{name}": content for name, content in tree(root).items()}


def test_a_data_set_is_downloaded_unpacked_recognised_and_counted(
    server: Server, make_tree: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.content = write_zip(tmp_path / "made.zip", gopro_files(make_tree)).read_bytes()
    server.breaks, server.breaks_after = 2, 5000
    root = tmp_path / "here"
    words = ["data", "prepare", "gopro", "--root", str(root), "--url", server.url, "--sha256", sha(server.content)]
    assert main(words) == 1  # three pairs are not all of GoPro
    printed = capsys.readouterr().out
    assert "https://seungjunnah.github.io/Datasets/gopro, licence: CC BY 4.0" in printed
    assert "6 files unpacked" in printed
    assert "train: 2 pairs, <sequence>/{blur,sharp}/<frame>" in printed
    assert "2 pairs, 2103 are published" in printed
    assert f"data=gopro data.root={root}/GOPRO_Large" in printed
    assert main(["data", "prepare", "gopro", "--root", str(root)]) == 1  # nothing to do: it is recognised again
    assert "unpacked" not in capsys.readouterr().out


def test_an_archive_that_lies_in_the_root_is_taken(
    make_tree: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = gopro_files(make_tree)
    (tmp_path / "here").mkdir()
    write_zip(tmp_path / "here/GOPRO_Large.zip", files)
    main(["data", "prepare", "gopro", "--root", str(tmp_path / "here")])
    assert "test: 1 pairs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gopro"], "holds nothing that can be read as GoPro.*--archive FILE"),
        (["gopro", "--archive", "absent.zip"], "absent.zip: there is no such archive"),
        (["gopro", "--url", "http://a/b.zip", "--sha256", "1", "--sha256", "2"], "2 --sha256 for 1 --url"),
        (["mini"], "data=mini is not published"),
        (["gopor"], "there is no conf/data/gopor.yaml; did you mean 'gopro'"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "prepare", *words, "--root", str(tmp_path / "here")]) == 1
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.search(said, message)
