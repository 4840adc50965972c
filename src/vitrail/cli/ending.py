"""How a verb ends: a table of results, the files it wrote, and what to do next."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table


def done(*files: Path, then: str) -> None:
    from vitrail.progress import say

    for file in files:
        say(f"wrote {file}")
    say(f"next: {then}")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> "Table":
    from rich.table import Table

    drawn = Table(box=None, pad_edge=False)
    for i, heading in enumerate(head):
        drawn.add_column(heading, justify="right" if i else "left")
    for row in rows:
        drawn.add_row(*row)
    return drawn
