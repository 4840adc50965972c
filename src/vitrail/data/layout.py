"""From the names of files to classes and splits: what a folder tree says about its images."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from vitrail.data.decoding import IMAGE_EXTENSIONS, UNREAD_EXTENSIONS
from vitrail.data.tree import TEST, TRAIN, VAL, made_here, one_form, read
from vitrail.text import listed, natural_key, plural, shown

__all__ = ["TEST", "TRAIN", "VAL", "Layout", "arrange"]

_SPLIT_FOLDERS = {
    "train": TRAIN,
    "training": TRAIN,
    "val": VAL,
    "valid": VAL,
    "validation": VAL,
    "test": TEST,
    "testing": TEST,
}


@dataclass(frozen=True)
class Layout:
    """Which files are images of which class and split."""

    kept: tuple[int, ...]
    """Places of the images in the list of names, in natural order of their names."""
    class_names: tuple[str, ...]
    labels: tuple[int, ...]
    """Of the kept ones."""
    split: tuple[int, ...] | None
    """TRAIN, VAL or TEST of the kept ones; None where the tree does not say."""
    ignored: tuple[tuple[str, int], ...]
    """Why files were passed over, and how many for each reason."""
    notes: tuple[str, ...]
    problems: tuple[str, ...]
    untrainable: int = 0
    """So many of the problems, the last ones, do not keep a trained model from being measured on it."""


_MADE = "images that vitrail wrote itself"


def arrange(names: Sequence[str], directories: Sequence[str] = (), source: str = "") -> Layout:
    """Read classes and splits off relative paths such as `train/cat/1.jpg` or `cat/1.jpg`.

    One folder that wraps all others is looked through. Everything below a class folder belongs to the class. What
    `vitrail` itself wrote is passed over; `source` is what it calls these data.
    """
    made = made_here(names, source)
    ignored: Counter[str] = Counter()
    unread: Counter[str] = Counter()
    parts: dict[int, tuple[str, ...]] = {}
    for at, name in enumerate(names):
        components = PurePosixPath(name).parts
        if any(c.startswith(".") or c == "__MACOSX" for c in components):
            ignored["hidden files"] += 1
        elif at in made:
            ignored[_MADE] += PurePosixPath(name).suffix.lower() in IMAGE_EXTENSIONS
        elif PurePosixPath(name).suffix.lower() not in IMAGE_EXTENSIONS:
            suffix = PurePosixPath(name).suffix.lower()
            if suffix in UNREAD_EXTENSIONS:
                unread[suffix] += 1
            else:
                ignored["files that are not images"] += 1
        else:
            parts[at] = components
    notes: list[str] = []
    problems: list[str] = []
    untrainable: list[str] = []
    if ignored[_MADE]:
        folders = sorted({PurePosixPath(names[at]).parts[0] for at in made})
        notes.append(f"passed over {plural(ignored[_MADE], 'image')} that vitrail wrote itself: in {listed(folders)}")
        directories = [name for name in directories if PurePosixPath(name).parts[0] not in folders]
    to_convert = [plural(count, f"{suffix} file") for suffix, count in sorted(unread.items())]
    if unread:
        notes.append(f"not read: {listed(to_convert)}; convert them to JPEG")
    if not parts:
        cure = f"convert its {listed(to_convert)} to JPEG" if unread else "expected one folder of images per class"
        problems.append(f"there is no image in it that can be read: {cure}")
    depth, has_splits = _unwrap(parts)
    reading = read(parts, depth, has_splits)
    if reading.parts is not parts:
        parts, directories = reading.parts, ()
        depth, has_splits = 0, True
    ignored["images without a class, beside the splits"] += reading.left_out
    notes.extend(reading.notes)
    problems.extend(reading.problems)

    split_of: dict[int, int] | None = None
    if has_splits:
        beside = sorted({p[depth] for p in parts.values() if len(p) > depth + 1 and _place(p[depth]) is None})
        if beside:
            notes.append(f"ignored beside train/ and the like: {listed(beside)}")
        lying = {at: _place(p[depth]) for at, p in parts.items() if len(p) > depth}
        split_of = {at: place for at, place in lying.items() if place is not None}
        ignored["images outside train/, val/ and test/"] += len(parts) - len(split_of)
        parts, depth = {at: parts[at] for at in split_of}, depth + 1

    if loose := [at for at, p in parts.items() if len(p) <= depth + 1]:
        ignored["images outside any class folder"] += len(loose)
        notes.append(f"images outside any class folder are ignored: {listed(names[at] for at in loose)}")
        if len(loose) == len(parts):
            problems.append(
                "the images lie in no class folder: expected one folder of images per class (images without classes "
                "are for 'vitrail predict')"
            )
        parts = {at: p for at, p in parts.items() if len(p) > depth + 1}

    if split_of is not None:
        split_of = {at: split_of[at] for at in parts}
        places = set(split_of.values())
        if TRAIN not in places:
            untrainable.append("there are val/ or test/ folders but no train/ folder with classes")
        elif places == {TRAIN}:
            split_of = None
        elif TEST not in places:
            notes.append("val/ is used as the held-out test split; validation images are drawn from train/")
            split_of = {at: TEST if place == VAL else place for at, place in split_of.items()}

    spellings: dict[str, set[str]] = {}
    for p in parts.values():
        spellings.setdefault(one_form(p[depth]), set()).add(p[depth])
    # A name in one spelling stays as it is: what older runs were trained on is told by it, too.
    class_of = {
        at: min(s) if len(s := spellings[one_form(p[depth])]) == 1 else one_form(p[depth]) for at, p in parts.items()
    }
    within: dict[str, set[str]] = {}
    for at, p in parts.items():
        if len(p) > depth + 2:
            within.setdefault(class_of[at], set()).add(p[depth + 1])
    if several := sorted((c for c, folders in within.items() if len(folders) > 1), key=natural_key):
        notes.append(f"images in the folders of {listed(f'{c}/' for c in several)} belong to the class above them")
    learned = {c for at, c in class_of.items() if split_of is None or split_of[at] == TRAIN}
    if unlearned := sorted(set(class_of.values()) - learned, key=natural_key):
        untrainable.append(f"train/ has no image of class {listed(unlearned)}, which val/ or test/ has")
    if empty := _empty_classes(directories, set(class_of.values()), depth, has_splits, parts):
        notes.append(f"class folders without an image are left out: {listed(empty)}")
    classes = sorted(set(class_of.values()), key=natural_key)
    if len(classes) == 1:
        untrainable.append(f"there is only one class ({shown(classes[0])}): expected a folder for each of two or more")
    label_of = {name: label for label, name in enumerate(classes)}
    kept = sorted(parts, key=lambda at: natural_key(names[at]))
    return Layout(
        kept=tuple(kept),
        class_names=tuple(shown(name) for name in classes),
        labels=tuple(label_of[class_of[at]] for at in kept),
        split=None if split_of is None else tuple(split_of[at] for at in kept),
        ignored=tuple((reason, count) for reason, count in sorted(ignored.items()) if count),
        notes=tuple(notes),
        problems=(*problems, *untrainable),
        untrainable=len(untrainable),
    )


def _place(folder: str) -> int | None:
    return _SPLIT_FOLDERS.get(folder.lower())


def _unwrap(parts: dict[int, tuple[str, ...]]) -> tuple[int, bool]:
    """How many folders hold all others, and whether splits come next."""
    depth = 0
    while True:
        folders = {p[depth] for p in parts.values() if len(p) > depth + 1}
        deep = {p[depth] for p in parts.values() if len(p) > depth + 2}
        # A class may be called "train"; two of the three words together, above further folders, mean splits.
        if len({_place(f) for f in folders} - {None}) >= 2 and any(_place(f) is not None for f in deep):
            return depth, True
        if len(folders) != 1 or not deep:
            return depth, False
        depth += 1


def _empty_classes(
    directories: Sequence[str], known: set[str], depth: int, has_splits: bool, parts: dict[int, tuple[str, ...]]
) -> list[str]:
    wrapping = next(iter(parts.values()))[: depth - has_splits] if parts else ()
    empty = set()
    for name in directories:
        components = PurePosixPath(name).parts
        if len(components) != depth + 1 or components[: len(wrapping)] != wrapping:
            continue
        if has_splits and _place(components[depth - 1]) is None:
            continue
        if components[depth] not in known and not re.match(r"\.|__MACOSX", components[depth]):
            empty.add(components[depth])
    return sorted(empty, key=natural_key)
