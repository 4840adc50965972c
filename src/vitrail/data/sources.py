"""The data argument: a name or a path in, labelled images out, the same whatever they were stored in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vitrail.configs import LayoutKind, Size, as_size
from vitrail.data import shapes
from vitrail.data.argument import KNOWN, existing_path, source_name
from vitrail.data.arrays import read_arrays, read_digits, read_published
from vitrail.data.cache import data_dir_or_default, fingerprint
from vitrail.data.dataset import ImageDataset
from vitrail.data.decoded import decoded_images
from vitrail.data.decoding import Framing
from vitrail.data.location import Location, locate
from vitrail.data.pixels import LabelledArrays, resized
from vitrail.data.survey import Survey, recall, survey
from vitrail.data.tones import Header
from vitrail.errors import InputError
from vitrail.text import listed, plural, shown

MAX_UNREADABLE = 0.01
"""A larger share of unreadable images is refused."""


@dataclass(frozen=True, eq=False)
class Source:
    """All images of a data argument, before any is chosen for a split."""

    name: str
    """Short, and safe in a directory name."""
    kind: str
    """What it was read from, in words."""
    class_names: tuple[str, ...]
    labels: NDArray[np.int64]
    """(N,)"""
    split: NDArray[np.uint8] | None
    """(N,) of TRAIN, VAL and TEST; None where the source does not say."""
    native_size: Size | None
    """Height and width in pixels; None where images differ."""
    channels: int
    """1 if all images are grey, else 3."""
    image_names: Sequence[str]
    """(N,) what reports call each image."""
    images: Callable[[Framing, int], NDArray[np.uint8]]
    """From a framing and a channel count to all images."""
    headers: Sequence[Header]
    """(N,) what is known of each image."""
    content: str
    """Changes when an image or its name does."""
    digests: Callable[[], Sequence[str]]
    """(N,) hashes of 16 hexadecimal digits: of a file's bytes, else of the pixels."""
    skipped: tuple[tuple[str, str], ...] = ()
    """Unreadable images, left out of all else here: name and reason."""
    notes: tuple[str, ...] = ()
    """What the user should be told about how the source was understood."""

    def load(self, framing: int | Size | Framing, channels: int | None = None) -> ImageDataset:
        """All images at one size, in the order of `labels`.

        Images of folders and archives are decoded the first time and mapped from the data folder from then on.
        `framing` is height and width in pixels (or one number for both), or also how they are reached.

        Raises InputError for an image that has changed or gone since it was first read, or a data folder that cannot
        be written to.
        """
        framing = framing if isinstance(framing, Framing) else Framing(as_size(framing))
        return ImageDataset(self.images(framing, channels or self.channels), self.labels)


def open_source(
    source: str | Path, data_dir: Path | None = None, layout: LayoutKind = "auto", to_train: bool = True
) -> Source:
    """Find out what a data argument holds.

    The images of a folder or an archive are all read through the first time; what was found is kept in `data_dir`.

    Args:
        source: one of `KNOWN`, or the path of a folder, .zip or .tar of class folders (with train/ and test/ or val/
            or without), of a folder with MNIST's IDX files, of CIFAR's binary archive, packed or unpacked, or of an
            .npz.
        data_dir: where downloads and decoded images are kept. By default what the environment variable
            VITRAIL_DATA_DIR names, else the user's cache folder.
        layout: what the folders are, where they can be meant several ways.
        to_train: whether a model is to be trained on it: only measuring one, training images need not be there.

    Raises:
        InputError: it does not exist, cannot be downloaded, is damaged or unsafe, or does not hold images (to train,
            of at least two classes).
    """
    if source == "shapes":
        return _shapes()
    if source == "digits":
        return from_arrays("digits", *read_digits())
    data_dir = data_dir_or_default(data_dir)
    if source in KNOWN:
        return from_arrays(str(source), *read_published(str(source), data_dir), data_dir)
    location = locate(existing_path(source), data_dir, layout)
    found = find(location, data_dir, tolerant=not to_train)
    if isinstance(found, Source):
        return found
    if not to_train and len(found.problems) > found.layout.untrainable:
        raise InputError(found.problems[0])
    return from_survey(location, found)


def find(location: Location, data_dir: Path, tolerant: bool = False) -> Source | Survey:
    """What a folder or an archive holds: arrays make a source at once, image files are surveyed first.

    Raises InputError for what cannot be read at all, or (unless `tolerant`) must not be used; see `survey`.
    """
    if found := recall(location.kept):
        return found
    listing = location.files()
    if arrays := read_arrays(listing, location.kept):
        return from_arrays(source_name(location.path), *arrays, data_dir)
    return survey(location, listing, tolerant)


