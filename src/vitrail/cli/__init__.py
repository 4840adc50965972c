"""The command line: finds the verb, and turns every way it can end into a line and an exit code.

No verb imports torch before it has its arguments, so that help is immediate.
"""

import io
import logging
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module

from vitrail.errors import InputError, Interrupted, RunError, nearest

VERBS = (
    *("demo", "train", "resume", "evaluate", "compare", "predict", "explain", "adopt"),
    *("study", "reproduce", "report", "summary", "doctor"),
)
"""Each is a function of that name in a module of that name."""


def _verb(name: str) -> Callable[[Sequence[str]], None]:
    found: Callable[[Sequence[str]], None] = getattr(import_module(f"vitrail.cli.{name}"), name)
    return found


def usage() -> str:
    fill = partial(textwrap.fill, width=shutil.get_terminal_size().columns, break_on_hyphens=False)
    firsts = {name: (_verb(name).__doc__ or "").splitlines()[0] for name in VERBS}
    lines = [
        fill(
            "Train Vision Transformers on your own images, compare them fairly with a CNN, and see what they look at."
        ),
        "",
        "usage: vitrail VERB [OPTIONS]",
        "",
        *(fill(f"  {name:11}{first}", subsequent_indent=" " * 13) for name, first in firsts.items()),
        "",
        "Try 'vitrail demo' first. 'vitrail VERB --help' shows a verb's options.",
        "'vitrail --install-completion' makes the Tab key complete them (bash and zsh).",
    ]
    return "\n".join(lines)


def run(argv: Sequence[str]) -> int:
    """Carry out a command line; its exit code."""

    if not argv or argv[0] in ("--help", "-h", "help", "--help-all"):
        print(usage())
        return 0 if argv else 2
    if argv[0] == "--version":
        from importlib.metadata import version

        print(f"vitrail {version('vitrail')}")
        return 0
    try:
        if argv[0] == "--install-completion":
            from vitrail.cli.completion import install

            install(argv[1:], {name: _verb(name) for name in VERBS})
            return 0
        if argv[0] not in VERBS:
            raise InputError(f"unknown verb {argv[0]!r}: {nearest(argv[0], VERBS)}")
        _verb(argv[0])(argv[1:])
    except InputError as error:
        print(f"vitrail: {_one_line(error)}", file=sys.stderr)
        return 2
    except RunError as error:
        print(f"vitrail: {_one_line(error)}", file=sys.stderr)
        return 1
    except Interrupted as stop:
        print(f"vitrail: {stop}", file=sys.stderr)
        return 128 + stop.signum
    except KeyboardInterrupt:
        print("vitrail: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of the output has gone: that is its choice, and no error.
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
    except (MemoryError, RuntimeError) as error:
        if not (isinstance(error, MemoryError) or re.search(r"out of memory|can't allocate memory", str(error))):
            raise
        print("vitrail: out of memory: try a smaller --batch-size, --image-size or --model", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"vitrail: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def main() -> None:
    # torch's threads would otherwise spin while they wait for each other. Measured on two cores: at most a fifth
    # slower on an idle machine (nothing at vit-compare's size), but eight times faster beside one busy process.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Without a home directory Matplotlib says at every start that it keeps its fonts elsewhere.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    sys.exit(run(sys.argv[1:]))
