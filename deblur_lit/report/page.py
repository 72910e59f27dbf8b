"""A laid-out table as one HTML page that asks nothing of any server and runs no script."""

from collections.abc import Iterator
from html import escape

from deblur_lit.report.columns import Cell
from deblur_lit.report.layout import Layout, Line
from deblur_lit.report.text import one_line

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 110rem; padding: 0 1rem; color: #1b1b1b; }
h1 { font-size: 1.3rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; border-block: 2px solid; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .55rem; text-align: right; vertical-align: top; white-space: nowrap; }
th { vertical-align: bottom; font-weight: 600; white-space: normal; }
thead tr:last-child th { border-bottom: 1px solid; }
th.group { text-align: center; border-bottom: 1px solid #aaa; font-weight: 400; font-style: italic; }
tbody th { text-align: left; font-weight: 400; vertical-align: top; min-width: 13rem; }
tbody tr:hover { background: #f2f5fa; }
h2 { font-size: 1.1rem; }
sup { line-height: 0; }
tr.rule th { border-top: 1px solid; font-style: italic; }
td[title] { cursor: help; }
small { display: block; color: #666; }
details { margin: .3rem 0; }
:target { background: #fff3c4; }
""".strip()
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"  # a browser then refuses every request


def page(layout: Layout) -> str:
    """Return a table as an HTML page: every cell says where it comes from under the pointer, every row below."""
    rows = {mark: text for mark, text in layout.notes if mark.isdigit()}
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{_text(layout.title)}</title>",
            f"<style>\n{_STYLE}\n</style>",
            "</head>",
            "<body>",
            f"<h1>{_text(layout.title)}</h1>",
            *(f"<p>{_text(paragraph)}</p>" for paragraph in layout.preface),
            '<div class="scroll">',
            "<table>",
            "<thead>",
            *_heads(layout),
            "</thead>",
            "<tbody>",
            *(_line(line, len(layout.heads)) for line in layout.lines),
            "</tbody>",
            "</table>",
            "</div>",
            *(f"<p><sup>{mark}</sup> {_text(text)}</p>" for mark, text in layout.notes if mark not in rows),
            "<h2>Where the measured numbers come from</h2>",
            *_rows(layout, rows),
            "<h2>Where the published numbers come from</h2>",
            "<ul>",
            *(f"<li>{_text(source)}</li>" for source in layout.sources),
            "</ul>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _text(text: str) -> str:
    return escape(one_line(text))


def _heads(layout: Layout) -> Iterator[str]:
    groups = [
        f'<th class="group" colspan="{width}" scope="colgroup">{_text(label)}</th>' if label else "<th></th>" * width
        for label, width in layout.groups()
    ]
    yield f"<tr>{''.join(groups)}</tr>"
    names = [f'<th scope="col">{_text(head.name)}</th>' for head in layout.heads]
    yield f"<tr>{''.join(names)}</tr>"


def _line(line: Line, width: int) -> str:
    if line.heading:
        return f'<tr class="rule"><th colspan="{width}">{_text(line.heading)}</th></tr>'
    title, *cells, number = line.cells
    link = f'<td><a href="#row{_text(number.text)}">{_text(number.text)}</a></td>'
    return f'<tr><th scope="row">{_content(title)}</th>{"".join(map(_cell, cells))}{link}</tr>'


def _cell(cell: Cell) -> str:
    about = f' title="{_text(cell.about)}"' if cell.about else ""
    return f"<td{about}>{_content(cell)}</td>"


def _content(cell: Cell) -> str:
    marks = "".join(f"<sup>{mark}</sup>" for mark in cell.marks)
    return _text(cell.text) + marks + (f"<small>{_text(cell.second)}</small>" if cell.second else "")


def _rows(layout: Layout, notes: dict[str, str]) -> Iterator[str]:
    """Yield what each row's note says, folded away below its title."""
    titles = {line.cells[-1].text: line.cells[0].text for line in layout.lines if line.cells}
    for number, note in notes.items():
        summary = f"{number} {_text(titles[number])}"
        yield f'<details id="row{number}"><summary>{summary}</summary><p>{_text(note)}</p></details>'
