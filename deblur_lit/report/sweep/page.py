"""The page of a sweep, as one HTML file that needs nothing but itself. Equal folders give equal bytes.

There is no clock in it: ages are told by the browser from the times of the files.
"""

import string
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from deblur_lit import web
from deblur_lit.report.sweep.board import board, provenance
from deblur_lit.report.sweep.curves import POINTS, Chart, charts, missing
from deblur_lit.report.sweep.jobs import Job, counts, is_live, read_jobs
from deblur_lit.report.sweep.rows import find
from deblur_lit.report.sweep.scores import REFERENCE, score
from deblur_lit.report.sweep.strips import REDUCED, Pictures, cut
from deblur_lit.report.sweep.table import table
from deblur_lit.report.text import one_line

RELOAD_SECONDS = 10  # between two looks of the open page at its file, while jobs run or wait

ABOUT_CURVES = (
    "Lines are means over the seeds of a row, bands reach from the lowest to the highest seed (one seed has none); "
    "dashed where some seeds have no value yet. Steps that were done again after a restart count once. Point at a "
    "chart, or use the arrow keys in it, for values."
)

Rows = Mapping[str, Sequence[Job]]


def sweep_page(runs: Path, reference: str = REFERENCE) -> tuple[str, list[Job]]:
    """Return the page of a folder of runs and the jobs that it shows.

    Args:
        runs: a folder that holds run folders at any depth, such as runs/<study>.
        reference: the row that differences refer to.

    Raises:
        FileNotFoundError: if it is no folder or holds no run.
        ValueError: if there is no such row, and it was asked for.
    """
    if not runs.is_dir():
        raise FileNotFoundError(f"there is no folder {runs}")
    jobs = read_jobs(runs)
    groups = _groups(jobs, reference)
    if reference != REFERENCE and not any(find(reference, rows) for rows in groups.values()):
        there = ", ".join(dict.fromkeys(row for rows in groups.values() for row in rows))
        raise ValueError(f"{runs} has no row {reference!r}; there is {there}")
    title = runs.resolve().name
    names = [f"{runs.resolve().parent.name}/{title}", *(() if len(groups) > 1 else groups)]
    text = string.Template(web.part("page.html", __package__)).substitute(
        policy=web.POLICY,
        title=_text(title),
        place=_text(" · ".join(names)),
        refresh=f'<meta http-equiv="refresh" content="{RELOAD_SECONDS}">' if is_live(jobs) else "",
        style="".join(map(web.part, ("base.css", "slider.css"))) + web.part("page.css", __package__),
        summary=_summary(jobs),
        board=board(jobs),
        sections="".join(
            _section(f"on{index}", data, rows, reference, len(groups) > 1)
            for index, (data, rows) in enumerate(groups.items())
        ),
        provenance=provenance(jobs),
        data=web.script_data({"live": is_live(jobs), "reload": RELOAD_SECONDS}),
        script="".join(map(web.part, ("elements.js", "slider.js")))
        + "".join(web.part(f"{name}.js", __package__) for name in ("settings", "curves", "pictures", "page")),
    )
    return text, jobs


def _groups(jobs: Sequence[Job], reference: str) -> dict[str, Rows]:
    """Return jobs by data set and row; the reference stands first."""
    groups: dict[str, dict[str, list[Job]]] = defaultdict(lambda: defaultdict(list))
    for job in jobs:
        groups[job.data][job.row].append(job)
    return {
        data: dict(sorted(rows.items(), key=lambda item: item[0] != find(reference, rows)))
        for data, rows in sorted(groups.items())
    }


def _summary(jobs: Sequence[Job]) -> str:
    found = counts(jobs)
    parts = "".join(f'<span class="{state}" style="flex-grow: {number}"></span>' for state, number in found.items())
    words = ", ".join(f"{number} {state}" for state, number in found.items())
    plural = "job" if len(jobs) == 1 else "jobs"
    return f'<div class="share" aria-hidden="true">{parts}</div><p>{len(jobs)} {plural}: {words}.</p>'


