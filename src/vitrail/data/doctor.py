"""Everything good and bad about a data argument, found in one pass."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vitrail.configs import Size
from vitrail.data.argument import KNOWN, existing_path, source_name
from vitrail.data.cache import data_dir_or_default
from vitrail.data.decoding import Framing, UnreadableImageError, decode_bytes
from vitrail.data.diagnosis import Diagnosis, Group
from vitrail.data.location import locate
from vitrail.data.members import Container, Member, read_member
from vitrail.data.pixels import resized
from vitrail.data.sources import MAX_UNREADABLE, Source, find, open_source
from vitrail.data.splits import MIN_IMAGES_PER_CLASS
from vitrail.data.survey import Survey
from vitrail.data.workers import over_chunks
from vitrail.errors import InputError
from vitrail.text import listed, plural, shown

SAMPLES_PER_CLASS = 10
THUMBNAIL: Size = (64, 64)
"""Of samples, unless all images are smaller and alike."""

_SPLIT_NAMES = ("train", "val", "test")
_IMBALANCE = 10


@dataclass(frozen=True)
class _Images:
    """The readable images of any source, in columns."""

    names: Sequence[str]
    labels: NDArray[np.int64]
    split: NDArray[np.uint8] | None
    digests: Sequence[str]
    sizes: Sequence[Size]
    modes: Sequence[str]


def examine(source: str | Path, data_dir: Path | None = None) -> Diagnosis:
    """Report on a data argument instead of stopping at its first problem.

    Args:
        source: as `open_source` takes it.
        data_dir: as `open_source` takes it.

    Raises:
        InputError: there is no such file, folder or data set, or it cannot be downloaded.
    """
    if source in KNOWN:
        return _of_arrays(str(source), open_source(source, data_dir))
    path, data_dir = existing_path(source), data_dir_or_default(data_dir)
    try:
        found = find(locate(path, data_dir), data_dir, tolerant=True)
    except InputError as error:
        return Diagnosis(source=str(source), name=source_name(path), problems=(str(error),))
    return _of_arrays(str(source), found) if isinstance(found, Source) else _of_files(str(source), path, found)


def _of_arrays(source: str, opened: Source) -> Diagnosis:
    size = opened.native_size or THUMBNAIL
    images = opened.load(size).images
    facts = _Images(
        names=opened.image_names,
        labels=opened.labels,
        split=opened.split,
        digests=[hashlib.blake2b(image.tobytes(), digest_size=8).hexdigest() for image in images],
        sizes=[size] * len(images),
        modes=["L" if opened.channels == 1 else "RGB"] * len(images),
    )
    chosen = _chosen(facts, len(opened.class_names))
    thumbnail = _thumbnail({size})
    samples = [
        (name, resized(images[at], Framing(thumbnail), opened.channels))
        for name, at in zip(opened.class_names, chosen, strict=True)
    ]
    return _diagnosis(source, opened.name, opened.kind, opened.class_names, facts, opened.channels, samples)


def _of_files(source: str, path: Path, found: Survey) -> Diagnosis:
    rows = [at for at, scanned in enumerate(found.scanned) if not scanned.reason]
    scanned = [found.scanned[at] for at in rows]
    members = [found.members[at] for at in rows]
    split = found.layout.split
    facts = _Images(
        names=[shown(member.name) for member in members],
        labels=np.array([found.layout.labels[at] for at in rows], np.int64),
        split=None if split is None else np.array([split[at] for at in rows], np.uint8),
        digests=[one.digest for one in scanned],
        sizes=[(one.height, one.width) for one in scanned],
        modes=[one.mode for one in scanned],
    )
    channels = 1 if scanned and all(one.grey for one in scanned) else 3
    chosen = _chosen(facts, len(found.layout.class_names))
    samples = _decoded_samples(found, members, chosen, _thumbnail(set(facts.sizes)), channels)
    unreadable = tuple(
        (shown(member.name), one.reason)
        for member, one in zip(found.members, found.scanned, strict=True)
        if one.reason and not one.oversized
    )
    problems = list(found.problems)
    problems += [
        f"{shown(member.name)}: {one.reason}"
        for member, one in zip(found.members, found.scanned, strict=True)
        if one.oversized
    ]
    if len(unreadable) > MAX_UNREADABLE * len(found.scanned):
        problems.append(
            f"{len(unreadable):,} of {len(found.scanned):,} images cannot be read, more than {MAX_UNREADABLE:.0%}"
        )
    leaking = [f"{plural(len(copies), 'copy is', 'copies are')} left out"] if (copies := found.leaking) else []
    return _diagnosis(
        source,
        source_name(path),
        found.container.in_words,
        found.layout.class_names,
        facts,
        channels,
        samples,
        unreadable,
        found.layout.ignored,
        problems,
        (*found.layout.notes, *leaking),
    )


def _diagnosis(
    source: str,
    name: str,
    kind: str,
    class_names: tuple[str, ...],
    images: _Images,
    channels: int,
    samples: Sequence[tuple[str, NDArray[np.uint8]]],
    unreadable: tuple[tuple[str, str], ...] = (),
    ignored: tuple[tuple[str, int], ...] = (),
    problems: Sequence[str] = (),
    notes: tuple[str, ...] = (),
) -> Diagnosis:
    counts = _counts(images, len(class_names))
    same = _same_images(images)
    sizes = Counter(images.sizes).most_common()
    by_area = sorted((size for size, _ in sizes), key=lambda size: size[0] * size[1])
    learned = counts.get("train", counts.get("all", ()))
    scarce = [
        f"class {class_names[label]} has {count} {'training ' if 'train' in counts else ''}image"
        f"{'' if count == 1 else 's'}: at least {MIN_IMAGES_PER_CLASS} are needed"
        for label, count in enumerate(learned)
        if count < MIN_IMAGES_PER_CLASS
    ]
    return Diagnosis(
        source=source,
        name=name,
        kind=kind,
        class_names=class_names,
        counts=counts,
        sizes=tuple(sizes),
        smallest=by_area[0] if by_area else None,
        largest=by_area[-1] if by_area else None,
        modes=tuple(Counter(images.modes).most_common()),
        channels=channels,
        unreadable=unreadable,
        ignored=ignored,
        duplicates=same["within"],
        duplicates_across=same["across"],
        contradictions=same["classes"],
        problems=(*problems, *scarce),
        warnings=tuple(_warnings(class_names, counts, same, images)),
        notes=notes,
        samples=tuple(samples),
    )


def _counts(images: _Images, num_classes: int) -> dict[str, tuple[int, ...]]:
    def per_class(labels: NDArray[np.int64]) -> tuple[int, ...]:
        return tuple(np.bincount(labels, minlength=num_classes).tolist())

    if images.split is None:
        return {"all": per_class(images.labels)}
    return {
        name: per_class(images.labels[images.split == value])
        for value, name in enumerate(_SPLIT_NAMES)
        if (images.split == value).any()
    }


def _same_images(images: _Images) -> dict[str, tuple[Group, ...]]:
    places = defaultdict(list)
    for at, digest in enumerate(images.digests):
        places[digest].append(at)
    groups: dict[str, list[Group]] = {"within": [], "across": [], "classes": []}
    for same in (same for same in places.values() if len(same) > 1):
        group = tuple(images.names[at] for at in same)
        if images.split is not None and len(set(images.split[same].tolist())) > 1:
            groups["across"].append(group)
        else:
            groups["within"].append(group)
        if len(set(images.labels[same].tolist())) > 1:
            groups["classes"].append(group)
    return {kind: tuple(found) for kind, found in groups.items()}


def _warnings(
    class_names: tuple[str, ...],
    counts: dict[str, tuple[int, ...]],
    same: dict[str, tuple[Group, ...]],
    images: _Images,
) -> list[str]:
    warnings = []
    if same["across"]:
        warnings.append(f"in more than one split: {plural(len(same['across']), 'image')}")
    if same["classes"]:
        warnings.append(f"in more than one class: {plural(len(same['classes']), 'image')}")
    if same["within"]:
        warnings.append(f"there more than once: {plural(len(same['within']), 'image')}")
    learned = counts.get("train", counts.get("all", ()))
    present = [count for count in learned if count]
    if present and max(present) > _IMBALANCE * min(present):
        most, least = learned.index(max(present)), learned.index(min(present))
        warnings.append(
            f"classes are uneven: {class_names[most]} has {learned[most]:,} images, "
            f"{class_names[least]} has {learned[least]:,}"
        )
    absent = [name for name, count in zip(class_names, counts.get("test", ()), strict=False) if count == 0]
    if absent:
        warnings.append(f"no test image of class {listed(absent)}")
    return warnings


def _chosen(images: _Images, num_classes: int) -> list[NDArray[np.int64]]:
    """Places of up to ten images of each class, evenly spread over the class."""
    chosen = []
    for label in range(num_classes):
        of_class = np.flatnonzero(images.labels == label)
        count = min(SAMPLES_PER_CLASS, len(of_class))
        chosen.append(of_class[np.arange(count) * len(of_class) // max(1, count)])
    return chosen


def _thumbnail(sizes: set[Size]) -> Size:
    only = next(iter(sizes)) if len(sizes) == 1 else THUMBNAIL
    return only if only[0] <= THUMBNAIL[0] and only[1] <= THUMBNAIL[1] else THUMBNAIL


def _decoded_samples(
    found: Survey, members: Sequence[Member], chosen: Sequence[NDArray[np.int64]], size: Size, channels: int
) -> list[tuple[str, NDArray[np.uint8]]]:
    places = [int(at) for of_class in chosen for at in of_class]
    decoded: dict[int, NDArray[np.uint8]] = {}
    work = partial(_decode_some, found.container, size, channels)
    for start, images in over_chunks(work, [members[at] for at in places], "Drawing samples"):
        decoded |= {places[start + at]: image for at, image in enumerate(images) if image is not None}
    return [
        (
            name,
            np.array([decoded[int(at)] for at in of_class if int(at) in decoded], np.uint8).reshape(
                -1, channels, *size
            ),
        )
        for name, of_class in zip(found.layout.class_names, chosen, strict=True)
    ]


def _decode_some(
    container: Container, size: Size, channels: int, start: int, members: Sequence[Member]
) -> list[NDArray[np.uint8] | None]:
    images: list[NDArray[np.uint8] | None] = []
    for member in members:
        try:
            images.append(decode_bytes(read_member(container, member), Framing(size), channels))
        except (OSError, UnreadableImageError):
            images.append(None)
    return images
