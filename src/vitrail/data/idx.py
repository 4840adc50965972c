"""The IDX files in which MNIST and its relatives are published."""

from __future__ import annotations

import gzip
import io
import math
import re
import struct
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from vitrail.data.layout import TEST, TRAIN
from vitrail.data.pixels import LabelledArrays
from vitrail.errors import InputError
from vitrail.text import shown

MAX_BYTES = 8 * 2**30
"""A header that declares more is refused."""

_NAME = re.compile(r"(?:.*/)?(train|t10k|test)-(images|labels)[-.]idx[13]-ubyte(?:\.gz)?")


def find(names: Sequence[str]) -> dict[str, str]:
    """The IDX files among `names`: from "train-images", "train-labels", "test-images", "test-labels" to the name."""
    found: dict[str, str] = {}
    # The uncompressed one of two is read.
    for name in sorted(names, key=len, reverse=True):
        if match := _NAME.fullmatch(name):
            found[f"{'train' if match[1] == 'train' else 'test'}-{match[2]}"] = name
    return found


def read(found: Mapping[str, str], contents: Mapping[str, bytes]) -> LabelledArrays:
    """Images and labels of the training files and, where there are any, the test files.

    `found` is as `find` returns, and `contents` leads from names to bytes, compressed or not. Raises InputError for a
    file that is missing, damaged, or does not fit the others.
    """
    images, labels = [], []
    splits = [split for split in ("train", "test") if any(key.startswith(split) for key in found)]
    for split in ["train", *splits[1:]]:
        for key in (f"{split}-images", f"{split}-labels"):
            if key not in found:
                raise InputError(f"there is no {key} file beside {shown(next(iter(found.values())))}")
        image_file, label_file = found[f"{split}-images"], found[f"{split}-labels"]
        images.append(parse(contents[image_file], image_file, 3))
        labels.append(parse(contents[label_file], label_file, 1))
        if len(images[-1]) != len(labels[-1]):
            raise InputError(
                f"{shown(image_file)} has {len(images[-1]):,} images but {shown(label_file)} {len(labels[-1]):,} labels"
            )
    if len({i.shape[1:] for i in images}) > 1:
        raise InputError(f"{shown(found['train-images'])} and {shown(found['test-images'])} differ in image size")
    present, all_labels = np.unique(np.concatenate(labels), return_inverse=True)
    sizes = [len(part) for part in labels]
    return LabelledArrays(
        images=np.concatenate(images)[:, None],
        labels=all_labels.astype(np.int64),
        split=None if len(sizes) == 1 else np.repeat(np.array([TRAIN, TEST], np.uint8), sizes),
        class_names=tuple(map(str, present.tolist())),
        image_names=tuple(f"{split}-images #{at}" for split, n in zip(splits, sizes, strict=True) for at in range(n)),
    )


def parse(data: bytes, name: str, dimensions: int) -> NDArray[np.uint8]:
    """The array of unsigned bytes in one IDX file, gzipped or not. Raises InputError for a damaged or another file."""
    name = shown(name)
    try:
        stream = gzip.GzipFile(fileobj=io.BytesIO(data)) if data[:2] == b"\x1f\x8b" else io.BytesIO(data)
        header = stream.read(4 + 4 * dimensions)
        if len(header) < 4 + 4 * dimensions or header[:4] != bytes((0, 0, 8, dimensions)):
            raise InputError(f"{name}: not an IDX file of unsigned bytes in {dimensions} dimensions")
        shape = struct.unpack(f">{dimensions}I", header[4:])
        size = math.prod(shape)
        if size > MAX_BYTES:
            raise InputError(f"{name}: declares {size:,} bytes, over the limit of {MAX_BYTES >> 30} GiB")
        content = stream.read(size)
        stream.read(1)  # Gzip's checksum lies behind the content, and is compared when the end is read.
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{name}: the file is corrupt ({error}): fetch it again") from error
    if len(content) < size:
        raise InputError(f"{name}: the file ends after {len(content):,} of {size:,} bytes: fetch it again")
    return np.frombuffer(content, np.uint8).reshape(shape)
