"""The ways a command can end before it is done."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from vitrail.text import quoted


class InputError(Exception):
    """What the user gave cannot be used: one line that names the thing and the cure (exit code 2)."""


class RunError(Exception):
    """A run that was asked for correctly could not be completed: one line that says why (exit code 1)."""


class Interrupted(Exception):  # noqa: N818 (not an error: the user asked for it)
    """SIGINT or SIGTERM arrived and everything is saved (exit code 128 + signum)."""

    def __init__(self, signum: int, directory: Path | None = None) -> None:
        goes_on = f"; all is saved, and 'vitrail resume {quoted(directory)}' goes on" if directory else ""
        super().__init__(f"interrupted{goes_on}")
        self.signum = signum


_MOST_LISTED = 20


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: `did you mean vit-b16?`, or what is known where nothing is near."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=2)
    more = ", ..." if len(known) > _MOST_LISTED else ""
    return f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(known[:_MOST_LISTED])}{more}"
