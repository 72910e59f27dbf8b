"""Networks from and to the Hugging Face hub (extra `hub`), as the folders that `deblur_lit.pretrained` reads."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deblur_lit.pretrained import CONFIG, WEIGHTS, load_folder

if TYPE_CHECKING:
    from deblur_lit.networks.blocks import DeblurNetwork

FILES = (CONFIG, WEIGHTS, "README.md")
EXTRA = "pip install 'deblur_lit[hub]'"


def from_pretrained(name: str | Path, revision: str | None = None) -> "DeblurNetwork":
    """Load a network from a folder, or else from the hub.

    A folder is read without a network connection. Of a repository `config.yaml`, `model.safetensors` and `README.md`
    are downloaded to the hub's cache. No code of it is run, and a configuration that names any class but a network of
    deblur_lit is refused.

    Args:
        name: of a folder, or of a repository, `owner/name`.
        revision: branch, tag or commit of the repository; None is its main branch.

    Raises:
        ValueError: if `name` is neither, its configuration or its weights are refused, or the extra is not installed.
        OSError: if the repository cannot be had, or lacks a file.
    """
    if Path(name).is_dir():
        if revision is not None:
            raise ValueError(f"{name} is a folder, which has no revision={revision!r}")
        return load_folder(name)
    repo = _repo(str(name), f"{name} is no folder here, and no repository owner/name")
    hub = _hub()
    try:
        folder = hub.snapshot_download(repo, revision=revision, allow_patterns=list(FILES))
    except OSError as error:
        raise OSError(f"{name}: not had from the hub: {_first_line(error)}") from error
    return load_folder(folder)


def push_to_hub(folder: str | Path, repo: str, private: bool = False) -> str:
    """Upload a network's folder, such as `deblur-lit export --format safetensors` writes.

    The folder is loaded first, so that what nobody could load is not published. The account is the one that
    `hf auth login` or HF_TOKEN names.

    Args:
        folder: with `config.yaml`, `model.safetensors` and `README.md`; other files in it stay here.
        repo: `owner/name`; it is made where it is missing.
        private: whether a repository that is made can be seen by its owner alone.

    Returns:
        Its address.

    Raises:
        ValueError: if the folder holds no network, or `repo` is no name, or the extra is not installed.
        OSError: if a file is missing, or the hub refuses.
    """
    _repo(repo, f"repo={repo!r} is no name of a repository, owner/name")
    load_folder(folder)
    if not (Path(folder) / "README.md").is_file():
        raise FileNotFoundError(f"{folder}: no README.md there; a network is published with its model card")
    api = _hub().HfApi()
    try:
        address = api.create_repo(repo, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=repo, folder_path=folder, allow_patterns=list(FILES), commit_message="A network of deblur_lit"
        )
    except OSError as error:
        raise OSError(f"{repo}: not uploaded: {_first_line(error)}") from error
    return str(address)


def _repo(name: str, otherwise: str) -> str:
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name) or name.startswith("."):
        raise ValueError(otherwise)
    return name


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise ValueError(f"huggingface_hub is not installed: {EXTRA}") from None
    return huggingface_hub


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