def _section(key: str, data: str, rows: Rows, reference: str, several: bool) -> str:
    """Return scores, curves and pictures of one data set; each part that is missing says so."""
    scores = score(data, rows, reference)
    titles = {line.key: line.title for line in scores.lines}
    found = charts({row: [job.log for job in jobs if job.log] for row, jobs in rows.items()})
    pictures = cut(rows)
    where = f" on {_text(data)}" if several else ""
    embedded = {
        "rows": [
            {"key": row, "title": one_line(title), "reference": row == scores.reference}
            for row, title in titles.items()
        ],
        "charts": [_chart(chart) for chart in found],
        "pictures": {
            "uris": pictures.uris,
            "images": {name: pictures.places[name] for name in pictures.images},
            "source": pictures.source,
        },
    }
    return "\n".join(
        [
            f'<div class="group" id="{key}">',
            f'<section aria-labelledby="{key}-scores"><h2 id="{key}-scores">Scores{where}</h2>',
            table(scores, reference),
            "</section>",
            f'<section aria-labelledby="{key}-curves" class="curves"><h2 id="{key}-curves">Curves{where}</h2>',
            *_curves(key, found),
            "</section>",
            f'<section aria-labelledby="{key}-pictures" class="pictures">',
            f'<h2 id="{key}-pictures">Pictures{where}</h2>',
            *_pictures(key, pictures, titles),
            "</section>",
            f'<script type="application/json" class="data">{web.script_data(embedded)}</script>',
            "</div>\n",
        ]
    )


def _chart(chart: Chart) -> dict[str, Any]:
    curves = {row: vars(curve) for row, curve in chart.curves.items()}
    return {"name": one_line(chart.name), "unit": "dB" if chart.name.endswith("psnr") else "", "curves": curves}


def _curves(key: str, found: Sequence[Chart]) -> Iterator[str]:
    if found:
        yield '<div class="toolbar"><div class="legend" role="group" aria-label="Rows shown"></div>'
        yield (
            f'<label>Steps <select id="{key}-range"><option value="0">all</option><option value="0.5">second half'
            '</option><option value="0.75">last quarter</option></select></label></div>'
        )
        yield '<div class="charts"></div>'
        wide = ", ".join(f"{chart.name} over {chart.width} steps" for chart in found if chart.width > 1)
        reduced = f" Reduced to about {POINTS} points, each a mean: {wide}." if wide else ""
        yield f'<p class="small">{ABOUT_CURVES}{escape(reduced)}</p>'
    if absent := missing(found):
        yield f'<p class="missing">Not logged by any run: {_text(", ".join(absent))}.</p>'


def _pictures(key: str, pictures: Pictures, titles: Mapping[str, str]) -> Iterator[str]:
    if pictures.images:
        images = "".join(f'<option value="{_text(name)}">{_text(name)}</option>' for name in pictures.images)
        yield f'<div class="toolbar"><label>Validation image <select id="{key}-image">{images}</select></label>'
        yield (
            f'<label>Show <select id="{key}-kind"><option value="detail">detail</option>'
            '<option value="frame">whole frame</option></select></label></div>'
        )
        yield '<div class="strips"></div>'
        yield "<h3>Any two</h3>"
        yield (
            f'<div class="toolbar"><label>Left <select id="{key}-left"></select></label>'
            f'<label>Right <select id="{key}-right"></select></label></div><div class="pair"></div>'
        )
        yield f'<p class="small">Left of a divider is the blurred input, unless chosen otherwise. {REDUCED}.</p>'
    if pictures.left_out:
        yield f'<p class="missing">Left out for the size of the page: {_text(", ".join(pictures.left_out))}.</p>'
    for row, why in pictures.missing.items():
        yield f'<p class="missing">{_text(titles[row])}: {_text(why)}.</p>'


def _text(text: str) -> str:
    return escape(one_line(text))
