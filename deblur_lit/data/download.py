"""Downloads that go on where they broke off, and are checked before they get their name."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pooch
import requests

from deblur_lit import runs
from deblur_lit.data.faults import DataError

TRIES = 5  # in a row without a single new byte
PAUSE = 1.0  # seconds before the second try, doubled for each further one
TIMEOUT = 30.0  # seconds without a byte
CHUNK = 1 << 14  # bytes; what a break of the connection loses at most

Advance = Callable[[int, int | None], None]


def download(url: str, folder: Path, sha256: str | None, advance: Advance, pause: float = PAUSE) -> Path:
    """Return the file of a URL in `folder`, downloaded where it is not there yet.

    What a broken or interrupted download left (`.<name>.part`) is gone on with, if the server still has the same
    file. A file that is there with the right checksum is not asked for again; without a checksum its name counts.

    Args:
        url: http or https.
        folder: is made.
        sha256: hex digits, None where none is known.
        advance: is told the bytes so far and the size in all, None where the server does not say it.
        pause: seconds before a second try.

    Raises:
        DataError: if the checksum is another one; the file is removed.
        OSError: if the server cannot be reached or refuses, or the disk is full; names the URL.
        FolderInUseError: if another process downloads there.
    """
    name = unquote(urlsplit(url).path.rpartition("/")[2])
    if urlsplit(url).scheme not in ("http", "https") or not name or name.startswith("."):
        raise ValueError(f"{url}: need an http or https URL that ends with the name of a file")
    part = folder / f".{name}.part"

    def fetch(url: str, output_file: str, _: Any) -> None:
        _complete(url, part, advance, pause)
        Path(output_file).unlink()
        try:
            os.link(part, output_file)  # kept as part too: an interrupted check must not cost the download
        except OSError:  # a disk without hard links
            part.replace(output_file)

    def forget() -> None:
        for path in (part, _validator_file(part)):
            path.unlink(missing_ok=True)

    with runs.lock(folder):
        pooch.get_logger().disabled = True  # it says what the progress bar shows
        known = f"sha256:{sha256}" if sha256 else None
        try:
            path = Path(pooch.retrieve(url, known, fname=name, path=folder, downloader=fetch))
        except ValueError as error:
            forget()
            raise DataError(
                f"{url}: the file is not the expected one, its sha256 is not {sha256}; it was removed. Download it "
                "again, and where that gives the same, compare with what its authors state",
                "truncated",
            ) from error
        forget()
        return path


def _complete(url: str, part: Path, advance: Advance, pause: float) -> None:
    """Bring the part to its full size, connecting again after each break."""
    tries = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            return _transfer(url, part, advance)
        except requests.HTTPError as error:
            raise OSError(f"{url}: the server answers {error}; is the address right?") from error
        except requests.RequestException as error:
            grew = part.exists() and part.stat().st_size > before
            tries = 1 if grew else tries + 1
            if tries == TRIES:
                size = part.stat().st_size if part.exists() else 0
                reason = str(error).partition("\n")[0]
                raise OSError(
                    f"{url}: {TRIES} tries gave nothing new ({reason}); {size} bytes are kept in {part}, the same "
                    "command goes on there"
                ) from error
            time.sleep(pause * 2 ** (tries - 1))


def _transfer(url: str, part: Path, advance: Advance) -> None:
    """Append what is missing; start anew where the server has another file by now, or cannot go on."""
    have = part.stat().st_size if part.exists() else 0
    validator = _read_validator(part) if have else None
    headers = {"Accept-Encoding": "identity"}  # sizes are those of the file
    if have and validator:
        headers |= {"Range": f"bytes={have}-", "If-Range": validator}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        complete = answer.headers.get("Content-Range", "").rpartition("/")[2]
        if answer.status_code == requests.codes.requested_range_not_satisfiable and complete == str(have):
            return
        answer.raise_for_status()
        goes_on = answer.status_code == requests.codes.partial_content
        have = have if goes_on else 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else None
        _write_validator(part, answer.headers.get("ETag") or answer.headers.get("Last-Modified"))
        with part.open("ab" if goes_on else "wb") as file:
            advance(have, total)
            for chunk in answer.iter_content(CHUNK):
                file.write(chunk)
                have += len(chunk)
                advance(have, total)
    if total is not None and have < total:
        raise requests.ConnectionError(f"the connection ended after {have} of {total} bytes")


def _validator_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _read_validator(part: Path) -> str | None:
    try:
        validator: str | None = json.loads(_validator_file(part).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return validator


def _write_validator(part: Path, validator: str | None) -> None:
    usable = validator if validator and not validator.startswith("W/") else None  # a weak tag is no proof
    _validator_file(part).write_text(json.dumps(usable), encoding="utf-8")
