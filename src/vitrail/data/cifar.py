"""The binary batches in which CIFAR-10 and CIFAR-100 are published (https://www.cs.toronto.edu/~kriz/cifar.html)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

import numpy as np

from vitrail.data.layout import TEST, TRAIN
from vitrail.data.pixels import LabelledArrays
from vitrail.errors import InputError
from vitrail.text import natural_key, shown

_PIXEL_BYTES = 3 * 32 * 32
_CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_CIFAR10_NAMES = "batches.meta.txt"
_CIFAR100_NAMES = "fine_label_names.txt"


def find(names: Sequence[str]) -> dict[str, str]:
    """The CIFAR files among `names`, by their last component; empty unless training batches are among them."""
    wanted = re.compile(rf"data_batch_\d\.bin|test_batch\.bin|train\.bin|test\.bin|{_CIFAR10_NAMES}|{_CIFAR100_NAMES}")
    found = {base: name for name in names if wanted.fullmatch(base := PurePosixPath(name).name)}
    return found if "train.bin" in found or any(base.startswith("data_batch") for base in found) else {}


def read(found: Mapping[str, str], contents: Mapping[str, bytes]) -> LabelledArrays:
    """As `idx.read`; of CIFAR-100 the fine labels. Raises InputError for a batch that is missing or damaged."""
    hundred = "train.bin" in found
    train = ["train.bin"] if hundred else [f"data_batch_{k}.bin" for k in range(1, 6)]
    test = "test.bin" if hundred else "test_batch.bin"
    if missing := [batch for batch in [*train, test] if batch not in found]:
        raise InputError(f"the CIFAR batch {missing[0]} is missing beside {shown(min(found.values()))}")
    label_bytes = 2 if hundred else 1
    names = _CIFAR100_NAMES if hundred else _CIFAR10_NAMES
    classes = tuple(contents[found[names]].decode("utf-8", "replace").split()) if names in found else ()
    if not classes:
        classes = tuple(str(label) for label in range(100)) if hundred else _CIFAR10_CLASSES

    records, sizes = [], []
    for batch in [*sorted(train, key=natural_key), test]:
        data = contents[found[batch]]
        if not data or len(data) % (label_bytes + _PIXEL_BYTES):
            raise InputError(
                f"{shown(found[batch])}: {len(data):,} bytes are no whole number of CIFAR records of "
                f"{label_bytes + _PIXEL_BYTES}: fetch it again"
            )
        records.append(np.frombuffer(data, np.uint8).reshape(-1, label_bytes + _PIXEL_BYTES))
        sizes.append(len(records[-1]))
    labels = np.concatenate([r[:, label_bytes - 1] for r in records]).astype(np.int64)
    if labels.max() >= len(classes):
        raise InputError(
            f"{shown(found[train[0]])}: a label is {labels.max()}, but there are only {len(classes)} class names"
        )
    # Straight into one array: the batches together are what memory has to hold, and once is enough.
    images = np.empty((len(labels), 3, 32, 32), np.uint8)
    np.concatenate([r[:, label_bytes:] for r in records], out=images.reshape(len(labels), _PIXEL_BYTES))
    return LabelledArrays(
        images=images,
        labels=labels,
        split=np.repeat(np.array([TRAIN, TEST], np.uint8), [sum(sizes[:-1]), sizes[-1]]),
        class_names=classes,
        image_names=tuple(f"{batch} #{at}" for batch, n in zip([*train, test], sizes, strict=True) for at in range(n)),
    )
