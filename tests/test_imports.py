"""Who may import whom, and what must start fast."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
PACKAGE = REPO / "deblur_lit"
PLUGIN = PACKAGE / "plugins"
FILES = sorted(path for path in PACKAGE.rglob("*.py") if PLUGIN not in path.parents)

# A part imports itself and the layers below it. What stands in one layer does not import each other.
LAYERS = (
    {"account", "web", "nodes", "ensembles"},
    {
        "tensors",
        "config",
        "runs",
        "pictures",
        "schedulers",
        "checkpoint_io",
        "user_cache",
        "report",
        "slurm",
        "meeting",
    },
    {"networks", "losses", "metrics", "data", "provenance", "devices"},
    {
        "module",
        "callbacks",
        "tracking",
        "evaluate",
        "restore",
        "plan",
        "score_files",
        "score_aligned",
        "current",
        "pretrained",
    },
    {"variants", "predict", "hub", "model_card", "line_filter_fit"},
    {"bench", "app", "export"},
    {"train", "evaluation", "reproduce", "score", "pretrain"},
    {"figure"},
    {"cli", "__init__"},
)
LIGHTNING = ("data/datamodule.py", "module.py", "callbacks/", "checkpoint_io.py", "tracking.py", "train.py")
WANDB = {"tracking.py", "report/dashboard.py"}
SLOW = {"torch", "lightning", "kornia", "albumentations", "skimage", "cv2"}  # seconds to import


def part_of(module: str) -> str:
    """The part that a dotted name below deblur_lit belongs to; the package itself is `__init__`."""
    name = [*module.split("."), "__init__"][1]
    return name if (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file() else "__init__"


def imports(tree: ast.AST) -> Iterator[str]:
    """Every imported module; `from package import name` counts as `package.name`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in line {node.lineno}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def at_module_level(tree: ast.Module) -> Iterator[str]:
    """What is imported as soon as the file is: not what functions import, nor what only type checkers see."""
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            continue
        if isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
            continue
        yield from imports(statement)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    layer = {part: number for number, parts in enumerate(LAYERS) for part in parts}
    own = part_of("deblur_lit." + name_of(path).removesuffix(".py").replace("/", "."))
    assert own in layer, f"{own} stands in no layer of this test: say where it belongs"
    used = {part_of(module) for module in imports(parse(path)) if module.split(".")[0] == "deblur_lit"} - {own}
    assert not [part for part in used if layer[part] >= layer[own]]


def test_the_plugin_needs_nothing_but_the_facts_of_run_folders() -> None:
    used = {module for path in PLUGIN.rglob("*.py") for module in imports(parse(path))}
    assert {module for module in used if module.startswith("deblur_lit")} == {"deblur_lit.runs"}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_lightning_and_wandb_stay_in_their_files(path: Path) -> None:
    packages = {module.split(".")[0] for module in imports(parse(path))}
    assert not {"lightning", "pytorch_lightning"} & packages or name_of(path).startswith(LIGHTNING)
    assert not {"wandb", "wandb_workspaces"} & packages or name_of(path) in WANDB
    assert not {"wandb", "wandb_workspaces"} & {module.split(".")[0] for module in at_module_level(parse(path))}


@pytest.mark.parametrize("path", [PACKAGE / "cli.py", *(PACKAGE / "report").glob("*.py")], ids=name_of)
def test_what_answers_at_once_imports_nothing_slow(path: Path) -> None:
    packages = {module.split(".")[0] for module in at_module_level(parse(path))}
    assert not packages & (SLOW | {"hydra", "omegaconf"})


def loaded_after(code: str) -> set[str]:
    """Top-level packages that a fresh interpreter has loaded after some code."""
    program = f"{code}\nimport sys\nprint('loaded', *{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize(
    "code",
    [
        "import deblur_lit",
        "import deblur_lit.cli, deblur_lit.report.__main__",
        "import contextlib\nfrom deblur_lit.cli import main\nwith contextlib.suppress(SystemExit): main(['--help'])",
    ],
    ids=["the package", "cli and report", "deblur-lit --help"],
)
def test_a_glance_loads_nothing_slow(code: str) -> None:
    loaded = loaded_after(code)
    assert "deblur_lit" in loaded
    assert not loaded & (SLOW | {"hydra"})


def test_a_mistake_in_a_training_command_is_found_before_anything_slow_is_loaded() -> None:
    assert not loaded_after("import deblur_lit.train") & SLOW


def test_restoring_a_photo_loads_nothing_that_only_training_needs(tmp_path: Path) -> None:
    build = (
        "import numpy as np, torch\nfrom pathlib import Path\nfrom omegaconf import OmegaConf\n"
        "from safetensors.torch import save_file\nfrom deblur_lit import load_network\n"
        "from deblur_lit.nodes import network_config\nfrom deblur_lit.predict.deblurrer import Deblurrer\n"
        "from deblur_lit.pretrained import load_folder\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "words = ['channels=2', 'num_blocks=1']\n"
        "OmegaConf.save(network_config('dffm_msrm', words).network, folder / 'config.yaml')\n"
        "save_file(load_network('dffm_msrm', overrides=words).state_dict(), folder / 'model.safetensors')\n"
        "image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)\n"
        "assert Deblurrer(load_folder(folder), tile=32, device='cpu').restore(image).image.shape == image.shape"
    )
    loaded = loaded_after(build)
    assert {"deblur_lit", "torch", "omegaconf"} <= loaded
    assert not loaded & {"wandb", "hydra", "albumentations", "lightning", "kornia", "cv2", "skimage", "torchmetrics"}


@pytest.mark.parametrize("name", ["plan", "engine", "guard", "memory", "reach", "whole_image", "kinds", "deblurrer"])
def test_the_engine_runs_without_torch(name: str) -> None:
    assert "torch" not in loaded_after(f"import deblur_lit.predict.{name}")
