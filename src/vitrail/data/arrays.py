"""Data sets that are arrays: found among the files of a folder or archive, or known by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from vitrail.data import cifar, idx, npz
from vitrail.data.downloads import fetch
from vitrail.data.location import locate
from vitrail.data.members import Listing, list_folder, read_member
from vitrail.data.pixels import LabelledArrays
from vitrail.errors import InputError
from vitrail.text import listed, shown

_FASHION_CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)


def read_arrays(listing: Listing, kept: Path) -> tuple[str, LabelledArrays] | None:
    """The arrays in a folder or archive (IDX, CIFAR, NumPy): what they are, in words, and their content; None without.

    Large ones are kept in the folder `kept`.

    Raises InputError where one is missing or damaged, there are several sets, or the archive must not be used.
    """
    by_folder: dict[str, list[str]] = {}
    for member in listing.members:
        by_folder.setdefault(member.name.rpartition("/")[0], []).append(member.name)
    for kind, module in (("IDX files", idx), ("CIFAR binary batches", cifar), ("NumPy arrays", npz)):
        found_in = {folder: found for folder, names in by_folder.items() if (found := module.find(names))}
        if len(found_in) > 1:
            raise InputError(f"there are {kind} in several folders ({listed(found_in)}): give the path of one")
        for found in found_in.values():
            if listing.problems:
                raise InputError(listing.problems[0])
            if module is npz:
                return kind, npz.read(found, listing, kept)
            return kind, module.read(found, {name: _bytes(listing, name) for name in found.values()})
    return None


def _bytes(listing: Listing, name: str) -> bytes:
    member = next(m for m in listing.members if m.name == name)
    try:
        return read_member(listing.container, member)
    except Exception as error:
        raise InputError(f"{shown(name)}: cannot be read ({shown(str(error))}): fetch it again") from error


def read_published(name: str, data_dir: Path) -> tuple[str, LabelledArrays]:
    """As `read_arrays`, of one of `PUBLISHED`, fetched where it is not there. Raises InputError where it cannot be."""
    paths = fetch(name, data_dir)
    if name.startswith("cifar"):
        listing = locate(paths[0], data_dir).files()
    else:
        # The folder may hold a copy of a file that is not the published one, beside the one that is.
        whole, names = list_folder(paths[0].parent), {path.name for path in paths}
        listing = replace(whole, members=tuple(m for m in whole.members if m.name in names))
    found = read_arrays(listing, data_dir)
    if found is None:
        raise InputError(f"{paths[0]}: there is no CIFAR batch in it")
    kind, arrays = found
    if name == "fashion-mnist":
        arrays = arrays._replace(class_names=_FASHION_CLASSES)
    return f"{kind}, as published", arrays


def read_digits() -> tuple[str, LabelledArrays]:
    """The data set that comes with scikit-learn."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    # The pixels are counts of 0 to 16.
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[:, None]
    return "scikit-learn's digits", LabelledArrays(
        images=images,
        labels=digits.target.astype(np.int64),
        split=None,
        class_names=tuple(str(name) for name in digits.target_names),
        image_names=tuple(f"digits #{at}" for at in range(len(images))),
    )
