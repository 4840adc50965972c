"""TIFF that Pillow refuses or misreads: any number of channels, planes, and numbers of other kinds.

libtiff, by way of Pillow, undoes the compression of what it is told are bytes of grey; what they mean is said here.
"""

from __future__ import annotations

import io
import struct
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import MAX_SAMPLESPERPIXEL, ImageFileDirectory_v2

WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, ORIENTATION, SAMPLES = 256, 257, 258, 259, 262, 274, 277
ROWS_PER_STRIP, PLANES, PREDICTOR, EXTRA, FORMAT, NO_DATA = 278, 284, 317, 338, 339, 42113
_TILE_WIDTH, _TILE_LENGTH, _STRIPS, _TILES = 322, 323, (273, 279), (324, 325)
_KINDS = {1: "u", 2: "i", 3: "f"}
_BIG = b"II+\0"
"""How a BigTIFF begins; Pillow opens none of the other byte order."""
_WHITE_IS_ZERO = 0
_PLAIN = (0, 1, 2)
"""Ways to mean colours by numbers: white is zero, black is zero, RGB."""
_SEPARATE = 2
_ALPHA = {1, 2}
_OF_BYTES = (1, 5, 8, 32773, 32946, 50000)
"""Compressions that know nothing of pixels: none, LZW, deflate, PackBits, deflate again, Zstandard."""


class Directory(NamedTuple):
    """The first image of a TIFF file."""

    tags: ImageFileDirectory_v2
    height: int
    width: int
    samples: int
    bits: int
    kind: str
    """NumPy's letter."""
    order: str
    """Of bytes, by NumPy's sign."""
    separate: bool
    """Whether each channel is a plane of its own."""
    pages: int
    """Two or more are given as two."""

    @property
    def dtype(self) -> np.dtype[np.generic]:
        return np.dtype(f"{self.order}{self.kind}{self.bits // 8}")

    @property
    def misread(self) -> bool:
        """Whether Pillow gives other values than are in such an image, drops half of the bits, or complains aloud."""
        alpha = set(self.tags.get(EXTRA, ())) & _ALPHA
        colours = self.samples > 1 and not alpha and self.tags.get(PHOTOMETRIC) in _PLAIN
        inverted = self.tags.get(PHOTOMETRIC) == _WHITE_IS_ZERO
        signed, many = (self.kind, self.bits) == ("i", 8), self.samples > MAX_SAMPLESPERPIXEL
        return signed or many or (self.bits > 8 and (self.separate or colours or inverted))


def directory(data: bytes) -> Directory | None:
    """None of what is no TIFF file. Raises whatever Pillow does for a damaged one."""
    if data[:4] not in (b"II*\0", b"MM\0*", _BIG):
        return None
    tags = ImageFileDirectory_v2(data[: 16 if data[:4] == _BIG else 8])
    file = io.BytesIO(data)
    file.seek(tags.next)
    tags.load(file)
    kind = _KINDS.get((tags.get(FORMAT) or (1,))[0], "")
    bits = set(tags.get(BITS) or (1,))
    return Directory(
        tags,
        tags.get(LENGTH, 0),
        tags.get(WIDTH, 0),
        tags.get(SAMPLES, 1),
        bits.pop() if len(bits) == 1 else 0,
        kind,
        "<" if data[:2] == b"II" else ">",
        tags.get(PLANES) == _SEPARATE and tags.get(SAMPLES, 1) > 1,
        2 if tags.next else 1,
    )


def read(data: bytes, of: Directory) -> NDArray[np.generic]:
    """The values (height, width) or (height, width, channels) of the first image, as they are stored.

    Of an image in which white is zero they are turned round. Raises ValueError for what is not read, saying so.
    """
    compression, predictor = of.tags.get(COMPRESSION, 1), of.tags.get(PREDICTOR, 1)
    known = of.bits in (8, 16, 32, 64) and of.kind and of.tags.get(PHOTOMETRIC) in _PLAIN
    if not known or compression not in _OF_BYTES or predictor > 2:
        raise ValueError(
            f"TIFF of {of.samples} x {of.bits} bits, colours {of.tags.get(PHOTOMETRIC)}, compression {compression}, "
            f"predictor {predictor}, which is not read: save it as RGB or grey without compression"
        )
    dtype = of.dtype
    together, planes = (1, of.samples) if of.separate else (of.samples, 1)
    places = [np.array_split(of.tags[tag], planes) for tag in (_TILES if _TILES[0] in of.tags else _STRIPS)]
    read = []
    for offsets, counts in zip(*places, strict=True):
        raw = _bytes(data, of, offsets.tolist(), counts.tolist(), together * dtype.itemsize)
        read.append(raw.view(dtype).reshape(of.height, of.width, together))
    values = np.concatenate(read, axis=2)
    if predictor == 2:
        step = of.tags.get(_TILE_WIDTH, of.width)
        values = values.astype(dtype.newbyteorder("="))
        for left in range(0, of.width, step):
            part = values[:, left : left + step]
            np.cumsum(part, axis=1, dtype=values.dtype, out=part)
    if of.tags.get(PHOTOMETRIC) == _WHITE_IS_ZERO:
        values = (1 if of.kind == "f" else 2 ** (of.bits - (of.kind == "i")) - 1) - values
    return values[..., 0] if of.samples == 1 else values


def without_gaps(values: NDArray[np.generic], of: Directory) -> NDArray[np.generic]:
    """With NaN where GDAL's tag says that there is no value, which may be given as -9999."""
    with suppress(ValueError):
        gap = float(str(of.tags.get(NO_DATA, "")).strip("\0 "))
        if (values == gap).any():
            return np.where(values == gap, np.nan, values)
    return values


def _bytes(data: bytes, of: Directory, offsets: list[int], counts: list[int], pixel: int) -> NDArray[np.uint8]:
    """One plane (height, width x bytes of a pixel), as a grey image of so many bytes a row."""
    tags = {WIDTH: [of.width * pixel], LENGTH: [of.height], BITS: [8], COMPRESSION: [of.tags.get(COMPRESSION, 1)]}
    tags |= {PHOTOMETRIC: [1], SAMPLES: [1]}
    if _TILES[0] in of.tags:
        tags |= {_TILE_WIDTH: [of.tags[_TILE_WIDTH] * pixel], _TILE_LENGTH: [of.tags[_TILE_LENGTH]]}
        tags |= {_TILES[0]: offsets, _TILES[1]: counts}
    else:
        tags |= {ROWS_PER_STRIP: [min(of.tags.get(ROWS_PER_STRIP, of.height), of.height)]}
        tags |= {_STRIPS[0]: offsets, _STRIPS[1]: counts}
    order, start = of.order, len(data) + len(data) % 2
    entries, behind, end = b"", b"", start + 2 + 12 * len(tags) + 4
    for tag, values in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(values)}I", *values)
        place = packed if len(values) == 1 else struct.pack(f"{order}I", end + len(behind))
        entries += struct.pack(f"{order}HHI", tag, 4, len(values)) + place
        behind += packed if len(values) > 1 else b""
    header = data[:2] + struct.pack(f"{order}HI", 42, start) + data[8:].ljust(start - 8, b"\0")
    file = io.BytesIO(header + struct.pack(f"{order}H", len(tags)) + entries + bytes(4) + behind)
    with Image.open(file, formats=("TIFF",)) as image:
        return np.ascontiguousarray(np.asarray(image))
