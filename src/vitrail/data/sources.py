"""The data argument: a name or a path in, labelled images out, the same whatever they were stored in."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vitrail.configs import Size, as_size
from vitrail.data import cifar, idx, shapes
from vitrail.data.archives import TAR_SUFFIXES, ZIP_SUFFIXES
from vitrail.data.cache import data_dir_or_default
from vitrail.data.dataset import ImageDataset
from vitrail.data.decoding import Framing
from vitrail.data.downloads import PUBLISHED, fetch
from vitrail.data.files import Survey, decoded_images, list_archive, locate, recall, survey
from vitrail.data.layout import TEST, TRAIN, VAL
from vitrail.data.members import Listing, list_folder, read_member
from vitrail.data.pixels import LabelledArrays, resized
from vitrail.errors import InputError
from vitrail.text import listed, plural, shown, slug

__all__ = ["KNOWN", "MAX_UNREADABLE", "TEST", "TRAIN", "VAL", "Source", "data_option", "open_source", "shown_source"]

KNOWN = ("digits", "shapes", *PUBLISHED)
"""Data sets that need no path."""
MAX_UNREADABLE = 0.01
"""A larger share of unreadable images is refused."""

_FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


class _Images(Protocol):
    def __call__(self, framing: Framing, channels: int) -> NDArray[np.uint8]: ...


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
    images: _Images
    """From a framing and a channel count to all images."""
    skipped: tuple[tuple[str, str], ...] = ()
    """Unreadable images, left out of all else here: name and reason."""
    notes: tuple[str, ...] = ()
    """What the user should be told about how the source was understood."""

    def load(self, framing: int | Size | Framing, channels: int | None = None) -> ImageDataset:
        """All images at one size, in the order of `labels`.

        Images of folders and archives are decoded the first time and mapped from the data folder from then on.

        Args:
            framing: height and width in pixels (or one number for both), or also how they are reached.
            channels: 1 or 3; as found where not given.

        Raises:
            InputError: an image has changed or gone since it was first read, or the data folder cannot be written to.
        """
        framing = framing if isinstance(framing, Framing) else Framing(as_size(framing))
        return ImageDataset(self.images(framing, channels or self.channels), self.labels)


def shown_source(source: str) -> str:
    """What a record calls it: a known name, or the last part of a path, which must not be taken for a known name."""
    if source in KNOWN:
        return source
    last = Path(source).name
    return f"./{last}" if last in KNOWN else last


def data_option(source: str, own: str) -> str:
    """What names it in a command: nothing where it is the command's own."""
    return "" if source == own else f" --data {shlex.quote(shown_source(source))}"


def open_source(source: str | Path, data_dir: Path | None = None) -> Source:
    """Find out what a data argument holds.

    The images of a folder or an archive are all read through the first time; what was found is kept in `data_dir`.

    Args:
        source: one of `KNOWN`, or the path of a folder, .zip or .tar of class folders (with train/ and test/ or val/
            or without), of a folder with MNIST's IDX files, or of CIFAR's binary archive, packed or unpacked.
        data_dir: where downloads and decoded images are kept. By default what the environment variable
            VITRAIL_DATA_DIR names, else the user's cache folder.

    Raises:
        InputError: it does not exist, cannot be downloaded, is damaged or unsafe, or does not hold images of at least
            two classes.
    """
    data_dir = data_dir_or_default(data_dir)
    if source in KNOWN:
        return _known(str(source), data_dir)
    path = resolve(source)
    found = find(path, data_dir)
    return found if isinstance(found, Source) else from_survey(path, *found)


def find(path: Path, data_dir: Path, tolerant: bool = False) -> Source | tuple[Survey, Path]:
    """What a folder or an archive holds: arrays make a source at once, image files are surveyed first.

    Args:
        path: the folder or archive, resolved.
        data_dir: where results are kept.
        tolerant: go on after problems that make the images unusable, to find the others too.

    Returns:
        A source, or a survey and the folder where it and the decoded images are kept.

    Raises:
        InputError: it cannot be read at all, or (unless `tolerant`) must not be used.
    """
    listing, cached = locate(path, data_dir)
    if found := recall(cached):
        return found, cached
    listing = listing or list_archive(path, cached)
    if arrays := arrays_in(listing):
        if listing.problems:
            raise InputError(listing.problems[0])
        return from_arrays(source_name(path), *arrays, data_dir)
    return survey(path, listing, cached, tolerant), cached


