"""Files that are either whole or absent: written aside, flushed to disk, then renamed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from vitrail.errors import InputError, RunError
from vitrail.text import quoted

Json = dict[str, Any]
T = TypeVar("T")

TEMPORARY = ".tmp-"
LOCK = ".lock"
"""In every directory that is written to: a file that is never replaced or removed, so that a lock on it holds."""
_AS_ESCAPE = "backslashreplace"
"""Bytes of a file's name that are not UTF-8 become JSON's escapes, which are read back as they were."""


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flush_to_disk(path: Path) -> None:
    """fsync a file or directory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Replace files that belong together, in this order, once all are on the disk; each atomically.

    Raises RunError in one line where the disk does not take one of them.
    """
    aside = {path: path.with_name(f"{TEMPORARY}{path.name}-{os.getpid()}") for path in contents}
    try:
        for path, temporary in aside.items():
            temporary.unlink(missing_ok=True)
            # Exclusively: a link that somebody left under this name is not followed.
            with temporary.open("xb") as file:
                file.write(contents[path])
                file.flush()
                os.fsync(file.fileno())
        for path, temporary in aside.items():
            os.replace(temporary, path)
    except OSError as error:
        raise RunError(f"{path} could not be written ({error.strerror}); what was there before is untouched") from error
    finally:
        for temporary in aside.values():
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file atomically. Raises RunError in one line where the disk does not take it."""
    write_together({path: content})


def json_bytes(value: Any) -> bytes:
    """The content of a JSON file. NaN and infinity are refused: JSON has neither."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode("utf-8", _AS_ESCAPE)


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file atomically."""
    write_bytes(path, json_bytes(value))


def read_json(path: Path) -> Json:
    """A JSON object. Raises InputError naming the file where it is missing or damaged."""
    stored = checked(path, lambda: json.loads(path.read_text(encoding="utf-8")))
    if not isinstance(stored, dict):
        raise InputError(f"{path} is damaged: a JSON object was expected")
    return stored


def checked(path: Path, read: Callable[[], T]) -> T:
    """What `read` makes of the file at `path`. Raises InputError naming it where that fails."""
    try:
        return read()
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{path} is damaged: {' '.join(what.split())}") from error


def read_json_lines(path: Path) -> list[Json]:
    """The objects of a JSON-lines file, up to the first line that is cut off or damaged."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_bytes().splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            break
        if not isinstance(row, dict):
            break
        rows.append(row)
    return rows


def numbered(path: Path, fits: Callable[[Path], bool]) -> Path:
    """`path`, or the first of `<stem>-2`, `<stem>-3`, ... beside it that is not there, or whose content `fits`."""
    first, number = path, 1
    while path.is_file() and not fits(path):
        number += 1
        path = first.with_stem(f"{first.stem}-{number}")
    return path


def first_free(parent: Path, stem: str) -> Path:
    """Make the first of `<stem>-1`, `<stem>-2`, ... that is not in a directory: no two processes get the same.

    Raises InputError where it cannot be made.
    """
    directory, number = parent, 0
    try:
        parent.mkdir(parents=True, exist_ok=True)
        while True:
            number += 1
            directory = parent / f"{stem}-{number}"
            with contextlib.suppress(FileExistsError):
                directory.mkdir()
                return directory
    except OSError as error:
        raise InputError(f"{directory} cannot be made: {error.strerror}; name another by --out") from error


def check_writable(directory: Path, cure: str = "") -> None:
    """Before long work whose result goes there. Raises InputError, with the cure, where nothing can be written."""
    try:
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise InputError(f"{directory} cannot be written to: {error.strerror}{cure}") from error


def expanded(path: Path) -> Path:
    """With the home directory for `~`. Raises InputError where it is of nobody."""
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise InputError(f"{path}: {error}") from error


def contents(directory: Path) -> list[Path]:
    """What is in a directory, but for its lock and for what a killed process left half-written."""
    return [path for path in directory.iterdir() if path.name != LOCK and not path.name.startswith(TEMPORARY)]


def refuse_taken(directory: Path | None, cure: str) -> None:
    """Before long work whose result goes there. Raises InputError as `claim` does, and makes nothing."""
    if directory is not None and expanded(directory).exists():
        claim(directory, cure)


@contextlib.contextmanager
def claimed(directory: Path, cure: str) -> Iterator[Path]:
    """As `claim`, and nobody else's while the block lasts: of two processes that ask for it, one hears so."""
    with locked(claim(directory, cure)):
        # What another process has finished in the meantime.
        yield claim(directory, cure)


def claim(directory: Path, cure: str) -> Path:
    """Make an empty directory. Raises InputError with the cure where it is not empty or cannot be made."""
    directory = expanded(directory)
    try:
        if directory.exists() and not directory.is_dir():
            raise InputError(f"{directory} is a file: {cure}")
        if directory.exists() and contents(directory):
            raise InputError(f"{directory} is not empty: {cure}")
        directory.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise InputError(f"{directory} cannot be made: {getattr(error, 'strerror', None) or error}") from error
    return directory


@contextlib.contextmanager
def room_for(directory: Path) -> Iterator[None]:
    """Raises RunError in one line where the disk is full while a run is written."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise RunError(
            f"{error.filename or directory} could not be written ({error.strerror}): free some space, then run "
            f"'vitrail resume {quoted(directory)}'"
        ) from error


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold a directory for this process alone. Raises InputError where another one has it."""
    with contextlib.ExitStack() as held:
        # What cannot be written to needs no lock, and file systems without locks still hold runs.
        with contextlib.suppress(OSError):
            file = held.enter_context((directory / LOCK).open("ab"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InputError(f"{directory} is in use by another process") from error
        yield
