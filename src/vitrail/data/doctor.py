"""Everything good and bad about a data argument, found in one pass."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitrail.configs import LayoutKind, Size
from vitrail.data.argument import KNOWN, existing_path, source_name
from vitrail.data.cache import data_dir_or_default
from vitrail.data.decoding import Framing, UnreadableImageError, decode_bytes
from vitrail.data.diagnosis import Diagnosis, Group
from vitrail.data.location import locate
from vitrail.data.members import Container, Member, read_member
from vitrail.data.pixels import resized
from vitrail.data.sources import MAX_UNREADABLE, Source, find, oddities, open_source
from vitrail.data.splits import MIN_IMAGES_PER_CLASS
from vitrail.data.survey import Survey
from vitrail.data.tones import Header, Tones, choose, described, one_colour
from vitrail.data.tree import TRAIN
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

    class_names: tuple[str, ...]
    channels: int
    names: Sequence[str]
    labels: NDArray[np.int64]
    split: NDArray[np.uint8] | None
    digests: Sequence[str]
    headers: Sequence[Header]
    drawn: Callable[[Sequence[int], Framing], Sequence[NDArray[np.uint8] | None]]
    """Those at some places, in one framing; None for one that cannot be read after all."""

    @property
    def sizes(self) -> list[Size]:
        return [(header.height, header.width) for header in self.headers]

    @property
    def learned(self) -> list[Header]:
        """Of those that train, where that is known."""
        return [h for at, h in enumerate(self.headers) if self.split is None or self.split[at] == TRAIN]


def examine(source: str | Path, data_dir: Path | None = None, layout: LayoutKind = "auto") -> Diagnosis:
    """Report on a data argument, as `open_source` takes it, instead of stopping at its first problem.

    Raises InputError where there is no such file, folder or data set, or it cannot be downloaded.
    """
    if source in KNOWN:
        return _of_arrays(str(source), open_source(source, data_dir))
    path, data_dir = existing_path(source), data_dir_or_default(data_dir)
    try:
        found = find(locate(path, data_dir, layout), data_dir, tolerant=True)
    except InputError as error:
        return Diagnosis(source=str(source), name=source_name(path), problems=(str(error),))
    return _of_arrays(str(source), found) if isinstance(found, Source) else _of_files(str(source), path, found)


def _of_arrays(source: str, opened: Source) -> Diagnosis:
    size, channels = opened.native_size or THUMBNAIL, opened.channels
    images = opened.load(size).images
    facts = _Images(
        class_names=opened.class_names,
        channels=channels,
        names=opened.image_names,
        labels=opened.labels,
        split=opened.split,
        digests=opened.digests(),
        headers=opened.headers,
        drawn=lambda places, framing: list(resized(images[list(places)], framing, channels)),
    )
    return _diagnosis(facts, source=source, name=opened.name, kind=opened.kind, notes=opened.notes)


def _of_files(source: str, path: Path, found: Survey) -> Diagnosis:
    pairs = list(zip(found.members, found.scanned, strict=True))
    rows = [at for at, (_, scanned) in enumerate(pairs) if not scanned.reason]
    members, readable = [found.members[at] for at in rows], [found.scanned[at] for at in rows]
    layout = found.layout
    headers, names = [scanned.header for scanned in readable], [shown(member.name) for member in members]
    channels = 1 if headers and all(header.grey for header in headers) else 3
    facts = _Images(
        class_names=layout.class_names,
        channels=channels,
        names=names,
        labels=np.array([layout.labels[at] for at in rows], np.int64),
        split=None if layout.split is None else np.array([layout.split[at] for at in rows], np.uint8),
        digests=[scanned.digest for scanned in readable],
        headers=headers,
        drawn=partial(_decoded, found.container, members, channels),
    )
    unreadable = tuple((shown(m.name), one.reason) for m, one in pairs if one.reason and not one.oversized)
    problems = [*found.problems, *(f"{shown(m.name)}: {one.reason}" for m, one in pairs if one.oversized)]
    if len(unreadable) > MAX_UNREADABLE * len(pairs):
        problems.append(f"{len(unreadable):,} of {len(pairs):,} images cannot be read, more than {MAX_UNREADABLE:.0%}")
    leaking = [f"{plural(len(copies), 'copy is', 'copies are')} left out"] if (copies := found.leaking) else []
    return _diagnosis(
        facts,
        problems,
        source=source,
        name=source_name(path),
        kind=found.container.in_words,
        unreadable=unreadable,
        ignored=layout.ignored,
        notes=(*layout.notes, *leaking, *oddities(headers, names)),
    )


def _diagnosis(images: _Images, problems: Sequence[str] = (), notes: Sequence[str] = (), **known: Any) -> Diagnosis:
    """What images say, with what is `known` besides."""
    tones, chosen = choose(images.learned)
    counts, same = _counts(images), _same_images(images)
    sizes = Counter(images.sizes).most_common()
    by_area = sorted((size for size, _ in sizes), key=lambda size: size[0] * size[1])
    learned = counts.get("train", counts.get("all", ()))
    scarce = [
        f"class {images.class_names[label]} has {count} {'training ' if 'train' in counts else ''}image"
        f"{'' if count == 1 else 's'}: at least {MIN_IMAGES_PER_CLASS} are needed"
        for label, count in enumerate(learned)
        if count < MIN_IMAGES_PER_CLASS
    ]
    return Diagnosis(
        class_names=images.class_names,
        counts=counts,
        sizes=tuple(sizes),
        smallest=by_area[0] if by_area else None,
        largest=by_area[-1] if by_area else None,
        modes=tuple(Counter(header.mode for header in images.headers).most_common()),
        values=tuple(described(images.headers, tones)),
        channels=images.channels,
        duplicates=same["within"],
        duplicates_across=same["across"],
        contradictions=same["classes"],
        problems=(*problems, *scarce),
        warnings=(*_warnings(images, counts, same), *one_colour(images.headers, images.names, tones)),
        notes=(*notes, *chosen),
        samples=_samples(images, tones),
        **known,
    )


def _counts(images: _Images) -> dict[str, tuple[int, ...]]:
    def per_class(labels: NDArray[np.int64]) -> tuple[int, ...]:
        return tuple(np.bincount(labels, minlength=len(images.class_names)).tolist())

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


def _warnings(images: _Images, counts: dict[str, tuple[int, ...]], same: dict[str, tuple[Group, ...]]) -> list[str]:
    class_names, warnings = images.class_names, []
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


def _samples(images: _Images, tones: Tones) -> tuple[tuple[str, NDArray[np.uint8]], ...]:
    """Up to ten images of each class, evenly spread over the class."""
    sizes = set(images.sizes)
    only = next(iter(sizes)) if len(sizes) == 1 else THUMBNAIL
    size = only if only[0] <= THUMBNAIL[0] and only[1] <= THUMBNAIL[1] else THUMBNAIL
    places, counts = [], []
    for label in range(len(images.class_names)):
        labelled = np.flatnonzero(images.labels == label)
        counts.append(min(SAMPLES_PER_CLASS, len(labelled)))
        places += labelled[np.arange(counts[-1]) * len(labelled) // max(1, counts[-1])].tolist()
    drawn, samples = iter(images.drawn(places, Framing(size, tones=tones))), []
    for name, count in zip(images.class_names, counts, strict=True):
        of_class = [image for image in islice(drawn, count) if image is not None]
        samples.append((name, np.array(of_class, np.uint8).reshape(-1, images.channels, *size)))
    return tuple(samples)


def _decoded(
    container: Container, members: Sequence[Member], channels: int, places: Sequence[int], framing: Framing
) -> list[NDArray[np.uint8] | None]:
    drawn: list[NDArray[np.uint8] | None] = [None] * len(places)
    work = partial(_decode_some, container, framing, channels)
    for start, images in over_chunks(work, [members[at] for at in places], "Drawing samples"):
        drawn[start : start + len(images)] = images
    return drawn


def _decode_some(
    container: Container, framing: Framing, channels: int, start: int, members: Sequence[Member]
) -> list[NDArray[np.uint8] | None]:
    images: list[NDArray[np.uint8] | None] = []
    for member in members:
        try:
            images.append(decode_bytes(read_member(container, member), framing, channels))
        except (OSError, UnreadableImageError):
            images.append(None)
    return images
