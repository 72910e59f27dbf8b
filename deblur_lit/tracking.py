"""A run at wandb: offline by itself, never waiting for a network, and complete at its end."""

import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from deblur_lit.account import has_account, why_unreachable

INIT_SECONDS = 15.0  # for the server to take a run, once it answers; wandb itself waits for 90
FINISH_SECONDS = 30.0  # for what is not uploaded at the end; wandb itself waits for ever
STEP = "trainer/global_step"  # Lightning's name of the horizontal axis
COLUMNS = ("name", "psnr", "ssim", "psnr_blur", "ssim_blur")  # of the table of images


class RunLogger(WandbLogger):
    """Lightning's logger of wandb, whose step is the optimiser step, and which falls back to offline.

    Offline runs lie in `<save_dir>/wandb/offline-run-*`, one folder for each start of the run, all with one id: `wandb
    sync` joins them. Online, a server that is not there costs a few seconds and one line, and the run goes on offline.

    Args:
        project: of wandb.
        save_dir: the run folder.
        id: of the run; the same after a resume.
        offline: whether to ask no server.
        name: of the run.
        group: the sweep that it belongs to.
        job_type: what kind of run it is.
        tags: what to find it by.
    """

    def __init__(
        self,
        project: str,
        save_dir: str,
        id: str,
        offline: bool,
        name: str,
        group: str,
        job_type: str,
        tags: Sequence[str],
    ) -> None:
        super().__init__(
            project=project, save_dir=save_dir, id=id, name=name, group=group, job_type=job_type, tags=list(tags)
        )
        self._offline = offline
        del self._wandb_init["anonymous"]  # Lightning names it, wandb warns of it

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The run, started when it is first asked for, on the first rank alone."""
        if self._experiment is None:
            self._experiment = self._start()
        return self._experiment

    def _start(self) -> Any:
        import wandb

        os.environ.setdefault(
            "WANDB_DISABLE_WEAVE", "1"
        )  # which advertises itself where a library of its kind is loaded
        if os.environ.get("WANDB_MODE") == "disabled":
            return self._init("disabled", wandb.Settings())
        reason = _reason_to_stay_offline() if self._offline else why_unreachable(wandb.setup().settings.base_url)
        if reason is None:
            settings = wandb.Settings(
                init_timeout=INIT_SECONDS, finish_timeout=FINISH_SECONDS, finish_timeout_raises=True
            )
            try:
                return self._init("online", settings)
            except wandb.Error as error:
                reason = _first_line(error)
                wandb.teardown()  # or its service would hold the id of the run that the server did not take
        return self._start_offline(reason, "offline-run-*")

    def _init(self, mode: Literal["online", "offline", "disabled"], settings: Any) -> Any:
        import wandb

        run = wandb.init(**self._wandb_init, mode=mode, settings=settings)
        run.define_metric(STEP)
        run.define_metric("*", step_metric=STEP)
        return run

    def _start_offline(self, reason: str, folders: str) -> Any:
        import wandb

        run = self._init("offline", wandb.Settings(silent=True))
        print(f"wandb: {reason}, so offline; `wandb sync {self._place(folders)}` uploads", flush=True)
        return run

    def _place(self, folders: str) -> str:
        return f"{shlex.quote(str(self.save_dir))}/wandb/{folders}"

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log values at an optimiser step, which is wandb's own step too, so that it goes on after a resume."""
        self.experiment.log({**metrics, STEP: step} if step is not None else dict(metrics), step=step)

    @rank_zero_only
    def log_record(self, record: Mapping[str, Any]) -> None:
        """Log what a finished run was worth: the scores in the summary, and each test image in a table.

        Args:
            record: the completion record (metrics.json).
        """
        [scores] = record["scores"].values()
        training = record["training"]
        rows = [[image["name"], *(float(image[key]) for key in COLUMNS[1:])] for image in scores["per_image"]]
        self._log_table("test/per_image", rows, training["steps"] - 1)
        summary = {f"test/{key}": float(scores[key]) for key in COLUMNS[1:]}
        if training["val_psnr"] is not None:
            summary["val/psnr_scored"] = training["val_psnr"]
        self.experiment.summary.update(summary)

    def _log_table(self, key: str, rows: list[list[Any]], step: int) -> None:
        """Log a table, for which wandb asks the server: one that went away in the meantime is left here."""
        import wandb

        run = self.experiment
        reason = None if run.offline or run.disabled else why_unreachable(run.settings.base_url)
        try:
            if reason is None:
                return self.log_table(key, columns=list(COLUMNS), data=rows, step=step)
        except wandb.Error as error:
            reason = _first_line(error)
        self._finish(0)
        self._experiment = self._start_offline(reason, "*run-*")
        self.log_table(key, columns=list(COLUMNS), data=rows, step=step)

    @rank_zero_only
    def close(self, exit_code: int) -> None:
        """End the run, which is marked as failed unless the exit code is 0."""
        if self._experiment is not None and not self._finish(exit_code):
            place = self._place("*run-*")
            print(f"wandb: the upload did not end in {FINISH_SECONDS:g} s; `wandb sync {place}` goes on", flush=True)

    def _finish(self, exit_code: int) -> bool:
        run: Any = self._experiment
        self._experiment = None
        try:
            run.finish(exit_code=exit_code)
        except TimeoutError:
            return False
        return True


def _reason_to_stay_offline() -> str:
    return "asked to stay here" if has_account() or os.environ.get("WANDB_MODE") else "no account here"


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
