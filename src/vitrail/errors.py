"""The ways a command can end before it is done."""

from __future__ import annotations

from pathlib import Path


class InputError(Exception):
    """What the user gave cannot be used: one line that names the thing and the cure (exit code 2)."""


class RunError(Exception):
    """A run that was asked for correctly could not be completed: one line that says why (exit code 1)."""


class Interrupted(Exception):  # noqa: N818 (not an error: the user asked for it)
    """SIGINT or SIGTERM arrived and everything is saved (exit code 128 + signum)."""

    def __init__(self, signum: int, directory: Path | None = None) -> None:
        goes_on = f"; all is saved, and 'vitrail resume {directory}' goes on" if directory else ""
        super().__init__(f"interrupted{goes_on}")
        self.signum = signum
