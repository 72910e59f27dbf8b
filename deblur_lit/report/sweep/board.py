"""The status of each job as a table, and where its numbers come from."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from html import escape

from deblur_lit.report.sweep.jobs import Job
from deblur_lit.report.text import one_line, short_hash

NONE = "–"
HEADS = ("Row", "Seed", "State", "Step", "Images/s", "Time left", "Last sign of life")


def board(jobs: Sequence[Job]) -> str:
    """Return the table of jobs; a run that did not end well is followed by why and by its last lines."""
    shown = [job for job in jobs if job.is_training]
    heads = "".join(f'<th scope="col">{head}</th>' for head in HEADS)
    lines = "".join(_line(job) + _trouble(job) for job in shown)
    return (
        '<div class="table" tabindex="0" role="region" aria-label="Jobs"><table class="board">'
        f"<thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def provenance(jobs: Sequence[Job]) -> str:
    """Return of each run its commit, configuration and command."""
    return "".join(f"<li>{''.join(_origin(job))}</li>" for job in jobs)


def _line(job: Job) -> str:
    speed, left = job.images_per_second, job.printed.seconds_left
    mean = ' <small title="mean of the whole training">mean</small>' if job.record and speed else ""
    cells = [
        NONE if job.seed is None else str(job.seed),
        f'<span class="state {job.state}">{job.state}</span>',
        _progress(job),
        NONE if speed is None else f"{speed:.1f}{mean}",
        NONE if left is None or job.state != "running" else str(timedelta(seconds=left)),
        _seen(job),
    ]
    head = f'<th scope="row" title="{_text(job.folder)}">{_text(job.title)}</th>'
    return f"<tr>{head}{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>\n"


def _progress(job: Job) -> str:
    step, steps = job.step, job.steps
    if step is None:
        return NONE if steps is None else f"0 of {steps}"
    if steps is None:
        return f'{step} <small title="nothing says of how many">of ?</small>'
    share = 100 * step / steps if steps else 0
    bar = f'<span class="bar" aria-hidden="true"><i style="width: {min(share, 100):.1f}%"></i></span>'
    return f"{step} of {steps}{bar}"


def _seen(job: Job) -> str:
    """Return a time that the browser turns into an age; of finished runs it would say nothing."""
    if job.seen is None or job.state == "finished":
        return NONE
    seen = datetime.fromtimestamp(int(job.seen), UTC)
    return f'<time datetime="{seen:%Y-%m-%dT%H:%M:%SZ}">{seen:%Y-%m-%d %H:%M:%S} UTC</time>'


def _trouble(job: Job) -> str:
    lines = job.printed.last_lines if job.state in ("failed", "stopped") else ()
    if not job.note and not lines:
        return ""
    note = f"<p>{_text(job.note)}</p>" if job.note else ""
    log = "\n".join(escape(one_line(line)) for line in lines)
    return f'<tr class="note"><td colspan="{len(HEADS)}">{note}{f"<pre>{log}</pre>" if log else ""}</td></tr>\n'


def _origin(job: Job) -> Iterator[str]:
    yield f"<b>{_text(job.folder)}</b>: "
    if job.record is None:
        yield "no record yet, so neither commit nor configuration hash"
    else:
        dirty = "+dirty" if job.record.get("dirty") else ""
        yield f"commit <code>{_text(short_hash(str(job.record.get('commit')) + dirty))}</code>, "
        yield f"config <code>{_text(short_hash(str(job.record.get('config_hash'))))}</code>"
    command = job.printed.command
    if command or job.seen is not None:
        yield f", <code>{_text(command)}</code>" if command else ", command not noted (not started by a sweep)"


def _text(text: str) -> str:
    return escape(one_line(text))
