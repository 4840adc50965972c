"""Files that are damaged while the picture in them is whole."""

from __future__ import annotations

import io
import random
import struct

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_END_OF_JPEG = b"\xff\xd9"
_OF_PNG = b"\x89PNG\r\n\x1a\n"
_PIXELS_OF_PNG = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"eXIf")
_DAMAGED = 0.01
"""The share of pixels that may lack of a JPEG without its end: the last few blocks."""


def padded(data: bytes) -> bool:
    """Whether a JPEG was filled up with zeros, as by a download that was cut off, which Pillow takes for pixels."""
    bare = data.rstrip(b"\0")
    return data[:2] == b"\xff\xd8" and len(bare) < len(data) and not bare.endswith(_END_OF_JPEG)


def mended(data: bytes) -> tuple[bytes, str] | None:
    """The same picture in a file that Pillow reads, and what is wrong with the given one; None where it is lost."""
    if data[:2] == b"\xff\xd8":
        whole = _with_end(data)
        return None if whole is None else (whole, "read although the file lacks its last bytes")
    if data[:8] == _OF_PNG:
        return _bare_png(data), "read although text or a profile in the file cannot be"
    return None


def _with_end(data: bytes) -> bytes | None:
    """A JPEG with its end mark, where all but the last blocks of its pixels are there.

    What follows the last block is never decoded, so it changes pixels only where blocks are missing.
    """
    bare = data.rstrip(b"\0").rstrip(b"\xff")
    noise = random.Random(0).randbytes(4096).replace(b"\xff", b"\0")
    first, second = (_decoded(bare + filler + _END_OF_JPEG) for filler in (b"", noise))
    if first is None or second is None or (first != second).mean() > _DAMAGED:
        return None
    return bare + _END_OF_JPEG


def _decoded(data: bytes) -> NDArray[np.uint8] | None:
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            return np.asarray(image)
    except OSError:
        return None


def _bare_png(data: bytes) -> bytes:
    """A PNG without what is not needed to draw it."""
    kept, at = [_OF_PNG], len(_OF_PNG)
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        if data[at + 4 : at + 8] in _PIXELS_OF_PNG:
            kept.append(data[at : at + 12 + length])
        at += 12 + length
    return b"".join(kept)
