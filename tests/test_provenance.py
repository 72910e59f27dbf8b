"""Where a number comes from."""

import hashlib
import os
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

from deblur_lit import provenance
from deblur_lit.provenance import file_sha256, hardware, versions


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git repository with a copy of the module, not yet tracked; one commit holds another file."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    for name in [name for name in os.environ if name.startswith("GIT_")]:  # a hook's repository is not ours
        monkeypatch.delenv(name)
    for key, value in {"NAME": "t", "EMAIL": "t@example.org"}.items():
        monkeypatch.setenv(f"GIT_AUTHOR_{key}", value)
        monkeypatch.setenv(f"GIT_COMMITTER_{key}", value)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    shutil.copy(provenance.__file__, tmp_path / "provenance.py")
    (tmp_path / "notes.txt").write_text("one\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "notes.txt")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    return tmp_path


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True).stdout.strip()


def git_state(folder: Path) -> tuple[str, bool]:
    """What the copy of the module in a folder says."""
    state: tuple[str, bool] = runpy.run_path(str(folder / "provenance.py"))["git_state"]()
    return state


def test_tracked_code_knows_its_commit_and_whether_it_was_changed(checkout: Path) -> None:
    git(checkout, "add", "provenance.py")
    git(checkout, "commit", "--quiet", "-m", "two")
    commit = git(checkout, "rev-parse", "HEAD")
    assert git_state(checkout) == (commit, False)
    (checkout / "untracked.txt").touch()
    assert git_state(checkout) == (commit, False)
    (checkout / "notes.txt").write_text("two\n")
    assert git_state(checkout) == (commit, True)


def test_code_inside_a_foreign_repository_does_not_claim_its_commit(checkout: Path) -> None:
    assert git_state(checkout) == ("unknown", False)


def test_code_outside_of_git_has_no_commit(checkout: Path) -> None:
    shutil.rmtree(checkout / ".git")
    assert git_state(checkout) == ("unknown", False)


def test_without_git_there_is_no_commit(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert git_state(checkout) == ("unknown", False)


def test_the_hash_of_a_file_is_its_sha256(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000  # more than one block of reading
    (tmp_path / "w.pkl").write_bytes(content)
    assert file_sha256(tmp_path / "w.pkl") == hashlib.sha256(content).hexdigest()


def test_the_hash_of_a_folder_depends_on_its_files_in_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "b.pkl").write_bytes(b"second")
    (tmp_path / "a.pkl").write_bytes(b"first")
    assert file_sha256(tmp_path) == hashlib.sha256(b"firstsecond").hexdigest()
    (tmp_path / "old").mkdir()  # what lies deeper is no part of the checkpoint
    assert file_sha256(tmp_path) == hashlib.sha256(b"firstsecond").hexdigest()
    (tmp_path / "a.pkl").write_bytes(b"first!")
    assert file_sha256(tmp_path) != hashlib.sha256(b"firstsecond").hexdigest()


def test_versions_name_every_package_and_say_which_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "PACKAGES", ("torch", "no-such-package"))
    found = versions()
    assert found.keys() == {"python", "torch", "no-such-package"}
    assert found["torch"].startswith("2.")
    assert found["no-such-package"] == "not installed"


def test_hardware_counts_the_cores_that_this_process_may_use() -> None:
    said = hardware(["cpu"])
    assert said["devices"] == ["cpu"]
    assert 1 <= said["cpu_count"] <= (os.cpu_count() or 1)
