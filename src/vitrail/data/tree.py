"""What the folders of a tree are, splits or classes: by the words in their names and by what they hold."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import PurePosixPath
from typing import Final

from vitrail.text import listed, natural_key, plural, shown, slug

TRAIN: Final = 0
VAL: Final = 1
TEST: Final = 2

Parts = dict[int, tuple[str, ...]]
"""From places in the list of names to the components of the paths, of the images alone."""

CANONICAL = ("train", "val", "test")
_IN_WORDS = ("training", "validation", "test")
_WORDS = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval"), VAL),
    **dict.fromkeys(("test", "testing", "holdout"), TEST),
}
_APPENDED = re.compile("(?:set|data|images|imgs)$")
_WRAPPINGS = {"images", "imgs", "data"}
_PARTS_OF_AN_ANNOTATION = {"images", "imgs", "labels", "masks", "annotations", "ground_truth"}
_MARKERS = {"run.json", "plan.json", "explanation.html"}
_FIGURES = re.compile("(?:^|/)runs/[^/]+/explanation(?:-[0-9]+)?/")


@dataclass(frozen=True)
class Reading:
    """A tree put as `train/class/image` where it says so in other words, else as it was."""

    parts: Parts
    left_out: int = 0
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def place_of(folder: str) -> int | None:
    """TRAIN, VAL or TEST where a word of the name says so: `training_set`, `seg_train`, `TestImages`; else None.

    None also where words contradict each other (`train_val`).
    """
    words = re.findall("[A-Z]*[a-z]+|[A-Z]+", folder)
    places = {_WORDS.get(word, _WORDS.get(_APPENDED.sub("", word))) for word in map(str.lower, words)} - {None}
    return places.pop() if len(places) == 1 else None


def made_here(names: Sequence[str], source: str) -> set[int]:
    """Places of the files that this software wrote: all in folders of runs, plans and explanations; sheets of samples.

    `source` is the short name of what the names are from, by which a sheet is called. What lies at the top is no such
    folder: there, the markers do not tell pictures of the data from others.
    """
    folders = {path.parent.parts for path in map(PurePosixPath, names) if path.name in _MARKERS} - {()}
    found = set()
    for at, name in enumerate(names):
        *above, last = PurePosixPath(name).parts
        sheets = {f"{called}-samples.png" for called in (source, *map(slug, above))}
        ours = any(tuple(above[:depth]) in folders for depth in range(1, len(above) + 1))
        if ours or last in sheets or _FIGURES.search(name):
            found.add(at)
    return found


def read(parts: Parts, depth: int, exact: bool) -> Reading:
    """Say which folders are splits, and what speaks against reading them as classes.

    `depth` is how many folders hold all others; `exact` says that train/, val/ and test/ by these very names follow.
    """
    inside = _grouped(parts, depth)
    if not inside:
        return Reading(parts)
    tops = {folder: _descended(parts, at, depth) for folder, at in inside.items()}
    below = {folder: _holds(parts, inside[folder], start) for folder, start in tops.items()}
    deep = {folder for folder, folders in below.items() if folders}
    places = {folder: place for folder in inside if (place := place_of(folder)) is not None}
    if exact and all(start == depth + 1 for start in tops.values()):
        return Reading(parts, problems=_in_classes(parts, depth + 1, of={f for f in inside if f in places}))
    training = {folder for folder in deep if places.get(folder) == TRAIN}
    known = {name for folder in training for name in below[folder]}
    others = deep & set(places) - training
    if training and set(places) - training and all(below[folder] & known for folder in others):
        return _as_splits(parts, inside, tops, deep, places, known, below)
    if _split_below(parts, inside, depth, below):
        rewritten: Parts = {}
        said: list[str] = []
        for place, words in enumerate(_IN_WORDS):
            of = {at: p for at, p in parts.items() if place_of(p[depth + 1]) == place}
            rewritten |= {at: (CANONICAL[place], p[depth], *p[depth + 2 :]) for at, p in of.items()}
            if of:
                names = sorted({f"*/{p[depth + 1]}" for p in of.values()})
                said.append(f"{words} images from {_folders(names)}")
        return Reading(rewritten, notes=(_note(said, inside),))
    return Reading(parts, problems=_doubts(inside, deep, places, below) or _in_classes(parts, depth))


def _as_splits(
    parts: Parts,
    inside: Mapping[str, Sequence[int]],
    tops: Mapping[str, int],
    deep: set[str],
    places: Mapping[str, int],
    classes: set[str],
    below: Mapping[str, set[str]],
) -> Reading:
    if more := [f for f in sorted(deep - set(places)) if below[f] & classes]:
        return Reading(parts, problems=(_alike(more[0], next(f for f in deep if places.get(f) == TRAIN), classes),))
    flat = sorted(set(inside) - deep)
    notes = []
    if flat:
        count = sum(len(inside[folder]) for folder in flat)
        notes.append(f"left out {plural(count, 'image')} without a class in {_folders(flat)}: for vitrail predict")
    rewritten: Parts = {}
    for folder in deep:
        top = (CANONICAL[places[folder]],) if folder in places else (folder,)
        rewritten |= {at: (*top, *parts[at][tops[folder] :]) for at in inside[folder]}
    said = []
    for place, words in enumerate(_IN_WORDS):
        if of := sorted(f for f in deep if places.get(f) == place):
            said.append(f"{words} images from {_folders('/'.join(_path(parts, inside[f], tops[f], f)) for f in of)}")
    # Of one split alone nothing but its classes is left, as if its folder had been named.
    problems = _in_classes(rewritten, 1)
    return Reading(rewritten, len(parts) - len(rewritten), (_note(said, classes), *notes), problems)


def _path(parts: Parts, at: Sequence[int], start: int, folder: str) -> tuple[str, ...]:
    components = parts[at[0]][:start]
    return components[components.index(folder) :]


def _split_below(parts: Parts, inside: Mapping[str, Sequence[int]], depth: int, below: Mapping[str, set[str]]) -> bool:
    """Whether each class has its own folders of training and test images, with nothing further in them."""
    names = {name for folders in below.values() for name in folders}
    found = {place_of(name) for name in names}
    return (
        len(inside) > 1
        and None not in found
        and TRAIN in found
        and len(found) > 1
        and all(len(parts[at]) == depth + 3 for of in inside.values() for at in of)
        and all(len(p) > depth + 1 for p in parts.values())
    )


def _doubts(
    inside: Mapping[str, Sequence[int]], deep: set[str], places: Mapping[str, int], below: Mapping[str, set[str]]
) -> tuple[str, ...]:
    """Why folders that would be classes are hardly meant to be."""
    words = {folder for folder in places if re.fullmatch("[A-Za-z]+", folder) and folder.lower() in _WORDS}
    flat = set(inside) - deep
    for split in (words, set(places) if set(places) == set(inside) else set()):
        if not deep and TRAIN in (of := {places[folder] for folder in split}) and len(of) > 1:
            return (
                f"{_folders(sorted(split))} hold images but no class folders: expected one in each for every class",
            )
    if len(inside) > 1 and {folder.lower() for folder in inside} <= _PARTS_OF_AN_ANNOTATION:
        return (
            f"{_folders(sorted(inside))} belong to a data set for detection or segmentation, not to classes: "
            "expected one folder of images per class",
        )
    for folder in sorted(deep & words):
        if len(below[folder]) > 1 and flat == set(inside) - {folder}:
            return (
                f"{folder}/ holds folders ({listed(sorted(below[folder]))}), {_folders(sorted(flat))} images alone: "
                f"name {folder}/ itself if these are the classes, or move the images of class {folder} up into it",
            )
    pairs = combinations(sorted(deep, key=natural_key), 2)
    for a, b in pairs:
        # One folder in each of them, such as images/, wraps what the class holds.
        if (both := below[a] & below[b]) and max(len(below[a]), len(below[b])) > 1:
            return (_alike(a, b, both),)
    return ()


def _in_classes(parts: Parts, depth: int, of: set[str] | None = None) -> tuple[str, ...]:
    """Whether the folders that would be classes all hold several folders and no image of their own."""
    chosen = {at: p for at, p in parts.items() if of is None or (len(p) > depth and p[depth - 1] in of)}
    inside = _grouped(chosen, depth)
    below = {folder: _holds(chosen, at, depth + 1) for folder, at in inside.items()}
    if len(below) < 2 or not all(len(folders) > 1 for folders in below.values()):
        return ()
    first = min(below, key=natural_key)
    held = listed(sorted(below[first], key=natural_key))
    return (
        f"there are class folders in class folders ({shown(first)}/ holds {held}): "
        "name the folder whose folders are the classes, or move the images of each class up into one folder",
    )


def _alike(first: str, second: str, both: Iterable[str]) -> str:
    first, second, same = shown(first), shown(second), listed(sorted(both, key=natural_key))
    return (
        f"{first}/ and {second}/ hold the same folders ({same}), so they are splits or versions and no classes: "
        f"name one of them, call them train/ and test/, or move the images of {first} up into it if it is a class"
    )


def _grouped(parts: Parts, depth: int) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for at, p in parts.items():
        if len(p) > depth + 1:
            found[p[depth]].append(at)
    return dict(found)


def _holds(parts: Parts, at: Sequence[int], start: int) -> set[str]:
    """The folders at a depth; none if an image lies beside them, for that makes them parts of a class."""
    paths = [parts[one] for one in at]
    return set() if any(len(p) == start + 1 for p in paths) else {one_form(p[start]) for p in paths}


def _descended(parts: Parts, at: Sequence[int], depth: int) -> int:
    """Where the content of a folder begins that holds nothing but a folder of its own name or split, and so on."""
    name, start = parts[at[0]][depth], depth + 1
    while True:
        below = _holds(parts, at, start)
        if len(below) != 1 or not _holds(parts, at, start + 1):
            return start
        [only] = below
        same_split = place_of(name) is not None and place_of(only) == place_of(name)
        if not (only == name or same_split or only.lower() in _WRAPPINGS):
            return start
        start += 1


def _folders(names: Iterable[str]) -> str:
    return listed(f"{name}/" for name in names)


def _note(said: Sequence[str], classes: Iterable[str]) -> str:
    return f"read as: {', '.join(said)}; classes {listed(sorted(classes, key=natural_key), limit=10)}"


def one_form(name: str) -> str:
    """A name in Unicode's composed form (NFC), in which names from a Mac and from Linux are equal."""
    return unicodedata.normalize("NFC", name)
