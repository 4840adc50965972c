"""From the names of files to classes and splits: what a folder tree says about its images."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from vitrail.configs import LayoutKind
from vitrail.data.archives import TAR_SUFFIXES, ZIP_SUFFIXES
from vitrail.data.contents import IMAGES, UNREAD_EXTENSIONS, hidden, is_image, suffix
from vitrail.data.tree import TEST, TRAIN, VAL, Path, Reading, of_objects, read
from vitrail.text import listed, natural_key, one_form, plural, shown

__all__ = ["TEST", "TRAIN", "VAL", "VAL_TESTS", "Layout", "arrange"]

VAL_TESTS = "val/ is used as the held-out test split; validation images are drawn from train/"
_IN_WORDS = ("training", "validation", "test")
_OUTSIDE = "images outside the class folders"
_LABELS_OF_OBJECTS = re.compile(r"(?:^|/)(?:labels|annotations)/.*\.(?:txt|xml|json)$|coco.*\.json$", re.IGNORECASE)


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


def arrange(
    names: Sequence[str],
    directories: Sequence[str] = (),
    inside: Mapping[int, str] | None = None,
    layout: LayoutKind = "auto",
) -> Layout:
    """Read classes and splits off relative paths such as `train/cat/1.jpg` or `cat/1.jpg`.

    One folder that wraps all others is looked through. Everything below a class folder belongs to the class. `inside`
    has the kinds of files whose endings do not tell, by their places in `names`.
    """
    ignored: Counter[str] = Counter()
    notes: list[str] = []
    problems: list[str] = []
    untrainable: list[str] = []
    paths = _images(names, inside or {}, ignored, notes, problems)
    reading = read(paths.values(), layout)
    problems.extend(filter(None, [reading.problem]))
    found = {at: where for at, path in paths.items() if (where := reading.place(path))}
    if outside := {at: path for at, path in paths.items() if at not in found}:
        ignored[_OUTSIDE] += len(outside)
        depth = reading.depth
        lying = sorted({f"{p[depth]}/" if len(p) > depth + 1 else "/".join(p) for p in outside.values()})
        notes.append(
            f"left out {plural(len(outside), 'image')} outside the class folders, for vitrail predict: {listed(lying)}"
        )
        if not found and not reading.problem and reading.kind == "class":
            problems.append(
                "the images lie in no class folder: expected one folder of images per class (images without classes "
                "are for 'vitrail predict')"
            )
    split = _split(paths, found, reading, notes, untrainable if found else problems)
    class_of = _classes(paths, found)
    classes = sorted(set(class_of.values()), key=natural_key)
    if reading.kind != "class" and found:
        notes.insert(0, _read_as(paths, found, reading, classes))
    within: dict[str, set[str]] = defaultdict(set)
    for at, (_, level) in found.items():
        within[class_of[at]].update(paths[at][level + 1 + (reading.kind == "class-split") : -1][:1])
    if several := sorted((c for c, folders in within.items() if len(folders) > 1), key=natural_key):
        notes.append(f"images in the folders of {listed(f'{c}/' for c in several)} belong to the class above them")
    learned = {c for at, c in class_of.items() if split is None or split[at] == TRAIN}
    if unlearned := sorted(set(classes) - learned, key=natural_key):
        untrainable.append(f"train/ has no image of class {listed(unlearned)}, which val/ or test/ has")
    wrapping = next((paths[at][: reading.depth] for at in found), ())
    if empty := _empty_classes(directories, reading, wrapping) - set(classes):
        notes.append(f"class folders without an image are left out: {listed(sorted(empty, key=natural_key))}")
    loosely = Counter(name.casefold().strip() for name in classes)
    if same := [name for name in classes if loosely[name.casefold().strip()] > 1]:
        notes.append(f"classes whose names differ only in case or spaces are classes of their own: {listed(same)}")
    if len(classes) == 1:
        untrainable.append(f"there is only one class ({shown(classes[0])}): expected a folder for each of two or more")
    labelled = (problems or untrainable) and any(map(_LABELS_OF_OBJECTS.search, names))
    if layout == "auto" and (labelled or (of_objects(classes) and not reading.problem)):
        untrainable = []
        problems = [
            "this is a data set for detection or segmentation, with labels for parts of its images: expected one "
            "folder of images per class; export it so, or cut the objects out"
        ]
    label_of = {name: label for label, name in enumerate(classes)}
    kept = sorted(found, key=lambda at: natural_key(names[at]))
    return Layout(
        kept=tuple(kept),
        class_names=tuple(shown(name) for name in classes),
        labels=tuple(label_of[class_of[at]] for at in kept),
        split=None if split is None else tuple(split[at] for at in kept),
        ignored=tuple((reason, count) for reason, count in sorted(ignored.items()) if count),
        notes=tuple(notes),
        problems=(*problems, *untrainable),
        untrainable=len(untrainable),
    )


def _images(
    names: Sequence[str], inside: Mapping[int, str], ignored: Counter[str], notes: list[str], problems: list[str]
) -> dict[int, Path]:
    """The images among files, by their places; what else there is is counted, or said where it could be meant."""
    paths: dict[int, Path] = {}
    unread: Counter[str] = Counter()
    others: Counter[str] = Counter()
    odd: Counter[str] = Counter()
    for at, name in enumerate(names):
        kind = inside.get(at, "")
        if hidden(name):
            ignored["hidden files"] += 1
        elif is_image(name) or kind in IMAGES:
            paths[at] = PurePosixPath(name).parts
            odd[kind] += kind != ""
        elif suffix(name) in UNREAD_EXTENSIONS:
            unread[f"{suffix(name)} file"] += 1
        else:
            others[f"{suffix(name) or 'other'} file" if not kind else f"file ({kind})"] += 1
    if found := sorted(kind for kind in odd if kind):
        count = plural(odd.total(), "file")
        notes.append(f"{count} without an image's ending: taken for what is in them ({listed(found)})")
    if unread:
        notes.append(f"not read: {_counted(unread)}; convert them to JPEG")
    if not paths:
        pickles = any(PurePosixPath(name).name in ("data_batch_1", "test_batch", "meta") for name in names)
        cure = f"convert its {_counted(unread)} to JPEG" if unread else "expected one folder of images per class"
        if any(name.lower().endswith((*ZIP_SUFFIXES, *TAR_SUFFIXES, ".npz")) for name in names):
            cure = "unpack the archives, or name one"
        if pickles and others["file (Python pickle)"]:
            cure = "these are CIFAR's Python pickles, which are not opened: take the binary archive"
        holds = f", but {_counted(others)}" if others else ""
        problems.append(f"there is no image in it that can be read{holds}: {cure}")
    ignored["files that are not images"] += others.total()
    return paths


def _counted(kinds: Counter[str]) -> str:
    return listed((plural(n, kind, kind.replace("file", "files", 1)) for kind, n in sorted(kinds.items())), limit=5)


def _split(
    paths: Mapping[int, Path],
    found: Mapping[int, tuple[int | None, int]],
    reading: Reading,
    notes: list[str],
    problems: list[str],
) -> dict[int, int] | None:
    """The splits of images, as they are used; None where they are to be drawn."""
    split = {at: place for at, (place, _) in found.items() if place is not None}
    places = set(split.values())
    if reading.kind != "class" and TRAIN not in places:
        depth, what = reading.depth, "with classes in it"
        if reading.kind == "class-split":
            depth, what = depth + 1, "in the class folders"
        lying = sorted({f"{path[depth]}/" for path in paths.values() if len(path) > depth + 1})
        problems.append(f"there is no train/ folder {what}, only {listed(lying) or 'images'}")
    elif TEST not in places and VAL in places:
        notes.append(VAL_TESTS)
        split = {at: TEST if place == VAL else place for at, place in split.items()}
    return split if places - {TRAIN} else None


def _read_as(
    paths: Mapping[int, Path], found: Mapping[int, tuple[int | None, int]], reading: Reading, classes: Sequence[str]
) -> str:
    folders: dict[int | None, set[str]] = defaultdict(set)
    for at, (place, level) in found.items():
        path = paths[at]
        in_class = reading.kind == "class-split"
        above = ("*", *path[level + 1 : -1][:1]) if in_class else path[reading.depth : level]
        folders[place].add("/".join((*above, "")))
    said = [
        f"{_IN_WORDS[place]} images from {listed(sorted(folders[place]))}"
        for place in (TRAIN, VAL, TEST)
        if folders[place]
    ]
    return f"read as: {', '.join(said)}; classes {listed(classes, limit=10)}"


def _classes(paths: Mapping[int, Path], found: Mapping[int, tuple[int | None, int]]) -> dict[int, str]:
    """The class of each image. A name in one spelling stays as it is: older runs know the class by it."""
    spellings: dict[str, set[str]] = defaultdict(set)
    for at, (_, level) in found.items():
        spellings[one_form(paths[at][level])].add(paths[at][level])
    called = {form: min(s) if len(s) == 1 else form for form, s in spellings.items()}
    return {at: called[one_form(paths[at][level])] for at, (_, level) in found.items()}


def _empty_classes(directories: Sequence[str], reading: Reading, wrapping: Path) -> set[str]:
    found = set()
    for name in directories:
        # As if there were an image in it.
        path = (*PurePosixPath(name).parts, "")
        where = reading.place(path)
        if where and len(path) == where[1] + 2 and path[: reading.depth] == wrapping and not hidden(name):
            found.add(path[where[1]])
    return found
