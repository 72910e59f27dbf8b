"""From the overrides of a sweep to its jobs: the folder of each, its command, and what lies there already."""

import copy
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra._internal.utils import get_args_parser
from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.core.utils import JobReturn, JobStatus, setup_globals
from hydra.errors import ConfigCompositionException
from hydra.types import TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from deblur_lit import runs

# Hydra's own settings that belong to the sweep; a job gets all others.
SWEEP_KEYS = (
    "hydra/launcher",
    "hydra.launcher",
    "hydra/sweeper",
    "hydra.sweeper",
    "hydra.sweep",
    "hydra.mode",
    "hydra.run.dir",
)

# Left behind by another distributed run or seeding; a job that inherits it takes itself for a rank of that.
FOREIGN = (
    "RANK",
    "LOCAL_RANK",
    "NODE_RANK",
    "GROUP_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
    "PL_GLOBAL_SEED",
)


@dataclass
class Job:
    """One job of a sweep.

    `status` is new, begun or finished as found in the folder, then done or failed; `reason` says why failed.
    """

    tag: str
    root: Path  # of the sweep
    folder: Path
    overrides: list[str]
    command: list[str]
    config: DictConfig
    status: str = "new"
    reason: str = ""
    last_lines: list[str] = field(default_factory=list)

    def inspect(self) -> None:
        """Set `status` from what lies in the folder; a folder of another configuration is `failed`."""
        with _hydra_config(self.config):
            try:
                keys = runs.mismatch(self.folder, task_config(self.config))
                finished, begun = runs.is_finished(self.folder), runs.is_begun(self.folder)
            except ValueError as error:
                self.fail(str(error))
                return
        self.status = "finished" if finished else "begun" if begun else "new"
        if keys:
            self.fail(
                f"{self.folder} is {self.status} with another configuration; differing: {', '.join(keys)}. "
                "Name another study (study=...) or delete the folder"
            )

    def fail(self, reason: str) -> None:
        """Mark the job as failed."""
        self.status, self.reason = "failed", reason

    def result(self) -> JobReturn:
        """What Hydra's sweeper gets for a job that is finished."""
        return JobReturn(
            overrides=self.overrides,
            cfg=task_config(self.config),
            hydra_cfg=self.config,
            working_dir=str(self.folder),
            task_name=self.config.hydra.job.name,
            status=JobStatus.COMPLETED,
            _return_value=runs.read_record(self.folder),
        )


def plan(
    loader: ConfigLoader,
    task_function: TaskFunction,
    sweep: DictConfig,
    job_overrides: Sequence[Sequence[str]],
) -> list[Job]:
    """Compose every job of a sweep and look into its folder.

    Raises:
        ConfigCompositionException: if a job's folder cannot be named, or two jobs have the same one.
    """
    setup_globals()
    start = _start(task_function.__module__)
    given: Any = OmegaConf.to_container(sweep.hydra.overrides.hydra)  # to iterate would resolve a ${...}
    settings = [text for text in given if not _is_sweep_key(text)]
    jobs: list[Job] = []
    names: dict[Path, str] = {}
    for number, overrides in enumerate(job_overrides, 1):
        config = loader.load_sweep_config(sweep, list(overrides))
        root, folder = _folder(config, overrides)
        if folder in names:
            raise ConfigCompositionException(
                f"Two jobs of this sweep have the same folder {folder}: "
                f"'{names[folder]}' and '{' '.join(overrides)}'. Sweep only what hydra.sweep.subdir names; "
                "run other values one by one, each as a study=... of its own"
            )
        names[folder] = " ".join(overrides)
        run_dir = QuotedString(text=str(folder), quote=Quote.double).with_quotes()
        command = [*start, *settings, *overrides, f"hydra.run.dir={run_dir}", "hydra.mode=RUN"]
        swept = _swept(config, overrides, job_overrides) or [folder.parent.name]  # runs/<study>/<data>/<row>/seed<k>
        tag = " ".join([f"[row {number}/{len(job_overrides)}", *swept]) + "]"
        job = Job(tag, root, folder, list(overrides), command, config)
        job.inspect()
        jobs.append(job)
    return jobs


def task_config(config: DictConfig) -> DictConfig:
    """The configuration without the node `hydra`, as Hydra hands it to the task and saves it."""
    task = copy.deepcopy(config)
    with read_write(task), open_dict(task):
        del task["hydra"]
    return task


def job_environment(parent: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The environment of a job whose folder the launcher has locked."""
    kept = {name: value for name, value in parent.items() if name not in FOREIGN}
    return kept | {"PYTHONUNBUFFERED": "1", runs.LOCK_HELD: str(folder.resolve())}


def mark(folder: Path) -> str:
    """The entry of a job's environment that no other job has."""
    return f"{runs.LOCK_HELD}={folder.resolve()}"


def _start(task_module: str) -> list[str]:
    """How this program was started, up to the overrides, with the options that choose the configuration."""
    main = sys.modules["__main__"]
    if main.__spec__ is not None:
        start = [sys.executable, "-m", main.__spec__.name]
    elif task_module == "__main__" or str(main.__file__).endswith(".py"):
        start = [sys.executable, str(Path(str(main.__file__)).absolute())]
    else:  # an installed command: its module, so that words of its own (`tool train ...`) are not needed
        start = [sys.executable, "-m", task_module]
    given, _ = get_args_parser().parse_known_args(sys.argv[1:])
    options = {
        "--config-name": given.config_name,
        "--config-path": given.config_path,
        "--config-dir": given.config_dir,
    }
    return start + [word for name, value in options.items() if value is not None for word in (name, value)]


def _swept(config: DictConfig, overrides: Sequence[str], job_overrides: Sequence[Sequence[str]]) -> list[str]:
    """What tells a job from the others: `dffm` of a config group, `seed=0` of a key."""
    own = [text for text in overrides if not all(text in other for other in job_overrides)]
    return [value if key in config.hydra.runtime.choices else f"{key}={value}" for key, value in map(_halves, own)]


def _halves(override: str) -> tuple[str, str]:
    key, _, value = override.partition("=")
    return key, value


def _folder(config: DictConfig, overrides: Sequence[str]) -> tuple[Path, Path]:
    """Return the folder of a job's sweep and its own."""
    with _hydra_config(config):
        try:
            root = Path(str(config.hydra.sweep.dir))
            folder = root / str(config.hydra.sweep.subdir)
        except OmegaConfBaseException as error:
            raise ConfigCompositionException(
                f"hydra.sweep.dir or hydra.sweep.subdir has no value for the job '{' '.join(overrides)}'. "
                "They must name it by what is swept, as in seed${seed}: a job's number is no lasting name"
            ) from error
        with read_write(config.hydra.runtime), open_dict(config.hydra.runtime):
            config.hydra.runtime.output_dir = str(folder.absolute())
    return root, folder


def _is_sweep_key(override: str) -> bool:
    key = _halves(override.lstrip("+~"))[0]
    return any(key == name or key.startswith((f"{name}.", f"{name}@")) for name in SWEEP_KEYS)


@contextmanager
def _hydra_config(config: DictConfig) -> Iterator[None]:
    """Let `${hydra:...}` see the configuration of one job, as it will inside that job."""
    singleton = HydraConfig.instance()
    before = singleton.cfg
    singleton.set_config(config)
    try:
        yield
    finally:
        singleton.cfg = before
