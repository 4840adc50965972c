"""Labelled images that a source holds as one array from the start, and their resizing."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vitrail.data.cache import fingerprint, replacing
from vitrail.data.decoding import Framing, to_array
from vitrail.progress import track

_STEP = 1000
LARGE = 2**30
"""Bytes; what takes more is kept on the disk, for the next run too."""


class LabelledArrays(NamedTuple):
    """What IDX files, CIFAR batches and the like hold."""

    images: NDArray[np.uint8]
    """(N, C, H, W)"""
    labels: NDArray[np.int64]
    split: NDArray[np.uint8] | None
    class_names: tuple[str, ...]
    image_names: tuple[str, ...]
    notes: tuple[str, ...] = ()


def resized(images: NDArray[np.uint8], framing: Framing, channels: int, kept: Path | None = None) -> NDArray[np.uint8]:
    """Images (N, C, H, W) at another size or channel count, by the rule of `decoding.decode`: (N, channels, H, W).

    They are themselves where nothing changes. What takes more than a gigabyte is kept in a folder, if one is given:
    it is mapped from the disk, and found again. Raises InputError where that cannot be written to.
    """
    shape = (len(images), channels, *framing.size)
    if images.shape == shape and framing.covered == framing.size:
        return images
    stored = None
    if kept is not None and math.prod(shape) > LARGE:
        content = hashlib.blake2b(np.ascontiguousarray(images).data, digest_size=8).hexdigest()
        stored = kept / f"arrays-{fingerprint(content, images.shape, framing, channels)}.npy"
    return assembled(_in_steps(images, framing, channels), shape, stored)


def assembled(blocks: Iterable[NDArray[np.uint8]], shape: tuple[int, ...], stored: Path | None) -> NDArray[np.uint8]:
    """Blocks of images, one after another, as one array: in memory, or in a file that is mapped, and found again."""
    if stored is None:
        result, start = np.empty(shape, np.uint8), 0
        for some in blocks:
            result[start : start + len(some)] = some
            start += len(some)
        return result
    if not stored.exists():
        with replacing(stored) as temporary, temporary.open("wb") as file:
            write_header(file, shape)
            for some in blocks:
                file.write(some.tobytes())
    mapped: NDArray[np.uint8] = np.load(stored, mmap_mode="r", allow_pickle=False)
    return mapped


def _in_steps(images: NDArray[np.uint8], framing: Framing, channels: int) -> Iterator[NDArray[np.uint8]]:
    import joblib

    # Pillow resizes outside the interpreter's lock.
    with (
        track("Resizing images", len(images), "images") as advance,
        ThreadPoolExecutor(joblib.cpu_count()) as threads,
    ):
        for start in range(0, len(images), _STEP):
            some = images[start : start + _STEP]
            yield np.stack(list(threads.map(partial(_resized, framing=framing, channels=channels), some)))
            advance(len(some))


def _resized(image: NDArray[np.uint8], framing: Framing, channels: int) -> NDArray[np.uint8]:
    return to_array(image_of(image), framing, channels)


def write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    """What a .npy file of bytes begins with."""
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def image_of(pixels: NDArray[np.uint8]) -> Image.Image:
    """A (1, H, W) or (3, H, W) array as a Pillow image."""
    return Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))
