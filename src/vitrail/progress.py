"""Progress on anything that takes longer than two seconds: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Column


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Whoever read the output has gone (`| head`): fall silent, and let the work go on."""
        self.quiet = True
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


console = _Console(highlight=False, soft_wrap=True)

_SECONDS_BETWEEN_LINES = 5.0


def bar() -> BarColumn:
    """At most 20 columns, fewer where the terminal is narrow: what stands beside it has numbers."""
    return BarColumn(bar_width=None, table_column=Column(max_width=20))


@contextmanager
def track(description: str, total: int, unit: str = "") -> Iterator[Callable[..., None]]:
    """Show progress towards `total`; yields `advance(n=1, note="")`.

    On a terminal a bar with the time remaining, which disappears when done. Elsewhere at most one plain line
    every five seconds, and none for work that is done sooner.
    """
    if console.is_terminal:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            bar(),
            MofNCompleteColumn(),
            TextColumn(unit),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task(description, total=total, note="")

            def advance(n: int = 1, note: str = "") -> None:
                progress.update(task, advance=n, note=note)

            yield advance
        return

    done, last = 0, time.monotonic()

    def advance_plainly(n: int = 1, note: str = "") -> None:
        nonlocal done, last
        done += n
        if time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            console.print(f"{description}: {done:,} of {total:,} {unit} {note}".rstrip(), markup=False)

    yield advance_plainly


def say(line: str) -> None:
    """Print one line; names from outside are never read as markup."""
    console.print(line, markup=False)


def say_in_lines(text: str) -> None:
    """Print a sentence: on a terminal it is broken between words, with what follows the first line indented."""
    if console.is_terminal:
        indent = " " * (len(text) - len(text.lstrip()) + 2)
        text = textwrap.fill(
            text, console.width, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
        )
    say(text)


def warn(line: str) -> None:
    """Print one line where it is seen but does not mix with results."""
    print(line, file=sys.stderr)