def from_arrays(name: str, kind: str, arrays: LabelledArrays, data_dir: Path | None = None) -> Source:
    """A source of images that are all in memory; larger sizes of them, of over a gigabyte, are kept in `data_dir`.

    Raises InputError where they are not of two classes or more.
    """
    if not len(arrays.labels):
        raise InputError(f"{name}: there is no image in it")
    if len(arrays.class_names) < 2:
        raise InputError(f"{name}: all images are of one class: two or more are needed")
    _, channels, height, width = arrays.images.shape
    header = Header(height, width, "L" if channels == 1 else "RGB", channels == 1)
    plain = (arrays.images.min((2, 3)) == arrays.images.max((2, 3))).all(1)
    return Source(
        name=name,
        kind=kind,
        class_names=arrays.class_names,
        labels=arrays.labels,
        split=arrays.split,
        native_size=(height, width),
        channels=channels,
        image_names=arrays.image_names,
        headers=[header._replace(plain=7) if one else header for one in plain.tolist()],
        content=fingerprint(*(hashlib.blake2b(np.ascontiguousarray(a).data).hexdigest() for a in arrays[:2])),
        digests=partial(_digests, arrays.images),
        images=partial(resized, arrays.images, kept=data_dir / "decoded" if data_dir else None),
        notes=arrays.notes,
    )


def from_survey(location: Location, found: Survey) -> Source:
    """A source of image files. Raises InputError where one declares too large a size, or too many cannot be read."""
    pairs = list(zip(found.members, found.scanned, strict=True))
    for member, scanned in pairs:
        if scanned.oversized:
            raise InputError(f"{shown(str(location.path))}: {shown(member.name)}: {scanned.reason}")
    skipped = tuple((shown(member.name), scanned.reason) for member, scanned in pairs if scanned.reason)
    if len(skipped) > MAX_UNREADABLE * len(pairs):
        first = "; ".join(f"{name} ({reason})" for name, reason in skipped[:3])
        more = f" and {len(skipped) - 3:,} more" if len(skipped) > 3 else ""
        raise InputError(
            f"{shown(str(location.path))}: {len(skipped):,} of {len(pairs):,} images cannot be read: {first}{more}; "
            f"more than {MAX_UNREADABLE:.0%} is refused: repair or remove them (vitrail doctor lists all)"
        )
    split = None if found.layout.split is None else np.array(found.layout.split, np.uint8)
    leaking = found.leaking
    taken = np.array([not scanned.reason and at not in leaking for at, (_, scanned) in enumerate(pairs)])
    readable = [pair for pair, wanted in zip(pairs, taken, strict=True) if wanted]
    headers = [scanned.header for _, scanned in readable]
    sizes = {(header.height, header.width) for header in headers}
    members = [member for member, _ in readable]
    notes = found.layout.notes
    if skipped:
        notes = (*notes, f"skipped {plural(len(skipped), 'unreadable image')}: {listed(name for name, _ in skipped)}")
    if leaking:
        what = plural(len(leaking), "copy of another image", "copies of other images")
        where = "" if split is None else " that tests or validates" if len(leaking) == 1 else " that test or validate"
        names = listed(found.members[at].name for at in sorted(leaking))
        notes = (*notes, f"left out {what}{where}: {names}")
    notes = (*notes, *oddities(headers, [member.name for member in members]))
    return Source(
        name=source_name(location.path),
        kind=found.container.in_words,
        class_names=found.layout.class_names,
        labels=np.array(found.layout.labels, np.int64)[taken],
        split=None if split is None else split[taken],
        native_size=sizes.pop() if len(sizes) == 1 else None,
        channels=1 if all(header.grey for header in headers) else 3,
        headers=headers,
        image_names=[shown(member.name) for member in members],
        digests=lambda: [scanned.digest for _, scanned in readable],
        images=partial(decoded_images, location, found.container, members),
        content=fingerprint(*(f"{member.name}\0{scanned.digest}" for member, scanned in readable)),
        skipped=skipped,
        notes=notes,
    )


def _digests(images: NDArray[np.uint8]) -> list[str]:
    return [hashlib.blake2b(image.tobytes(), digest_size=8).hexdigest() for image in images]


def oddities(headers: Sequence[Header], names: Sequence[str]) -> list[str]:
    """What is not as it should be about files that can be read, a line for each kind."""
    of_kind: dict[str, list[str]] = {}
    for header, name in zip(headers, names, strict=True):
        if header.note:
            of_kind.setdefault(header.note, []).append(name)
    return [f"{plural(len(found), 'image')} {note}: {listed(found)}" for note, found in of_kind.items()]


def _shapes() -> Source:
    names = [f"shapes #{at}" for at in range(len(shapes.LABELS))]
    return Source(
        name="shapes",
        kind="generated coloured shapes",
        class_names=shapes.CLASS_NAMES,
        labels=shapes.LABELS,
        split=shapes.SPLIT,
        native_size=shapes.NATIVE_SIZE,
        channels=3,
        image_names=names,
        digests=lambda: [fingerprint(name) for name in names],
        headers=[Header(*shapes.NATIVE_SIZE, "RGB", False)] * len(shapes.LABELS),
        images=shapes.images,
        content="shapes",
    )
