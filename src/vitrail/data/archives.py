"""Lists of archives, checked before a byte of content is read. Nothing is ever extracted to the disk by name."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from vitrail.data.cache import replacing
from vitrail.data.members import Container, Listing, Member, utf8
from vitrail.errors import InputError
from vitrail.progress import track
from vitrail.text import shown

MAX_EXPANSION = 100
"""An archive may expand to this many times its size,"""
FREE_EXPANSION_BYTES = 256 * 2**20
"""or to this much, whichever is more,"""
MAX_TOTAL_BYTES = 2**40
"""but never to more than this."""
MAX_FILE_BYTES = 2**30
"""No image file may be larger."""

ZIP_SUFFIXES = (".zip",)
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz")

_COPY_BYTES = 2**20
_COMPRESSIONS: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
_DAMAGE = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile)


def expansion_limit(archive_bytes: int) -> int:
    """The bytes to which an archive of this size may expand."""
    return min(max(MAX_EXPANSION * archive_bytes, FREE_EXPANSION_BYTES), MAX_TOTAL_BYTES)


def list_archive(path: Path, plain: Path) -> Listing:
    """What a .zip or .tar holds; `plain` is or will be the decompressed copy of a compressed .tar.

    Raises InputError for what is neither, is damaged, or expands beyond the limit.
    """
    with path.open("rb") as file:
        is_zip = file.read(2) == b"PK" or path.name.lower().endswith(ZIP_SUFFIXES)
    if not is_zip and not _is_tar(path):
        raise InputError(
            f"{shown(str(path))} is neither a folder nor a .zip or .tar: name what holds one folder of images per class"
        )
    return _list_zip(path) if is_zip else _list_tar(path, plain)


def _list_zip(path: Path) -> Listing:
    status = path.stat()
    container = Container("zip", utf8(path), status.st_mtime_ns)
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except (*_DAMAGE, NotImplementedError) as error:
        raise _corrupt(path, error) from error
    problems = _unsafe_names(path, [info.filename for info in infos])
    expanded = sum(info.file_size for info in infos)
    too_expansive = expanded > expansion_limit(status.st_size)
    if too_expansive:
        problems.append(_too_expansive(path, status.st_size, _amount(expanded)))
    if any(info.flag_bits & 1 for info in infos):
        problems.append(f"{path}: the archive is encrypted: unpack it and give the folder")
    members = tuple(
        Member(_forward(info.filename), info.file_size, at)
        for at, info in enumerate(infos)
        if not info.is_dir() and not stat.S_ISLNK(info.external_attr >> 16) and not _unsafe(info.filename)
    )
    directories = tuple(_forward(info.filename).rstrip("/") for info in infos if info.is_dir())
    return Listing(container, tuple(sorted(members)), directories, tuple(problems), too_expansive)


def _is_tar(path: Path) -> bool:
    """By its name, or its first bytes; it may be damaged."""
    return bool(_opener(path)) or path.name.lower().endswith(TAR_SUFFIXES) or tarfile.is_tarfile(path)


def _opener(path: Path) -> Callable[[IO[bytes]], Any] | None:
    """What opens a compressed file."""
    with path.open("rb") as file:
        start = file.read(max(map(len, _COMPRESSIONS)))
    return next((opener for magic, opener in _COMPRESSIONS.items() if start.startswith(magic)), None)


def _list_tar(path: Path, plain: Path) -> Listing:
    readable = decompressed(path, plain)
    try:
        with tarfile.open(readable, "r:", encoding="utf-8") as archive:
            infos = archive.getmembers()
            end = archive.offset
        # tarfile takes a damaged or missing header for the end, which zeros should mark.
        with readable.open("rb") as file:
            file.seek(end)
            if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError("it does not end as it should")
    except _DAMAGE as error:
        raise _corrupt(path, error) from error
    problems = _unsafe_names(path, [info.name for info in infos])
    members = tuple(
        Member(_forward(info.name), info.size, info.offset_data)
        for info in infos
        if info.isreg() and not info.issparse() and not _unsafe(info.name)
    )
    directories = tuple(_forward(info.name).rstrip("/") for info in infos if info.isdir())
    container = Container("tar", utf8(readable), readable.stat().st_mtime_ns)
    return Listing(container, tuple(sorted(members)), directories, tuple(problems))


def decompressed(path: Path, plain: Path) -> Path:
    """`path` if it is a plain .tar, else `plain`, written first where it does not exist yet.

    A compressed .tar can only be read from its start; the copy gives every image an address.

    Raises InputError for an archive that is damaged or expands beyond the limit, or a copy that cannot be written.
    """
    opener = _opener(path)
    if opener is None:
        return path
    if plain.exists():
        return plain
    size = path.stat().st_size
    limit, written, reported = expansion_limit(size), 0, 0
    with (
        path.open("rb") as file,
        opener(file) as content,
        replacing(plain) as temporary,
        temporary.open("wb") as copy,
        track(f"Decompressing {shown(path.name)}", size // 2**20, "MB") as advance,
    ):
        while chunk := _read_chunk(content, path):
            written += len(chunk)
            if written > limit:
                raise InputError(_too_expansive(path, size, f"more than {_amount(limit)}"))
            copy.write(chunk)
            advance(file.tell() // 2**20 - reported)
            reported = file.tell() // 2**20
    return plain


def _corrupt(path: Path, error: Exception) -> InputError:
    reason = shown(str(error)) or type(error).__name__
    return InputError(f"{shown(str(path))}: the archive is corrupt ({reason}): fetch or pack it again")


def _read_chunk(content: IO[bytes], path: Path) -> bytes:
    try:
        return content.read(_COPY_BYTES)
    except _DAMAGE as error:
        raise _corrupt(path, error) from error


def _forward(name: str) -> str:
    # Archives packed on Windows may hold backslashes; many .tar files begin every name with "./".
    return re.sub(r"^(\./+)+", "", name.replace("\\", "/"))


def _unsafe(name: str) -> bool:
    forward = name.replace("\\", "/")
    return forward.startswith("/") or re.match(r"[A-Za-z]:", forward) is not None or ".." in forward.split("/")


def _unsafe_names(path: Path, names: list[str]) -> list[str]:
    return [
        f"{shown(str(path))}: the archive names a path outside itself ({shown(name)}): do not trust it"
        for name in names
        if _unsafe(name)
    ]


def _too_expansive(path: Path, size: int, expanded: str) -> str:
    return (
        f"{shown(str(path))}: an archive of {_amount(size)} that expands to {expanded}, over the limit of "
        f"{_amount(expansion_limit(size))} ({MAX_EXPANSION} times its size, at least "
        f"{_amount(FREE_EXPANSION_BYTES)}): unpack it yourself and give the folder"
    )


def _amount(size: int) -> str:
    for unit, scale in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size} bytes"
