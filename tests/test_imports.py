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
    {"tensors", "config", "runs", "pictures", "schedulers", "checkpoint_io", "user_cache", "report", "slurm"},
    {"networks", "losses", "metrics", "data", "provenance", "devices"},
    {"module", "callbacks", "evaluate", "restore", "plan", "bench", "score_files", "score_aligned", "current"},
    {"variants", "model_card"},
    {"train", "evaluation", "reproduce", "score", "pretrain"},
    {"figure"},
    {"cli", "__init__"},
)
LIGHTNING = ("data/datamodule.py", "module.py", "callbacks/", "checkpoint_io.py", "train.py")
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
def test_lightning_stays_in_its_files_and_wandb_outside(path: Path) -> None:
    packages = {module.split(".")[0] for module in imports(parse(path))}
    assert not {"lightning", "pytorch_lightning"} & packages or name_of(path).startswith(LIGHTNING)
    assert "wandb" not in packages


def test_wandb_is_looked_up_by_train_alone() -> None:
    looked_up = 'sys.modules["wandb"]'
    assert [name_of(path) for path in FILES if looked_up in path.read_text(encoding="utf-8")] == ["train.py"]


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
