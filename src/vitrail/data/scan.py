"""Every image read through once: its size, whether it is whole, and a hash of its bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from vitrail.data.archives import MAX_FILE_BYTES
from vitrail.data.decoding import OversizedImageError, UnreadableImageError, read_through
from vitrail.data.members import Container, Member, read_member
from vitrail.data.tones import Header
from vitrail.data.workers import over_chunks
from vitrail.text import shown


class Scanned(NamedTuple):
    """One image file. Where `reason` is not empty it cannot be used, and the header is empty."""

    header: Header
    digest: str
    """Hash of the encoded bytes: equal files have equal ones."""
    reason: str = ""
    oversized: bool = False
    """The reason is a declared size over the limit, which is refused rather than skipped."""


def scan(container: Container, members: Sequence[Member]) -> list[Scanned]:
    """Read all files through, in parallel."""
    found: list[Scanned | None] = [None] * len(members)
    for start, scanned in over_chunks(partial(_scan_chunk, container), members, "Checking images"):
        found[start : start + len(scanned)] = scanned
    return [one for one in found if one is not None]


def _scan_chunk(container: Container, start: int, members: Sequence[Member]) -> list[Scanned]:
    return [_scan_one(container, member) for member in members]


def _scan_one(container: Container, member: Member) -> Scanned:
    digest = ""
    header = Header(0, 0, "", False)
    if member.size > MAX_FILE_BYTES:
        return Scanned(header, digest, f"the file is over the limit of {MAX_FILE_BYTES >> 30} GiB", oversized=True)
    try:
        data = read_member(container, member)
        digest = hashlib.blake2b(data, digest_size=8).hexdigest()
        return Scanned(read_through(data), digest)
    except UnreadableImageError as error:
        return Scanned(header, digest, str(error), isinstance(error, OversizedImageError))
    except MemoryError:
        raise
    # An archive's damaged member raises as variously as a damaged image.
    except Exception as error:
        return Scanned(header, digest, shown(str(error)) or type(error).__name__)
