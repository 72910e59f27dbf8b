"""Where copies lie that can be made again: built data, decoded frames, scores that took long."""

import os
from pathlib import Path


def cache_folder(cache: str | Path | None = None) -> Path:
    """Return the folder for such copies: `cache`, or `deblur_lit` in XDG_CACHE_HOME, or in ~/.cache."""
    if cache is not None:
        return Path(cache).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "deblur_lit"
