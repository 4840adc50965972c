"""NumPy's arrays of images and labels, by the names of MedMNIST (arXiv:2110.14795) or of Keras; nothing is unpickled.

An .npz is a zip of .npy files, and is listed as one: the same files in a folder are read too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from vitrail.data.layout import TEST, TRAIN, VAL, VAL_TESTS
from vitrail.data.members import Listing, Member, opened
from vitrail.data.pixels import LARGE, LabelledArrays, assembled
from vitrail.errors import InputError
from vitrail.text import shown

_SPLITS = {"train": TRAIN, "val": VAL, "test": TEST}
_BLOCK_BYTES = 2**26


def find(names: Sequence[str]) -> dict[str, str]:
    """The arrays among `names`: from "train-images", "train-labels", "val-images", ... to the name."""
    known = {
        called: f"{split}-{what}"
        for split in _SPLITS
        for what, letter in (("images", "x"), ("labels", "y"))
        for called in (f"{split}_{what}.npy", f"{letter}_{split}.npy")
    }
    found = {known[last]: name for name in names if (last := name.rpartition("/")[2].lower()) in known}
    return found if "train-images" in found else {}


def read(found: Mapping[str, str], listing: Listing, kept: Path) -> LabelledArrays:
    """Images and labels of all splits; what takes over a gigabyte is copied into the folder `kept` and mapped.

    Raises InputError for arrays that are missing or damaged, are no grey or RGB images of 8 bits with one label each,
    or do not fit each other.
    """
    members = {member.name: member for member in listing.members}
    splits = [split for split in _SPLITS if f"{split}-images" in found]
    shapes, labels = [], []
    for split in splits:
        if f"{split}-labels" not in found:
            raise InputError(f"there are no labels of the {split} images: expected {split}_labels, or y_{split}")
        images, of_images = members[found[f"{split}-images"]], members[found[f"{split}-labels"]]
        shapes.append(_shape(listing, images))
        labels.append(_labels(listing, of_images))
        if len(labels[-1]) != shapes[-1][0]:
            counts = f"{shapes[-1][0]:,} images but {shown(of_images.name)} {len(labels[-1]):,} labels"
            raise InputError(f"{shown(images.name)} has {counts}")
    if len({shape[1:] for shape in shapes}) > 1:
        raise InputError(f"the {' and '.join(splits)} images differ in size or channels")
    sizes = [len(part) for part in labels]
    _, height, width, channels = shapes[0]
    shape = (sum(sizes), channels, height, width)
    parts = [members[found[f"{split}-images"]] for split in splits]
    blocks = (block for member in parts for block in _blocks(listing, member))
    val_tests = "val" in splits and "test" not in splits
    places = [TEST if split == "val" and val_tests else _SPLITS[split] for split in splits]
    present, all_labels = np.unique(np.concatenate(labels), return_inverse=True)
    return LabelledArrays(
        images=assembled(blocks, shape, kept / "images.npy" if math.prod(shape) > LARGE else None),
        labels=all_labels.astype(np.int64),
        split=None if len(sizes) == 1 else np.repeat(np.array(places, np.uint8), sizes),
        class_names=tuple(map(str, present.tolist())),
        image_names=tuple(f"{split} #{at}" for split, n in zip(splits, sizes, strict=True) for at in range(n)),
        notes=(VAL_TESTS,) if val_tests else (),
    )


def _shape(listing: Listing, member: Member) -> tuple[int, int, int, int]:
    """(N, H, W, C) of images. Raises InputError for arrays that are none."""
    with _array(listing, member) as (_, shape, dtype):
        size = shape if len(shape) == 4 else (*shape, 1)
        if len(size) != 4 or size[3] not in (1, 3) or dtype != np.uint8 or 0 in size:
            raise InputError(
                f"{shown(member.name)} is {dtype} of shape {shape}: expected uint8 of 0 to 255, as (N, height, width) "
                "or (N, height, width, channels) with 1 or 3 channels"
            )
        return size


def _labels(listing: Listing, member: Member) -> NDArray[np.int64]:
    """(N,) from (N,) or (N, 1). Raises InputError for labels that are no whole numbers, or several of an image."""
    with _array(listing, member) as (file, shape, dtype):
        if dtype.kind not in "iub" or not shape or shape not in (shape[:1], (shape[0], 1)):
            several = ": several labels of one image, or one-hot ones, are not read" if len(shape) > 1 else ""
            raise InputError(f"{shown(member.name)} is {dtype} of shape {shape}{several}; expected whole numbers, (N,)")
        return np.frombuffer(_exactly(file, shape[0] * dtype.itemsize), dtype).astype(np.int64)


def _blocks(listing: Listing, member: Member) -> Iterator[NDArray[np.uint8]]:
    """Images (n, C, H, W), a few at a time."""
    of_one = _shape(listing, member)[1:]
    with _array(listing, member) as (file, shape, _):
        step = max(1, _BLOCK_BYTES // math.prod(of_one))
        for start in range(0, shape[0], step):
            count = min(step, shape[0] - start)
            pixels = np.frombuffer(_exactly(file, count * math.prod(of_one)), np.uint8)
            yield pixels.reshape(count, *of_one).transpose(0, 3, 1, 2)


@contextmanager
def _array(listing: Listing, member: Member) -> Iterator[tuple[IO[bytes], tuple[int, ...], np.dtype[Any]]]:
    """What follows the header, and what that says. Raises InputError for a file that is damaged or holds objects."""
    try:
        with opened(listing.container, member) as file:
            old = npy.read_magic(file) == (1, 0)
            shape, fortran, dtype = (npy.read_array_header_1_0 if old else npy.read_array_header_2_0)(file)
            if dtype.hasobject:
                raise InputError(f"{shown(member.name)} holds Python objects, which are not opened: save plain numbers")
            if fortran and len(shape) > 1:
                raise InputError(f"{shown(member.name)} is in Fortran's order: save numpy.ascontiguousarray of it")
            yield file, shape, dtype
    except InputError:
        raise
    # A damaged archive or header raises almost anything.
    except Exception as error:
        raise InputError(f"{shown(member.name)}: cannot be read ({shown(str(error))}): fetch it again") from error


def _exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise EOFError("it ends too early")
    return data
