"""Where a number comes from: commit, versions, hardware, hashes of files."""

import hashlib
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from deblur_lit import runs

PACKAGES = (
    "deblur_lit",
    "torch",
    "lightning",
    "torchmetrics",
    "numpy",
    "kornia",
    "albumentations",
    "opencv-python-headless",
)


def git_state() -> tuple[str, bool]:
    """Return (commit, whether the working tree differs from it) of this code, ("unknown", False) outside git."""
    here = Path(__file__).resolve()
    try:
        commit = _git(here.parent, "rev-parse", "HEAD")
        tracked = _git(here.parent, "ls-files", str(here))
        if not tracked:  # installed inside somebody else's repository
            return "unknown", False
        return commit, bool(_git(here.parent, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return "unknown", False


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that numbers depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def hardware(devices: list[str]) -> dict[str, Any]:
    """Return the platform, the number of CPU cores this process may use, and the names of `devices`."""
    return {"platform": platform.platform(), "cpu_count": runs.cores(), "devices": devices}


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, or of the files directly in a folder in the order of their names."""
    digest = hashlib.sha256()
    for file in sorted(filter(Path.is_file, path.iterdir())) if path.is_dir() else [path]:
        with file.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()
