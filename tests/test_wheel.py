"""The built wheel, installed into an empty environment, works away from the checkout."""

import json
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).resolve().parents[1]

# What the installed package says of itself, from a folder that has nothing to do with the checkout.
REPORT = """
import json, sys
from importlib.metadata import version
from pathlib import Path

import deblur_lit
from deblur_lit.config import compose, conf_dir
from deblur_lit.provenance import git_state
from deblur_lit.report.spec import load_spec, table_folder
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher

launchers = {kind.__name__: kind.__module__ for kind in Plugins.instance().discover(Launcher)}
launcher = sys.modules[launchers["SubprocessLauncher"]].__file__
print(json.dumps({
    "package": deblur_lit.__file__,
    "version": version("deblur_lit"),
    "conf": str(conf_dir()),
    "launcher": launcher,
    "table": [str(table_folder()), load_spec("table1").rows[0].key],
    "commit": git_state()[0],
    "ablation": compose("train", ["ablation=dffm"]).ablation.name,
}))
"""


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, REPO, cwd=folder)
    [path] = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel; the dependencies come from the one that the tests run in."""
    folder = tmp_path_factory.mktemp("venv")
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin/python", "--disable-pip-version-check", "install"]
    run(*pip, "--no-deps", "--no-index", "--no-compile", wheel, cwd=folder)
    # A path in a .pth file is searched after the environment's own packages, and .pth files in it are not read, so
    # that the editable installation of the checkout stays out.
    paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    [packages] = folder.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text("\n".join(paths) + "\n")
    return folder


@pytest.fixture(scope="module")
def report(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    said: dict[str, Any] = json.loads(run(environment / "bin/python", "-c", REPORT, cwd=elsewhere))
    return said


def test_the_wheel_holds_what_the_package_needs_and_no_more(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    yamls = {path.relative_to(REPO / "conf").as_posix() for path in (REPO / "conf").rglob("*.yaml")}
    assert yamls == {name.removeprefix("deblur_lit/conf/") for name in names if name.startswith("deblur_lit/conf/")}
    scenes = {path.name for path in (REPO / "deblur_lit/data/scenes").iterdir() if path.is_file()}
    assert len(scenes) > 18
    assert scenes == {Path(name).name for name in names if name.startswith("deblur_lit/data/scenes/")}
    kinds = (".html", ".css", ".js")
    pages = {path.relative_to(REPO).as_posix() for path in (REPO / "deblur_lit").rglob("*") if path.suffix in kinds}
    assert len(pages) == 14
    assert pages == {name for name in names if name.endswith(kinds)}
    assert "deblur_lit/dashboard.yaml" in names
    sources = {path.relative_to(REPO).as_posix() for path in (REPO / "deblur_lit").rglob("*.py")}
    plugin = "deblur_lit/plugins/"
    assert {name.removeprefix(plugin) for name in sources} == {name for name in names if name.endswith(".py")}
    assert "deblur_lit/py.typed" in names
    assert {name.split("/")[0] for name in names} == {"deblur_lit", "hydra_plugins", "deblur_lit-0.1.0.dist-info"}
    assert "hydra_plugins/__init__.py" not in names  # a namespace that other plugins share
    assert not [name for name in names if name.startswith(plugin) or "test" in Path(name).parts[0]]


def test_package_conf_tables_and_launcher_come_from_the_environment(report: dict[str, Any], environment: Path) -> None:
    [packages] = environment.glob("lib/python*/site-packages")
    assert report["package"] == str(packages / "deblur_lit/__init__.py")
    assert report["conf"] == str(packages / "deblur_lit/conf")
    assert report["table"] == [str(packages / "deblur_lit/conf/table"), "blur"]
    assert report["launcher"] == str(packages / "hydra_plugins/deblur_lit_launcher/__init__.py")
    assert report["ablation"] == "dffm"
    assert report["commit"] == "unknown"


def test_the_version_is_that_of_the_package(report: dict[str, Any]) -> None:
    import deblur_lit

    assert report["version"] == deblur_lit.__version__


def test_the_command_is_installed_and_counts_networks(environment: Path, tmp_path: Path) -> None:
    listed = json.loads(run(environment / "bin/deblur-lit", "networks", "--json", cwd=tmp_path))
    assert {"unet", "mimo_unet", "baseline", "dffm_msrm"} <= {network["name"] for network in listed}
    assert not list(tmp_path.iterdir())


def test_a_mistake_in_a_training_command_is_one_line_there_too(environment: Path, tmp_path: Path) -> None:
    command = [environment / "bin/deblur-lit", "train", "optimzer.lr=1"]
    done = subprocess.run(list(map(str, command)), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "error: optimzer.lr=1: there is no key 'optimzer.lr'; did you mean 'optimizer.lr'?\n"
    assert not list(tmp_path.iterdir())
