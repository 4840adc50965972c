"""What a data argument names: a known data set, or a path."""

from __future__ import annotations

import difflib
import shlex
from pathlib import Path

from vitrail.data.archives import TAR_SUFFIXES, ZIP_SUFFIXES
from vitrail.data.downloads import PUBLISHED
from vitrail.errors import InputError
from vitrail.files import expanded
from vitrail.text import shown, slug

KNOWN = ("digits", "shapes", *PUBLISHED)
"""Data sets that need no path."""


def existing_path(source: str | Path) -> Path:
    """The absolute path of a data argument that is no known name. Raises InputError where there is no such file."""
    if not str(source):
        raise InputError("the name of the data is empty: name a data set, a folder or an archive")
    path = Path(source)
    try:
        path = path.expanduser()
        if path.exists():
            return path.resolve()
    except (OSError, ValueError, RuntimeError):
        # Longer than a file name may be, with a NUL in it, or in the home of nobody: it does not exist either.
        pass
    close = difflib.get_close_matches(str(source).lower(), KNOWN, n=1)
    if not close and path.parent.is_dir():
        beside = difflib.get_close_matches(path.name, [p.name for p in path.parent.iterdir()], n=1)
        close = [shown(str(path.with_name(name))) for name in beside]
    hint = f"; did you mean {close[0]}?" if close else ""
    raise InputError(f"{shown(str(source))}: no such file or folder, nor a known data set ({', '.join(KNOWN)}){hint}")


def lasting(source: str) -> str:
    """A path as it reads from any folder; the name of a known data set as it is."""
    return source if source in KNOWN else str(Path(source).expanduser().resolve())


def source_name(path: Path) -> str:
    """The last part of a path without its suffix, as a slug."""
    name = path.name.lower()
    for suffix in sorted((*ZIP_SUFFIXES, *TAR_SUFFIXES, ".npz"), key=len, reverse=True):
        if path.is_file() and name.endswith(suffix):
            return slug(path.name[: -len(suffix)])
    return slug(path.name)


def shown_source(source: str) -> str:
    """What a record calls it: a known name, or the last part of a path, which must not be taken for a known name."""
    if source in KNOWN:
        return source
    last = Path(source).name
    return f"./{last}" if last in KNOWN else last


def is_below_data(out: Path, source: str | None) -> bool:
    """Whether a directory is in the folder of the images, where its pictures would be taken for theirs."""
    if source is None or source in KNOWN:
        return False
    folder = expanded(Path(source)).resolve()
    return folder.is_dir() and expanded(out).resolve().is_relative_to(folder)


def refuse_below_data(out: Path | None, source: str | None) -> None:
    """Raises InputError for an --out that is below the data."""
    if out is not None and is_below_data(out, source):
        raise InputError(f"--out {out} lies in the folder of the images, {source}: name a directory outside it")


def data_option(source: str, own: str) -> str:
    """What names it in a command: nothing where it is the command's own."""
    return "" if source == own else f" --data {shlex.quote(shown_source(source))}"
