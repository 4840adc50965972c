"""The two ways a command can end badly."""


class InputError(Exception):
    """What the user gave cannot be used: one line that names the thing and the cure (exit code 2)."""


class RunError(Exception):
    """A run that was asked for correctly could not be completed: one line that says why (exit code 1)."""
