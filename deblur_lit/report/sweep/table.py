"""The scores of a sweep's rows as an HTML table."""

from html import escape

from deblur_lit.report.columns import DIGITS
from deblur_lit.report.sweep.scores import Line, Scores
from deblur_lit.report.table import Spread
from deblur_lit.report.text import number, one_line

NONE = "–"
HEADS = ("Row", "Seeds", "val PSNR, best", "Δ", "test PSNR", "Δ", "Verdict", "test SSIM", "Δ")


def table(scores: Scores, asked: str) -> str:
    """Return the table with what its differences are worth, and what is left out of it.

    Args:
        scores: what `score` returned.
        asked: the row that differences were to refer to.
    """
    heads = "".join(f'<th scope="col">{_text(head)}</th>' for head in HEADS)
    lines = "".join(map(_line, scores.lines))
    said = [f"Test scores: {scores.label}" + (f", {scores.protocol}, means over images." if scores.protocol else ".")]
    if scores.common:
        said.insert(0, f"All rows: {scores.common}.")
    title = next((line.title for line in scores.lines if line.key == scores.reference), None)
    if title is not None:
        said.append(f"Δ is the difference to the row '{title}'.")
    else:
        said.append(f"No differences: there is no row '{asked}' (--baseline ROW names another).")
    said.append("± is the sample standard deviation over seeds. val PSNR is the best validation of each seed.")
    worth = "".join(f"<li><b>{_text(line.title)}</b>: {_text(line.worth)}</li>" for line in scores.lines if line.worth)
    remarks = dict.fromkeys(remark for line in scores.lines for remark in line.remarks)
    return (
        '<div class="table" tabindex="0" role="region" aria-label="Scores"><table class="scores">'
        f"<thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div>"
        f'<p class="small">{_text(" ".join(said))}</p>'
        + (f'<ul class="small">{worth}</ul>' if worth else "")
        + "".join(f'<p class="missing">{_text(remark)}</p>' for remark in remarks)
    )


def _line(line: Line) -> str:
    measured = line.measured
    count = str(line.seeds) if line.tested == line.seeds else f"{line.tested} of {line.seeds}"
    cells = [
        count,
        _spread(line.validated, "psnr") + (" so far" if line.validated and line.so_far else ""),
        number(line.val_delta, 2, signed=True),
        _spread(measured.psnr if measured else None, "psnr"),
        number(measured.delta_psnr if measured else None, 2, signed=True),
        line.verdict,
        _spread(measured.ssim if measured else None, "ssim"),
        number(measured.delta_ssim if measured else None, 3, signed=True),
    ]
    shown = "".join(f"<td>{_text(cell) or NONE}</td>" for cell in cells)
    return f'<tr><th scope="row">{_text(line.title)}</th>{shown}</tr>\n'


def _spread(value: Spread | None, metric: str) -> str:
    if value is None:
        return ""
    mean = number(value.mean, DIGITS[metric])
    return mean if value.std is None else f"{mean} ± {number(value.std, DIGITS[metric])}"


def _text(text: str) -> str:
    return escape(one_line(text))
