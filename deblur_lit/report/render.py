"""A laid-out table as Markdown and as LaTeX (booktabs)."""

import textwrap
from collections.abc import Iterator

from deblur_lit.report.columns import Cell
from deblur_lit.report.layout import Layout, Line
from deblur_lit.report.text import one_line

_MARKDOWN = str.maketrans({char: f"\\{char}" for char in "\\|*`<"})
_LATEX = str.maketrans(
    {
        **{char: f"\\{char}" for char in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "±": r"$\pm$",
        "Δ": r"$\Delta$",
        "×": r"$\times$",
        "/": r"/\allowbreak{}",  # long paths in the notes
    }
)


def markdown(layout: Layout) -> str:
    """Return a table as GitHub's Markdown: heading, preface, table, notes, sources."""
    heads = [f"{head.group}, {head.name}".removeprefix(", ") for head in layout.heads]
    rule = ["---", *["---:"] * (len(heads) - 2), "---"]
    rows = [
        [f"**{_markdown(line.heading)}**", *[""] * (len(heads) - 1)] if line.heading else _markdown_cells(line)
        for line in layout.lines
    ]
    parts = [
        f"# {_markdown(layout.title)}",
        *map(_markdown, layout.preface),
        "\n".join(f"| {' | '.join(cells)} |" for cells in [list(map(_markdown, heads)), rule, *rows]),
        "\n".join(f"- **{mark}** {_markdown(text)}" for mark, text in layout.notes),
        "Where the published numbers come from:",
        "\n".join(f"- {_markdown(source)}" for source in layout.sources),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def latex(layout: Layout) -> str:
    """Return a table as a LaTeX float: caption, booktabs table, notes below it."""
    notes = [f"\\textsuperscript{{{mark}}} {latex_escape(text)}\\par" for mark, text in layout.notes]
    return "\n".join(
        [
            r"% needs \usepackage{booktabs} and UTF-8 input",
            r"\begin{table*}",
            r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
            f"\\caption{{{latex_escape(layout.title)}. {latex_escape(' '.join(layout.preface))}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(layout.heads) - 1)}}}",
            r"\toprule",
            *_latex_heads(layout),
            r"\midrule",
            *(_latex_line(line, len(layout.heads)) for line in layout.lines),
            r"\bottomrule",
            r"\end{tabular}",
            r"\begin{flushleft}\scriptsize",
            *notes,
            r"\end{flushleft}",
            r"\end{table*}",
            "",
        ]
    )


def latex_escape(text: str) -> str:
    r"""Return a text that LaTeX prints as it is, on one line.

    Example:
        >>> latex_escape("seed_0 & 5 %")
        'seed\\_0 \\& 5 \\%'
    """
    return one_line(text).translate(_LATEX)


def _markdown(text: str) -> str:
    return one_line(text).translate(_MARKDOWN)


def _markdown_cells(line: Line) -> list[str]:
    return [" ".join(filter(None, (_marked(cell), _markdown(cell.second)))) for cell in line.cells]


def _marked(cell: Cell) -> str:
    return _markdown(cell.text) + "".join(f"<sup>{mark}</sup>" for mark in cell.marks)


def _latex_heads(layout: Layout) -> Iterator[str]:
    """Yield the line of group labels, broken where they are long, the rules below them, and the heads."""
    labels, rules, start = [], [], 1
    for label, width in layout.groups():
        if not label:
            labels += [""] * width
        else:
            lines = r"\\".join(map(latex_escape, textwrap.wrap(label, 9 * width)))
            labels.append(rf"\multicolumn{{{width}}}{{c}}{{\shortstack{{{lines}}}}}")
            rules.append(rf"\cmidrule(lr){{{start}-{start + width - 1}}}")
        start += width
    yield " & ".join(labels) + r" \\"
    yield "".join(rules)
    yield " & ".join(latex_escape(head.name) for head in layout.heads) + r" \\"


def _latex_line(line: Line, width: int) -> str:
    if line.heading:
        return rf"\midrule \multicolumn{{{width}}}{{l}}{{\emph{{{latex_escape(line.heading)}}}}} \\"
    return " & ".join(map(_latex_cell, line.cells)) + r" \\"


def _latex_cell(cell: Cell) -> str:
    text = latex_escape(cell.text)
    if text[:1] in {"-", "+"} and text[1:2].isdigit():
        text = f"${text}$"
    marks = "".join(rf"\textsuperscript{{{mark}}}" for mark in cell.marks)
    return text + marks + (f" {latex_escape(cell.second)}" if cell.second else "")
