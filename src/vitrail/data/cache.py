"""Where downloads and decoded images are kept, and how a file there is never seen half-written."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from vitrail.errors import InputError
from vitrail.files import expanded, flush_to_disk

DATA_DIR_VARIABLE = "VITRAIL_DATA_DIR"

DAY_SECONDS = 86_400
_FORMAT_VERSION = "2"
_DISK_ERRORS = {
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "the disk is read-only",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.ENOTDIR: "it is not a folder",
    errno.EEXIST: "it is not a folder",
}


def data_dir_or_default(data_dir: Path | None) -> Path:
    """`data_dir`, else the environment variable's, else the user's cache folder.

    Raises InputError for a user without a home directory.
    """
    if data_dir is not None:
        return expanded(data_dir).resolve()
    named = os.environ.get(DATA_DIR_VARIABLE)
    if named:
        return expanded(Path(named)).resolve()
    try:
        return Path(platformdirs.user_cache_dir("vitrail"))
    except RuntimeError as error:
        raise InputError(
            "this user has no home directory to keep downloads and decoded images in: name a folder with --data-dir "
            f"or {DATA_DIR_VARIABLE}"
        ) from error


def fingerprint(*parts: object) -> str:
    """16 hexadecimal digits that change with any of the parts."""
    digest = hashlib.blake2b(_FORMAT_VERSION.encode(), digest_size=8)
    for part in parts:
        digest.update(b"\0" + str(part).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn a failure to write below `folder` into an InputError that names it and the cure."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        raise InputError(
            f"cannot write to the data folder {folder}: {_DISK_ERRORS[error.errno]}; "
            f"choose another with --data-dir or {DATA_DIR_VARIABLE}"
        ) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and is removed otherwise.

    Raises InputError for a folder that cannot be written to.
    """
    temporary = path.with_name(f".tmp-{path.name}-{os.getpid()}-{time.monotonic_ns():x}")
    with disk_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path.parent)
        try:
            yield temporary
            flush_to_disk(temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def _remove_abandoned(folder: Path) -> None:
    """Temporary files that a killed process left more than a day ago."""
    for path in folder.glob(".tmp-*"):
        try:
            if time.time() - path.stat().st_mtime > DAY_SECONDS:
                path.unlink()
        except FileNotFoundError:
            # Another process was quicker.
            continue
