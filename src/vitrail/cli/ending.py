"""How a verb ends: a table of results, the files it wrote, and what to do next."""

from collections.abc import Sequence
from pathlib import Path


def done(*files: Path, then: str) -> None:
    from vitrail.progress import say

    for file in files:
        say(f"wrote {file}")
    say(f"next: {then}")


def show(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> None:
    from vitrail.progress import console
    from vitrail.tables import Table, to_terminal

    console.print(to_terminal(Table(caption, head, rows)))
