"""One kind of table, and a renderer for each place where people read it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import rich.table
    from markupsafe import Markup

_NUMBER = re.compile(r"[+\-−<>]?\d|[–-]?$")
"""What begins as one, or the dash or nothing that stands in its place."""


@dataclass(frozen=True)
class Table:
    """A caption (or ""), a head, and rows whose first cell names the row."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def to_terminal(table: Table) -> rich.table.Table:
    """Columns of numbers are set to the right. What is in a cell is text, never markup."""
    from rich.table import Table as Drawn
    from rich.text import Text

    title = Text(table.caption) if table.caption else None
    drawn = Drawn(title=title, title_justify="left", box=None, pad_edge=False)
    for i, heading in enumerate(table.head):
        numeric = i > 0 and all(_NUMBER.match(row[i]) for row in table.rows)
        drawn.add_column(Text(heading), justify="right" if numeric else "left", no_wrap=i == 0, overflow="fold")
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

    def cell(kind: str, scope: str, text: str) -> Markup:
        opened = Markup('th scope="{}"').format(scope) if kind == "th" else Markup("td")
        return Markup("<{}><bdi>{}</bdi></{}>").format(opened, text, Markup(kind))

    head = [cell("th", "col", text) if text else Markup("<td></td>") for text in table.head]
    rows = [[cell("td" if i else "th", "row", text) for i, text in enumerate(row)] for row in table.rows]
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
