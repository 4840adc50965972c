"""One kind of table, and a renderer for each place where people read it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import rich.table
    from markupsafe import Markup

_NUMBER = re.compile(r"[+\-−<>]?\d(?!.*, )|[–-]?$")
"""What begins as one and is no list of them, or the dash or nothing that stands in its place."""
_PLAIN = re.compile(r"[+\-−]?\d[\d,]*(\.\d+)?(e[+-]?\d+)?")
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
"""What some spreadsheet takes for the beginning of a formula."""
_LATEX = str.maketrans(
    {c: f"\\{c}" for c in "{}$&#%_"}
    | {c: f"{{{c}}}" for c in "[]*"}  # After the end of a row, LaTeX would read them as belonging to it.
    | {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "\n": " ", "\r": " "}
    | {"−": "$-$", "±": r"$\pm$", "×": r"$\times$", "<": "$<$", ">": "$>$", "|": "$|$", "–": "--", "…": r"\dots{}"}
)


@dataclass(frozen=True)
class Table:
    """A caption (or ""), a head, and rows whose first cell names the row."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def numeric(self, column: int) -> bool:
        """Whether it is set to the right; the first column names the rows."""
        return column > 0 and all(_NUMBER.match(_text(row[column])) for row in self.rows)


def to_terminal(table: Table) -> rich.table.Table:
    """Columns of numbers are set to the right. What is in a cell is text, never markup."""
    from rich.table import Table as Drawn
    from rich.text import Text

    title = Text(table.caption) if table.caption else None
    drawn = Drawn(title=title, title_justify="left", box=None, pad_edge=False)
    for i, heading in enumerate(table.head):
        justify: Literal["left", "right"] = "right" if table.numeric(i) else "left"
        drawn.add_column(Text(heading), justify=justify, no_wrap=i == 0, overflow="fold")
    for row in table.rows:
        drawn.add_row(*map(Text, row))
    return drawn


def to_markdown(table: Table) -> str:
    """Lines without an end; a `|` in a cell is written as its entity, which every renderer takes for text."""
    lines = [table.head, ["---"] * len(table.head), *table.rows]
    text = "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in lines)
    return f"{table.caption}\n\n{text}" if table.caption else text


def to_html(table: Table, dense: bool = False) -> Markup:
    """A table that scrolls sideways in a region of its own. Everything but a cell that is `Markup` is escaped.

    Args:
        table: needs a caption, by which the region is called.
        dense: for one of many numbers: smaller letters, and less room between the rows.
    """
    from markupsafe import Markup

    def cell(kind: str, scope: str, text: str, column: int) -> Markup:
        opened = Markup('th scope="{}"').format(scope) if kind == "th" else Markup("td")
        number = Markup(' class="number"') if column in numeric else ""
        return Markup("<{}{}><bdi>{}</bdi></{}>").format(opened, number, text, Markup(kind))

    numeric = {i for i in range(len(table.head)) if table.numeric(i)}
    head = [cell("th", "col", text, i) if text else Markup("<td></td>") for i, text in enumerate(table.head)]
    rows = [[cell("td" if i else "th", "row", text, i) for i, text in enumerate(row)] for row in table.rows]
    return Markup(
        '<div class="scroll" role="region" aria-label="{}" tabindex="0">\n<table{}>\n<caption>{}</caption>\n'
        "<thead><tr>{}</tr></thead>\n<tbody>\n{}</tbody>\n</table>\n</div>\n"
    ).format(
        table.caption,
        Markup(' class="dense"') if dense else "",
        table.caption,
        Markup("").join(head),
        Markup("").join(Markup("<tr>{}</tr>\n").format(Markup("").join(row)) for row in rows),
    )


def to_csv(table: Table) -> str:
    """Head and rows as shown, but numbers without signs for thousands, and with the minus sign of programs.

    Text that a spreadsheet would run as a formula stands behind an apostrophe, which makes text of it.
    """

    def cell(text: str, is_name: bool) -> str:
        plain = _text(text)
        if not is_name and _PLAIN.fullmatch(plain):
            return plain.lstrip("+").replace(",", "").replace("−", "-")
        return f"'{plain}" if plain.startswith(_FORMULA) else plain

    written = io.StringIO()
    rows = [[cell(text, i == 0) for i, text in enumerate(row)] for row in table.rows]
    csv.writer(written).writerows([[cell(text, True) for text in table.head], *rows])
    return written.getvalue()


def to_latex(table: Table) -> str:
    """A `tabular` in a `table` with the caption, for which LaTeX needs no package."""
    columns = "".join("r" if table.numeric(i) else "l" for i in range(len(table.head)))
    head, *rows = (
        " & ".join(_text(cell).translate(_LATEX) for cell in row) + r" \\" for row in (table.head, *table.rows)
    )
    caption = table.caption.translate(_LATEX)
    begin = [r"\begin{table}", rf"\caption{{{caption}}}", rf"\begin{{tabular}}{{{columns}}}"]
    return "\n".join([*begin, head, r"\hline", *rows, r"\end{tabular}", r"\end{table}", ""])


def _text(cell: str) -> str:
    """Of a cell that is `Markup`, what is read of it."""
    return cell.striptags() if hasattr(cell, "striptags") else cell
