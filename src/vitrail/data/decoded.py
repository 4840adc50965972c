"""The images of a folder or archive in one framing: decoded once, and mapped from the data folder from then on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from vitrail.data.archives import decompressed
from vitrail.data.cache import fingerprint, replacing
from vitrail.data.decoding import Framing, decode_bytes
from vitrail.data.location import Location
from vitrail.data.members import Container, Member, read_member
from vitrail.data.pixels import write_header
from vitrail.data.workers import over_chunks
from vitrail.errors import InputError
from vitrail.text import shown


def decoded_images(
    location: Location, container: Container, members: Sequence[Member], framing: Framing, channels: int
) -> NDArray[np.uint8]:
    """All images in one framing, a read-only memory map (N, channels, height, width); decoded in parallel at first.

    Raises InputError where a file has changed or gone since it was surveyed, or the disk is full or read-only.
    """
    height, width = framing.size
    stored = location.kept / f"{height}x{width}x{channels}-{fingerprint(framing)}.npy"
    if not stored.exists():
        if container.kind == "tar":
            decompressed(location.path, location.plain)
        with replacing(stored) as temporary:
            shape = (len(members), channels, height, width)
            with temporary.open("wb") as file:
                write_header(file, shape)
                offset = file.tell()
                file.truncate(offset + int(np.prod(shape)))
            work = partial(_decode_chunk, container, str(temporary), offset, framing, channels)
            for _ in over_chunks(work, members, "Decoding images"):
                pass
    images: NDArray[np.uint8] = np.load(stored, mmap_mode="r", allow_pickle=False)
    return images


def _decode_chunk(
    container: Container, target: str, offset: int, framing: Framing, channels: int, start: int, some: Sequence[Member]
) -> None:
    """Write a run of images to its place in the file."""
    # Written rather than mapped: a full disk then is an error and not a signal, and no process holds the pages.
    with open(target, "r+b") as file:
        file.seek(offset + start * channels * framing.size[0] * framing.size[1])
        for member in some:
            try:
                image = decode_bytes(read_member(container, member), framing, channels)
            except MemoryError:
                raise
            except Exception as error:
                raise InputError(
                    f"{shown(member.name)}: {shown(str(error))} (it was whole when first read: has it changed?)"
                ) from error
            file.write(image.tobytes())
