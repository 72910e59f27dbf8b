"""`deblur-lit dashboard`: the workspaces of a sweep at wandb, saved where there is an account, else as JSON."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deblur_lit.account import is_offline, why_unreachable
from deblur_lit.report.dashboard_spec import (
    Dashboard,
    Section,
    baseline_run,
    default_spec,
    deltas,
    read_dashboard,
)
from deblur_lit.report.fields import write_whole

STEP = "trainer/global_step"  # the horizontal axis of every curve
ROW = "row"  # the key of a run's configuration that names its row
SHOWN = 50  # runs in a panel; wandb's default of 10 would leave out seeds


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status; a mistake is one message on stderr and status 1.

    Args:
        arguments: the command line, by default the process's.
    """
    parser = argparse.ArgumentParser(
        prog="deblur-lit dashboard",
        description="Build the workspaces of a sweep at wandb: panels, differences to the baseline, images. With an "
        "account they are saved, and a report of them; without one their specification is written as JSON.",
    )
    spec = "what to show (default: experiments/dashboard.yaml)"
    parser.add_argument("--config", type=Path, metavar="YAML", help=spec)
    parser.add_argument("--study", default="train", help="the sweep: study= of its runs (default: %(default)s)")
    parser.add_argument("--data", help="show only runs on this data set (default: all that the sweep has)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="the runs folder (default: %(default)s)")
    parser.add_argument("--project", default="deblur_lit", help="wandb project (default: %(default)s)")
    parser.add_argument("--entity", help="wandb user or team (default: the account's own)")
    where = "write the JSON there, also with an account (default: dashboard.json)"
    parser.add_argument("--output", type=Path, metavar="FILE", help=where)
    options = parser.parse_args(arguments)
    try:
        _run(options)
    except (ValueError, OSError) as error:
        print(f"dashboard: {error}", file=sys.stderr)
        return 1
    return 0


def _run(options: argparse.Namespace) -> None:
    dashboard = read_dashboard(options.config or default_spec())
    study = options.runs / options.study
    reason = _why_not_saved()
    entity = options.entity or ("" if reason else _own_entity())
    workspaces = build(dashboard, study, options.data, options.project, entity)
    if baseline_run(study, options.data, dashboard.baseline) is None:
        print(f"no run of {dashboard.baseline} under {study}: choose the baseline in the list of runs yourself")
    if reason or options.output:
        output = options.output or Path("dashboard.json")
        write_whole(output, (json.dumps(specification(workspaces), indent=1) + "\n").encode())
        print(f"{reason + ': ' if reason else ''}the specification is in {output}")
    if not reason:
        with _said_by_wandb():
            for workspace in workspaces:
                print(f"workspace {workspace.name}: {workspace.save().url}")
            print(f"report: {_save_report(dashboard, study, options.data, options.project, entity)}")


def _why_not_saved() -> str | None:
    """Return why nothing is saved at wandb, None if it can be."""
    if is_offline():
        return "no account here"
    import wandb

    return why_unreachable(wandb.setup().settings.base_url)


def _own_entity() -> str:
    import wandb

    with _said_by_wandb():
        return str(wandb.Api().default_entity)


@contextmanager
def _said_by_wandb() -> Iterator[None]:
    """Turn what wandb refuses, such as a key or a project that is not there, into one line."""
    import wandb

    try:
        yield
    except (wandb.Error, ValueError) as error:
        raise ValueError(f"wandb: {' '.join(str(error).split())}") from error


def build(dashboard: Dashboard, study: Path, data: str | None, project: str, entity: str) -> list[Any]:
    """Return the workspaces: one of all rows, one line each, and for each row one beside the baseline.

    Args:
        dashboard: what to show.
        study: runs/<study>, for the differences and for the name of the baseline run.
        data: show only runs on this data set; None: on all.
        project: at wandb.
        entity: at wandb, "" where it is not known.

    Raises:
        ValueError: if wandb-workspaces is not installed.
    """
    try:
        import wandb_workspaces.workspaces as ws
    except ImportError as error:
        raise ValueError(f"wandb-workspaces is missing ({error}): pip install 'deblur_lit[dashboard]'") from error
    run = baseline_run(study, data, dashboard.baseline)
    all_rows = (dashboard.baseline, *dashboard.rows)
    views = [(f"{dashboard.title}: {study.name}", all_rows)]
    views += [(f"{dashboard.title}: {study.name}, {row}", (dashboard.baseline, row)) for row in dashboard.rows]
    return [
        ws.Workspace(
            entity=entity,
            project=project,
            name=name,
            sections=[
                ws.Section(
                    name=section.title, panels=list(_panels(section, dashboard, study, data, rows)), is_open=True
                )
                for section in dashboard.sections
            ],
            settings=ws.WorkspaceSettings(x_axis=STEP, max_runs=SHOWN),
            runset_settings=ws.RunsetSettings(
                filters=_filters(study, data, rows),
                groupby=[ws.Config(ROW)] if rows == all_rows else [],
                pinned_columns=[f"summary:{name}" for name in dashboard.columns],
                baseline_run=run,
            ),
        )
        for name, rows in views
    ]


def _filters(study: Path, data: str | None, rows: Sequence[str]) -> Any:
    import wandb_workspaces.workspaces as ws

    of_data = [] if data is None else [ws.Config("data.name") == data]
    return ws.And(ws.Metric("Group") == study.name, ws.Config(ROW).isin(list(rows)), *of_data)


def _panels(
    section: Section, dashboard: Dashboard, study: Path, data: str | None, rows: Sequence[str]
) -> Iterator[Any]:
    from wandb_workspaces.reports.v2 import interface as wr

    for name in section.names:
        if section.kind == "lines":
            yield wr.LinePlot(
                title=name,
                x=STEP,
                y=[name],
                groupby=wr.Config(ROW),
                groupby_aggfunc="mean",
                groupby_rangefunc=dashboard.band,
                max_runs_to_show=SHOWN,
            )
        elif section.kind == "bars":
            yield wr.BarPlot(
                title=name,
                metrics=[name],
                groupby=wr.Config(ROW),
                groupby_aggfunc="mean",
                groupby_rangefunc=dashboard.band,
                max_runs_to_show=SHOWN,
            )
        elif section.kind == "images":
            yield wr.MediaBrowser(title=name, media_keys=[name], mode="grid", grid_x_axis="step", grid_y_axis="run")
        elif section.kind == "tables":
            yield wr.WeavePanelSummaryTable(table_name=name)
        else:
            others = [row for row in rows if row != dashboard.baseline]
            yield wr.MarkdownPanel(markdown=deltas(study, data, dashboard.baseline, others, name))


def specification(workspaces: Sequence[Any]) -> list[dict[str, Any]]:
    """Return what would be saved, as JSON, with numbered panels in place of names drawn at random."""
    found = []
    for workspace in workspaces:
        view = json.loads(workspace._to_model().model_dump_json(by_alias=True, exclude_none=True))
        for number, section in enumerate(view["spec"]["section"]["panelBankConfig"]["sections"], 1):
            for place, panel in enumerate(section["panels"], 1):
                panel["__id__"] = f"panel-{number}-{place}"
        found.append(view)
    return found


def _save_report(dashboard: Dashboard, study: Path, data: str | None, project: str, entity: str) -> str:
    """Save a report with the same panels, for each row beside the baseline, and return its address."""
    from wandb_workspaces.reports.v2 import interface as wr

    blocks: list[Any] = []
    for row in dashboard.rows:
        rows = (dashboard.baseline, row)
        filters = _filters(study, data, rows)
        runs = wr.Runset(entity=entity, project=project, name=row, filters=filters, groupby=[f"config.{ROW}"])
        panels = [panel for section in dashboard.sections for panel in _panels(section, dashboard, study, data, rows)]
        blocks += [wr.H2(f"{row} and {dashboard.baseline}"), wr.PanelGrid(runsets=[runs], panels=panels)]
    title = f"{dashboard.title}: {study.name}"
    report = wr.Report(entity=entity, project=project, title=title, blocks=blocks)
    report.save()
    return str(report.url)


if __name__ == "__main__":
    sys.exit(main())
