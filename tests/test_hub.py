"""Networks from and to the model hub, with a folder in its place: no network connection is made."""

import shutil
import sys
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import save_file

import deblur_lit
from deblur_lit import from_pretrained, push_to_hub
from deblur_lit.networks.loading import load_network
from deblur_lit.nodes import network_config

OVERRIDES = ["channels=2", "num_blocks=1"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A network as `deblur-lit export --format safetensors` writes it, and a file that is nobody's business."""
    made = tmp_path / "mine"
    made.mkdir()
    save_file(load_network("unet", overrides=OVERRIDES).state_dict(), made / "model.safetensors")
    OmegaConf.save(network_config("unet", OVERRIDES).network, made / "config.yaml")
    (made / "README.md").write_text("# Mine\n", encoding="utf-8")
    (made / "secret.txt").write_text("secret", encoding="utf-8")
    return made


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Repositories as folders in place of the hub."""
    root = tmp_path / "hub"

    class Api:
        def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> str:
            (root / repo_id).mkdir(parents=True, exist_ok=exist_ok)
            (root / repo_id / ".private").write_text(str(private), encoding="utf-8")
            return f"https://hub.example/{repo_id}"

        def upload_folder(
            self, *, repo_id: str, folder_path: Path, allow_patterns: list[str], commit_message: str
        ) -> None:
            for name in allow_patterns:
                shutil.copy(folder_path / name, root / repo_id / name)

    def snapshot_download(repo_id: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        if revision not in (None, "v1") or not (root / repo_id).is_dir():
            raise OSError(f"404 Client Error: {repo_id}\nmore lines")
        assert set(allow_patterns) == {"config.yaml", "model.safetensors", "README.md"}
        return str(root / repo_id)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return root


def weights(network: Any) -> dict[str, torch.Tensor]:
    return dict(network.state_dict())


def test_what_is_pushed_comes_back(folder: Path, hub: Path) -> None:
    assert push_to_hub(folder, "me/net", private=True) == "https://hub.example/me/net"
    assert sorted(path.name for path in (hub / "me/net").iterdir()) == [
        ".private", "README.md", "config.yaml", "model.safetensors",
    ]  # fmt: skip
    assert (hub / "me/net/.private").read_text(encoding="utf-8") == "True"
    local = weights(from_pretrained(folder))
    for network in (from_pretrained("me/net"), from_pretrained("me/net", revision="v1")):
        assert all(torch.equal(value, local[name]) for name, value in weights(network).items())
        assert not network.training


def test_a_folder_needs_no_hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    assert weights(from_pretrained(str(folder))).keys() == weights(from_pretrained(folder)).keys()


def test_code_of_others_is_never_called(folder: Path, hub: Path) -> None:
    push_to_hub(folder, "me/net")
    (hub / "me/net/config.yaml").write_text("_target_: os.system\ncommand: touch hacked\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"config\.yaml: network\._target_=os\.system is refused"):
        from_pretrained("me/net")


def test_what_cannot_be_loaded_is_not_published(folder: Path, hub: Path) -> None:
    (folder / "README.md").unlink()
    with pytest.raises(FileNotFoundError, match=r"no README\.md there"):
        push_to_hub(folder, "me/net")
    (folder / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        push_to_hub(folder, "me/net")
    assert not hub.exists()


@pytest.mark.parametrize("name", ["net", "../net/x", "a/b/c", "./net", "me/n et", ""])
def test_what_is_neither_folder_nor_repository_is_refused(name: str, folder: Path) -> None:
    if name:
        with pytest.raises(ValueError, match="is no folder here, and no repository owner/name"):
            from_pretrained(name)
    with pytest.raises(ValueError, match="is no name of a repository"):
        push_to_hub(folder, name)


def test_errors_of_the_hub_name_the_repository(folder: Path) -> None:
    with pytest.raises(OSError, match=r"^me/none: not had from the hub: 404 Client Error: me/none$"):
        from_pretrained("me/none")
    with pytest.raises(OSError, match="me/net: not had"):
        from_pretrained("me/net", revision="v2")
    with pytest.raises(ValueError, match="is a folder, which has no revision='v1'"):
        from_pretrained(folder, revision="v1")


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ValueError, match=r"pip install 'deblur_lit\[hub\]'"):
        from_pretrained("me/net")


def test_both_are_names_of_the_package() -> None:
    assert {"from_pretrained", "push_to_hub"} <= set(deblur_lit.__all__)