def resolve(source: str | Path) -> Path:
    """The absolute path of a data argument that is no known name.

    Raises:
        InputError: there is no such file or folder.
    """
    path = Path(source)
    try:
        path = path.expanduser()
        if path.exists():
            return path.resolve()
    except (OSError, ValueError, RuntimeError):
        # Longer than a file name may be, with a NUL in it, or in the home of nobody: it does not exist either.
        pass
    close = difflib.get_close_matches(str(source).lower(), KNOWN, n=1)
    if not close and path.parent.is_dir():
        beside = difflib.get_close_matches(path.name, [p.name for p in path.parent.iterdir()], n=1)
        close = [shown(str(path.with_name(name))) for name in beside]
    hint = f"; did you mean {close[0]}?" if close else ""
    raise InputError(f"{shown(str(source))}: no such file or folder, nor a known data set ({', '.join(KNOWN)}){hint}")


def lasting(source: str) -> str:
    """A path as it reads from any folder; the name of a known data set as it is."""
    return source if source in KNOWN else str(Path(source).expanduser().resolve())


def source_name(path: Path) -> str:
    """The last part of a path without its suffix, as a slug."""
    name = path.name.lower()
    for suffix in sorted((*ZIP_SUFFIXES, *TAR_SUFFIXES), key=len, reverse=True):
        if path.is_file() and name.endswith(suffix):
            return slug(path.name[: -len(suffix)])
    return slug(path.name)


def arrays_in(listing: Listing) -> tuple[str, LabelledArrays] | None:
    """The IDX or CIFAR files in a folder or archive, read; None where it holds neither.

    Returns:
        What they are, in words, and their content.

    Raises:
        InputError: one of them is missing or damaged, or there are several sets.
    """
    by_folder: dict[str, list[str]] = {}
    for member in listing.members:
        by_folder.setdefault(member.name.rpartition("/")[0], []).append(member.name)
    for kind, module in (("IDX files", idx), ("CIFAR binary batches", cifar)):
        found_in = {folder: found for folder, names in by_folder.items() if (found := module.find(names))}
        if len(found_in) > 1:
            raise InputError(f"there are {kind} in several folders ({listed(found_in)}): give the path of one")
        for found in found_in.values():
            contents = {name: _read(listing, name) for name in found.values()}
            return kind, module.read(found, contents)
    return None


def from_arrays(name: str, kind: str, arrays: LabelledArrays, data_dir: Path | None = None) -> Source:
    """A source of images that are all in memory; larger sizes of them, of over a gigabyte, are kept in `data_dir`.

    Raises InputError where they are not of two classes or more.
    """
    if not len(arrays.labels):
        raise InputError(f"{name}: there is no image in it")
    if len(arrays.class_names) < 2:
        raise InputError(f"{name}: all images are of one class: two or more are needed")
    _, channels, height, width = arrays.images.shape
    return Source(
        name=name,
        kind=kind,
        class_names=arrays.class_names,
        labels=arrays.labels,
        split=arrays.split,
        native_size=(height, width),
        channels=channels,
        image_names=arrays.image_names,
        images=partial(resized, arrays.images, kept=data_dir / "decoded" if data_dir else None),
    )


