"""The files of a folder, .zip or .tar: a list of what is there, and the bytes of one of them."""

from __future__ import annotations

import errno
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Literal, NamedTuple

from vitrail.errors import InputError
from vitrail.text import shown


class Member(NamedTuple):
    """One file."""

    name: str
    """Path below the root, with forward slashes."""
    size: int
    """Bytes, decompressed."""
    at: int
    """Where it is: its place in a .zip's list, its offset in a .tar, its time of change in a folder."""


@dataclass(frozen=True)
class Container:
    """Where files are read from; small enough to send to a worker with every task."""

    kind: Literal["folder", "zip", "tar"]
    path: str
    """As `utf8` has it."""
    stamp: int = 0
    """Time of change in nanoseconds, so that a worker never reads a new archive by an old list."""

    @property
    def in_words(self) -> str:
        return "folder of images" if self.kind == "folder" else f"{self.kind} archive"


@dataclass(frozen=True)
class Listing:
    """What a folder or an archive holds."""

    container: Container
    members: tuple[Member, ...]
    directories: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    """Why it must not be used, one line each; members named there are left out."""
    too_expansive: bool = False
    """It expands beyond the limit: not even to look for further problems may it be read."""
    made_here: tuple[str, ...] = ()
    """Names of what this software wrote there, which is not among the members."""


def utf8(path: str | Path) -> str:
    """A name of the file system, which is bytes, as text: the same in whatever locale it is read."""
    return os.fsencode(path).decode("utf-8", "surrogateescape")


def native(text: str) -> str:
    """What this process calls the file that `utf8` has named."""
    return os.fsdecode(text.encode("utf-8", "surrogateescape"))


def list_folder(folder: Path) -> Listing:
    """Everything below `folder`; links are followed, but never in a circle.

    Raises InputError for a folder in it that cannot be read.
    """
    members, directories = [], []
    try:
        for is_directory, name, status in _walk(str(folder), "", frozenset()):
            if is_directory:
                directories.append(name)
            else:
                members.append(Member(name, status.st_size, status.st_mtime_ns))
    except OSError as error:
        raise InputError(f"{shown(str(error.filename))}: {error.strerror}") from error
    return Listing(Container("folder", utf8(folder)), tuple(sorted(members)), tuple(sorted(directories)))


def _walk(folder: str, prefix: str, above: frozenset[tuple[int, int]]) -> Iterator[tuple[bool, str, os.stat_result]]:
    status = os.stat(folder)
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + utf8(entry.name)
            try:
                status = entry.stat()
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ELOOP):
                    continue  # A link that leads nowhere, or to itself.
                raise
            if entry.is_dir():
                yield True, name, status
                yield from _walk(entry.path, name + "/", above | {identity})
            elif entry.is_file():
                yield False, name, status


def read_member(container: Container, member: Member) -> bytes:
    """The bytes of one file. Raises OSError, zipfile.BadZipFile and the like where it is gone or damaged."""
    with opened(container, member) as file:
        data = file.read(member.size if container.kind == "tar" else -1)
    if container.kind == "tar" and len(data) != member.size:
        raise OSError("the archive ends too early")
    return data


@contextmanager
def opened(container: Container, member: Member) -> Iterator[IO[bytes]]:
    """One file, to be read from its start; a .tar goes on after its end. Raises as `read_member`."""
    if container.kind == "zip":
        archive, infos = _open_zip(native(container.path), container.stamp)
        with archive.open(infos[member.at]) as file:
            yield file
        return
    folder = container.kind == "folder"
    with open(Path(native(container.path), native(member.name) if folder else ""), "rb") as file:
        file.seek(0 if folder else member.at)
        yield file


# Reading the directory of a large archive takes as long as decoding thousands of its images.
@lru_cache(maxsize=1)
def _open_zip(path: str, stamp: int) -> tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]:
    archive = zipfile.ZipFile(path)
    return archive, archive.infolist()
