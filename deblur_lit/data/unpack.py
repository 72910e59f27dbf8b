"""Archives to folders: nothing outside of the folder, no links, nothing half-unpacked, nothing overwritten."""

import filecmp
import gzip
import lzma
import shutil
import stat
import tarfile
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from deblur_lit.data.faults import DataError

_STAGE = ".unpacking-"
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError)


class _Member(NamedTuple):
    name: str
    link: bool  # or a device: whatever is neither file nor folder
    folder: bool
    open: Callable[[], IO[bytes]]


class _WholeTar(tarfile.TarInfo):
    """Members of a tar that takes a damaged header for damage, where Python takes it for the end."""

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> "_WholeTar":
        try:
            return super().fromtarfile(tar)
        except tarfile.HeaderError as error:
            if isinstance(error, tarfile.EOFHeaderError):  # type: ignore[attr-defined]  # the block of zeros behind the last member
                raise
            raise tarfile.ReadError(f"a header is damaged or lacks: {error}") from error


def unpack(archive: Path, folder: Path, advance: Callable[[int, int], None]) -> int:
    """Unpack an archive into a folder and return the number of files.

    Files are written beside and moved when all are there; what an interrupted call left is removed. Files that are
    there already with the same contents are kept, others are never overwritten.

    Args:
        archive: zip or tar, told by its contents.
        folder: is made.
        advance: is told the bytes of the archive that were read and their number (of a zip: of its unpacked files).

    Raises:
        DataError: if the archive is damaged, or a member would lie outside of the folder, is a link or a device, or
            differs from a file that is there; names archive and member. Nothing is unpacked then.
        OSError: if the disk is too small or full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"{_STAGE}*"):
        shutil.rmtree(left)
    stage = folder / f"{_STAGE}{uuid.uuid4().hex[:8]}"
    try:
        with _members(archive, folder, advance) as members:
            for member in members:
                _write(archive, member, stage)
        return _move(archive, stage, folder)
    except _DAMAGE as error:
        raise DataError(f"{archive}: damaged ({error}); download it again", "truncated") from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _write(archive: Path, member: _Member, stage: Path) -> None:
    parts = PurePosixPath(member.name.replace("\\", "/")).parts
    if not parts:
        return
    if ".." in parts or parts[0] == "/" or ":" in parts[0]:
        raise DataError(f"{archive}: its member {member.name!r} would lie outside of the folder; do not trust it")
    if member.link:
        raise DataError(f"{archive}: its member {member.name!r} is a link or a device; do not trust it")
    target = stage.joinpath(*parts)
    if member.folder:
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with member.open() as source, target.open("wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)


def _move(archive: Path, stage: Path, folder: Path) -> int:
    """Move the unpacked files to their places, all or none."""
    files = sorted(path for path in stage.rglob("*") if path.is_file()) if stage.is_dir() else []
    targets = [folder / path.relative_to(stage) for path in files]
    for path, target in zip(files, targets, strict=True):
        if target.exists() and not (target.is_file() and filecmp.cmp(path, target, shallow=False)):
            raise DataError(f"{archive}: {target} is there already and differs; remove it or choose another --root")
    for path, target in zip(files, targets, strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
    return len(files)


@contextmanager
def _members(archive: Path, folder: Path, advance: Callable[[int, int], None]) -> Iterator[Iterator[_Member]]:
    """Open an archive and go through its members; a tar is read once, from its beginning to its end."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            yield _of_zip(file, archive, folder, advance)
        return
    try:
        size = archive.stat().st_size
        _check_space(archive, size, folder)
        with archive.open("rb") as raw, tarfile.open(fileobj=raw, mode="r:*", tarinfo=_WholeTar) as tar:
            yield _of_tar(tar, raw, size, advance)
    except tarfile.ReadError as error:
        reason = str(error).partition(":")[0]
        raise DataError(f"{archive}: no archive, or damaged ({reason}); download it again", "truncated") from error


def _of_zip(
    file: zipfile.ZipFile, archive: Path, folder: Path, advance: Callable[[int, int], None]
) -> Iterator[_Member]:
    infos = file.infolist()
    total, done = sum(info.file_size for info in infos), 0
    _check_space(archive, total, folder)
    for info in infos:
        mode = info.external_attr >> 16
        special = bool(mode) and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR)
        yield _Member(info.filename, special, info.is_dir(), partial(file.open, info))
        done += info.file_size
        advance(done, total)


def _of_tar(tar: tarfile.TarFile, raw: IO[bytes], size: int, advance: Callable[[int, int], None]) -> Iterator[_Member]:
    def opened(info: tarfile.TarInfo) -> IO[bytes]:
        file = tar.extractfile(info)
        assert file is not None  # it is a regular file
        return file

    for info in tar:
        special = not (info.isfile() or info.isdir())
        yield _Member(info.name, special, info.isdir(), partial(opened, info))
        advance(raw.tell(), size)
    assert tar.fileobj is not None
    while tar.fileobj.read(1 << 20):  # up to the checksum of a compressed tar
        pass


def _check_space(archive: Path, needed: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(
            f"{folder}: {archive.name} needs {needed / 1e9:.2f} GB and {free / 1e9:.2f} GB are free; free some space "
            "there, or choose another --root"
        )