def from_survey(path: Path, found: Survey, cached: Path) -> Source:
    """A source of image files.

    Raises:
        InputError: an image declares too large a size, or too many cannot be read.
    """
    pairs = list(zip(found.members, found.scanned, strict=True))
    for member, scanned in pairs:
        if scanned.oversized:
            raise InputError(f"{shown(str(path))}: {shown(member.name)}: {scanned.reason}")
    skipped = tuple((shown(member.name), scanned.reason) for member, scanned in pairs if scanned.reason)
    if len(skipped) > MAX_UNREADABLE * len(pairs):
        first = "; ".join(f"{name} ({reason})" for name, reason in skipped[:3])
        more = f" and {len(skipped) - 3:,} more" if len(skipped) > 3 else ""
        raise InputError(
            f"{shown(str(path))}: {len(skipped):,} of {len(pairs):,} images cannot be read: {first}{more}; "
            f"more than {MAX_UNREADABLE:.0%} is refused: repair or remove them (vitrail doctor lists all)"
        )
    split = None if found.layout.split is None else np.array(found.layout.split, np.uint8)
    leaking = found.leaking
    taken = np.array([not scanned.reason and at not in leaking for at, (_, scanned) in enumerate(pairs)])
    readable = [pair for pair, wanted in zip(pairs, taken, strict=True) if wanted]
    sizes = {(scanned.height, scanned.width) for _, scanned in readable}
    members = [member for member, _ in readable]
    notes = found.layout.notes
    if skipped:
        notes = (*notes, f"skipped {plural(len(skipped), 'unreadable image')}: {listed(name for name, _ in skipped)}")
    if leaking:
        what = plural(len(leaking), "copy of another image", "copies of other images")
        where = "" if split is None else " that tests or validates" if len(leaking) == 1 else " that test or validate"
        names = listed(found.members[at].name for at in sorted(leaking))
        notes = (*notes, f"left out {what}{where}: {names}")
    return Source(
        name=source_name(path),
        kind=found.container.in_words,
        class_names=found.layout.class_names,
        labels=np.array(found.layout.labels, np.int64)[taken],
        split=None if split is None else split[taken],
        native_size=sizes.pop() if len(sizes) == 1 else None,
        channels=1 if all(scanned.grey for _, scanned in readable) else 3,
        image_names=[shown(member.name) for member in members],
        images=partial(decoded_images, path, cached, found.container, members),
        skipped=skipped,
        notes=notes,
    )


def _known(name: str, data_dir: Path) -> Source:
    if name == "digits":
        return from_arrays(name, "scikit-learn's digits", _digits())
    if name == "shapes":
        return _shapes()
    paths = fetch(name, data_dir)
    if name.startswith("cifar"):
        _, cached = locate(paths[0], data_dir)
        listing = list_archive(paths[0], cached)
    else:
        # The folder may hold a copy of a file that is not the published one, beside the one that is.
        whole = list_folder(paths[0].parent)
        names = {path.name for path in paths}
        listing = replace(whole, members=tuple(m for m in whole.members if m.name in names))
    arrays = arrays_in(listing)
    if arrays is None:
        raise InputError(f"{paths[0]}: there is no CIFAR batch in it")
    source = from_arrays(name, f"{arrays[0]}, as published", arrays[1], data_dir)
    return replace(source, class_names=_FASHION_CLASSES) if name == "fashion-mnist" else source


def _digits() -> LabelledArrays:
    from sklearn.datasets import load_digits

    digits = load_digits()
    # The pixels are counts of 0 to 16.
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[:, None]
    return LabelledArrays(
        images=images,
        labels=digits.target.astype(np.int64),
        split=None,
        class_names=tuple(str(name) for name in digits.target_names),
        image_names=tuple(f"digits #{at}" for at in range(len(images))),
    )


def _shapes() -> Source:
    return Source(
        name="shapes",
        kind="generated coloured shapes",
        class_names=shapes.CLASS_NAMES,
        labels=shapes.LABELS,
        split=shapes.SPLIT,
        native_size=shapes.NATIVE_SIZE,
        channels=3,
        image_names=[f"shapes #{at}" for at in range(len(shapes.LABELS))],
        images=shapes.images,
    )


def _read(listing: Listing, name: str) -> bytes:
    member = next(m for m in listing.members if m.name == name)
    try:
        return read_member(listing.container, member)
    except Exception as error:
        raise InputError(f"{shown(name)}: cannot be read ({shown(str(error))}): fetch it again") from error
