"""`deblur-lit data prepare`: from the page of a data set, an URL or an archive to folders that training reads."""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from deblur_lit.data.faults import DataError, gathering
from deblur_lit.data.named import data_config, open_split, splits_of
from deblur_lit.data.official import compare_names
from deblur_lit.data.pairs import PairList, some

DOWNLOADS = ".downloads"  # below the root


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of the command."""
    parser.add_argument("name", metavar="NAME", help="stem of conf/data")
    parser.add_argument("--root", type=Path, help="folder for the data (default: the YAML's, below DATA_ROOT)")
    parser.add_argument("--url", action="append", default=[], help="download this archive; may be repeated")
    parser.add_argument("--sha256", action="append", default=[], help="of each --url, in the same order")
    parser.add_argument("--archive", type=Path, action="append", default=[], help="unpack this file; may be repeated")


def run(options: argparse.Namespace) -> int:
    """Fetch and unpack what was named, then say what is there; return 1 where it is not the whole data set.

    Raises:
        ValueError, OSError: for data of which nothing is published, a download or an archive that fails, or where
            nothing is there and nothing was named.
    """
    data = data_config(options.name, options.root)
    if data.official is None:
        raise ValueError(f"data={options.name} is not published: there is nothing to prepare")
    root = Path(data.root)
    print(f"{data.title}: {data.official.page}, licence: {data.official.licence or 'none is stated'}")
    print(f"{'':{len(data.title)}}  archives: {', '.join(data.official.archives)}", flush=True)
    archives = [*_downloads(data, root, options.url, options.sha256), *options.archive]
    found = None if archives else _locate(data, root)
    if not archives and found is None:
        archives = [root / name for name in data.official.archives if (root / name).is_file()]
    if archives:
        _unpack(archives, root)
        found = _locate(data, root)
    if found is None:
        there = some(sorted(path.name for path in root.iterdir() if path.name[0] != ".")) if root.is_dir() else ""
        raise DataError(
            f"{root} holds nothing that can be read as {data.title} ({there or 'it is empty'}). Download the archives "
            f"from the page above and name them with --archive FILE, or their address with --url"
        )
    return _describe(data, found, options.name)


def _downloads(data: DictConfig, root: Path, urls: list[str], hashes: list[str]) -> Iterator[Path]:
    """Download what was named, else what the YAML knows."""
    from deblur_lit.data.download import download

    if not urls and data.official.url:
        urls, hashes = [data.official.url], [data.official.sha256] if data.official.sha256 else []
    if hashes and len(hashes) != len(urls):
        raise ValueError(f"{len(hashes)} --sha256 for {len(urls)} --url: give one of each, in the same order")
    for number, url in enumerate(urls):
        columns = (*Progress.get_default_columns()[:2], DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            advance = _advancing(bar, f"Downloading {url.rpartition('/')[2]}")
            yield download(url, root / DOWNLOADS, hashes[number] if hashes else None, advance)


def _advancing(bar: Progress, what: str) -> Callable[[int, int | None], None]:
    """Return what moves a bar to the bytes done of a number of bytes."""
    task = bar.add_task(what, total=None)
    return lambda done, total: bar.update(task, completed=done, total=total)


def _unpack(archives: list[Path], root: Path) -> None:
    from deblur_lit.data.unpack import unpack

    for archive in archives:
        if not archive.is_file():
            raise FileNotFoundError(f"{archive}: there is no such archive")
        with Progress(console=Console(stderr=True)) as bar:
            files = unpack(archive, root, _advancing(bar, f"Unpacking {archive.name}"))
        print(f"{archive}: {files} files unpacked to {root}; the archive is kept", flush=True)


def _locate(data: DictConfig, root: Path) -> dict[str, PairList] | None:
    """Return the splits of the first folder that the data set is read from: the root, or up to two levels below."""
    folders = [root, *(path for depth in ("*", "*/*") for path in sorted(root.glob(depth)) if path.is_dir())]
    for folder in folders:
        if folder.name.startswith("."):
            continue
        here = OmegaConf.merge(data, {"root": str(folder)})
        assert isinstance(here, DictConfig)
        splits = {}
        for split in splits_of(here):
            try:
                with gathering():
                    splits[split] = open_split(here, split)
            except (ValueError, OSError):
                continue  # another folder, or a split that is not there
        if splits:
            OmegaConf.update(data, "root", str(folder), merge=False)
            return splits
    return None


def _describe(data: DictConfig, splits: dict[str, PairList], name: str) -> int:
    """Say what was recognised and what is missing of it; return the exit status."""
    whole = True
    for split in splits_of(data):
        if split not in splits:
            print(f"{split}: not there")
            whole = False
            continue
        facts = data.official.splits.get(split)
        differences = compare_names(splits[split], facts) if facts else []
        whole = whole and not differences
        print(f"{split}: {len(splits[split])} pairs, {splits[split].layout}{'' if differences else ', as published'}")
        for difference in differences:
            print(f"  {difference}")
    print(f"read it by: data={name} data.root={data.root}")
    print(f"look at every file by: deblur-lit data check {name} --root {data.root}", flush=True)
    return 0 if whole else 1
