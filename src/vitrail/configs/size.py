"""Height and width of images."""

from __future__ import annotations

from vitrail.errors import InputError

Size = tuple[int, int]


def as_size(size: int | Size | list[int]) -> Size:
    """`32` or `(32, 48)` (height, width), as a pair."""
    pair = tuple(size) if isinstance(size, tuple | list) else (size, size)
    if len(pair) != 2 or not all(isinstance(side, int) and side >= 1 for side in pair):
        raise InputError(f"image size {size!r}: one or two whole numbers of at least 1 are needed")
    return pair
