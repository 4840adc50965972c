"""Which folders of a tree are splits and which classes: by the words in their names and by what they hold."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final

from vitrail.configs import LayoutKind
from vitrail.text import listed, natural_key, one_form, shown

TRAIN: Final = 0
VAL: Final = 1
TEST: Final = 2

Path = tuple[str, ...]
"""The components of an image's path."""

_WORDS = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval"), VAL),
    **dict.fromkeys(("test", "testing", "holdout"), TEST),
}
_APPENDED = re.compile("(?:set|data|images|imgs)$")
_WRAPPINGS = {"images", "imgs", "data"}
_OF_OBJECTS = {
    *("images", "imgs", "jpegimages", "labels", "masks", "mask", "annotations", "ground_truth"),
    *("segmentations", "segmentationclass", "segmentationobject"),
}
_NUMBERED = re.compile(r"(.*(?:part|images?|imgs?|batch|chunk|fold|shard|split|subset|folder|archive))[ _.-]*\d+", re.I)


@dataclass(frozen=True)
class Reading:
    """Where the classes are, and the splits."""

    kind: LayoutKind
    depth: int
    """How many folders hold all others."""
    starts: Mapping[str, int] = field(default_factory=dict)
    """Of split-class: where below each split the classes are."""
    problem: str = ""
    """Why it may be meant otherwise, naming the readings."""

    def place(self, path: Path) -> tuple[int | None, int] | None:
        """The split of an image and which component is its class; None for one that lies outside."""
        if len(path) <= self.depth + 1:
            return None
        if self.kind == "class":
            return None, self.depth
        if self.kind == "class-split":
            # What lies in no split of its class is there to learn from.
            split = place_of(path[self.depth + 1]) if len(path) > self.depth + 2 else TRAIN
            return None if split is None else (split, self.depth)
        at = self.starts.get(path[self.depth], len(path))
        return None if len(path) <= at + 1 else (place_of(path[self.depth]), at)


def place_of(folder: str) -> int | None:
    """TRAIN, VAL or TEST where a word of the name says so: `training_set`, `seg_train`, `TestImages`; else None.

    None also where words contradict each other (`train_val`).
    """
    words = re.findall("[A-Z]*[a-z]+|[A-Z]+", folder)
    places = {_WORDS.get(word, _WORDS.get(_APPENDED.sub("", word))) for word in map(str.lower, words)} - {None}
    return places.pop() if len(places) == 1 else None


def of_objects(folders: Collection[str]) -> bool:
    """Whether these, and there are several, are the parts of a data set for detection or segmentation."""
    return len(folders) > 1 and {folder.lower() for folder in folders} <= _OF_OBJECTS


def read(paths: Collection[Path], layout: LayoutKind = "auto") -> Reading:
    """How a tree is to be read: as `layout` says, or where that is open, as its names and contents tell.

    What they leave open is a problem.
    """
    depth = 0
    while True:
        folders = _grouped(paths, depth)
        if len(folders) != 1 or not _grouped(paths, depth + 1):
            break
        if layout == "split-class" and place_of(*folders) is not None:
            break
        depth += 1
    starts = {folder: _start(of, depth) for folder, of in folders.items()}
    of_splits = {folder: start for folder, start in starts.items() if place_of(folder) is not None}
    if layout != "auto":
        return Reading(layout, depth, of_splits)
    below = {folder: _holds(of, starts[folder], few=folder in of_splits) for folder, of in folders.items()}
    if doubt := _doubt_of_splits(below):
        return Reading("class", depth, problem=doubt)
    deep = {folder for folder in of_splits if below[folder]}
    if deep and len({place_of(folder) for folder in of_splits}) > 1:
        # A folder of its own around the images of a split has no class: unknown/, test/.
        known = {name for folder in deep if place_of(folder) == TRAIN for name in below[folder]}
        alone = {f for f in deep if place_of(f) != TRAIN and len(below[f]) == 1 and known and not below[f] & known}
        classes = {folder: start for folder, start in of_splits.items() if folder not in alone}
        nested = _nested([p[classes[f] - 1 :] for f in deep - alone for p in folders[f]], 1, "split-class")
        return Reading("split-class", depth, classes, nested)
    return _read_below(folders, depth, below)


def _read_below(folders: Mapping[str, Sequence[Path]], depth: int, below: Mapping[str, set[str]]) -> Reading:
    """Where the folders at the top are classes, or nothing that is understood."""
    inside = {folder: _grouped(of, depth + 1) for folder, of in folders.items()}
    places = {folder: {place_of(name) for name in found} for folder, found in inside.items()}
    found = set().union(*places.values())
    full = all(len(p) == depth + 3 for of in folders.values() for p in of)
    if len(folders) > 1 and full and TRAIN in found and None not in found and len(found) > 1:
        return Reading("class-split", depth)
    split = {folder: [name for name in within if name.lower() in _WORDS] for folder, within in inside.items()}
    paths = [path for of in folders.values() for path in of]
    shallow = max(map(len, paths), default=0) <= depth + 3
    if shallow and len(halved := sorted(folder for folder, names in split.items() if names)) > 1:
        problem = (
            f"{_folders(halved)} hold {_folders(sorted(set().union(*split.values())))} beside others: "
            f"say by --layout class-split that these are splits, or by --layout class that all belong to the class"
        )
    else:
        problem = _doubts(folders, below) or _nested(paths, depth, "class")
    return Reading("class", depth, problem=problem)


def _doubt_of_splits(below: Mapping[str, set[str]]) -> str:
    """Why folders with the words of splits may be others; empty where they have none, or no doubt is left."""
    places = {folder: place for folder in below if (place := place_of(folder)) is not None}
    plain = all(folder.lower() in _WORDS for folder in places)
    if plain or len(set(places.values())) < 2 or not any(below[folder] for folder in places):
        return ""
    training = [folder for folder, place in places.items() if place == TRAIN and below[folder]]
    known = {name for folder in training for name in below[folder]}
    held = [folder for folder in places if below[folder] and folder not in training]
    apart = [folder for folder in held if not below[folder] & known]
    others = set(below) - set(places)
    if training and not apart and not any(below[folder] & known for folder in others) and (held or not others):
        return ""
    return f"{_folders(sorted(places))} may be splits or classes: say by --layout split-class, or --layout class"


def _doubts(folders: Mapping[str, Sequence[Path]], below: Mapping[str, set[str]]) -> str:
    """Why folders that would be classes are hardly meant to be."""
    deep = {folder for folder in below if below[folder]}
    places = {folder: place for folder in folders if (place := place_of(folder)) is not None}
    words = {folder for folder in places if folder.lower() in _WORDS}
    splits = set(places) if set(places) == set(folders) else words
    if not deep and len(splits) > 1 and (splits != words or TRAIN in {places[folder] for folder in words}):
        return (
            f"{_folders(sorted(splits))} hold images but no class folders: expected one in each for every class, "
            "or --layout class if they are the classes"
        )
    for folder in sorted(deep & words):
        if len(below[folder]) > 1 and deep == {folder}:
            flat = _folders(sorted(set(folders) - deep))
            return (
                f"{folder}/ holds folders ({listed(sorted(below[folder]))}), {flat} images alone: name {folder}/ "
                f"itself if these are the classes, or say by --layout class that {folder} is one"
            )
    numbered = {match[1] for folder in folders if (match := _NUMBERED.fullmatch(folder))}
    if len(numbered) == 1 < len(folders) and all(map(_NUMBERED.fullmatch, folders)) and not deep:
        return (
            f"{_folders(sorted(folders, key=natural_key))} are numbered parts by their names, and hold no class "
            "folders: expected one folder of images per class, or --layout class if they are the classes"
        )
    for folder in sorted(deep):
        if len(both := below[folder] & {one_form(other) for other in folders}) > 1:
            return (
                f"{shown(folder)}/ holds folders that lie beside it too ({listed(sorted(both))}), as a copy of the "
                f"data does: remove it, or say by --layout class that {shown(folder)} is a class"
            )
    for a, b in combinations(sorted(deep, key=natural_key), 2):
        # One folder in each of them, such as images/, wraps what the class holds.
        if (both := below[a] & below[b]) and max(len(below[a]), len(below[b])) > 1:
            if of_objects(both):
                return f"{_folders([a, b])} hold {_folders(sorted(both))}: leave only images of the class in its folder"
            return _alike(a, b, both)
    return ""


def _nested(paths: Collection[Path], depth: int, kind: LayoutKind) -> str:
    """Whether the folders that would be classes all hold several folders and no image of their own."""
    below = {folder: _holds(of, depth + 1) for folder, of in _grouped(paths, depth).items()}
    if len(below) < 2 or not all(len(folders) > 1 for folders in below.values()):
        return ""
    first = min(below, key=natural_key)
    held = listed(sorted(below[first], key=natural_key))
    return (
        f"there are class folders in class folders ({shown(first)}/ holds {held}): name the folder whose folders are "
        f"the classes, or say by --layout {kind} that {listed(sorted(below, key=natural_key))} are"
    )


def _alike(first: str, second: str, both: Iterable[str]) -> str:
    return (
        f"{shown(first)}/ and {shown(second)}/ hold the same folders ({listed(sorted(both, key=natural_key))}), so "
        "they are splits or versions and no classes: name one of them, call them train/ and test/, or say by --layout "
        "class that they are the classes"
    )


def _grouped(paths: Iterable[Path], depth: int) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        if len(path) > depth + 1:
            found[path[depth]].append(path)
    return dict(found)


def _holds(paths: Sequence[Path], start: int, few: bool = False) -> set[str]:
    """The folders at a depth; none if images lie beside them (more than a `few`), which makes them parts of a class."""
    within = [path for path in paths if len(path) > start + 1]
    beside = len(paths) - len(within)
    return set() if beside and not (few and beside < len(within)) else {one_form(path[start]) for path in within}


def _start(paths: Sequence[Path], depth: int) -> int:
    """Where the content of a folder begins that holds nothing but a folder of its own name or split, and so on."""
    name, start = paths[0][depth], depth + 1
    while len(below := _holds(paths, start)) == 1:
        [only] = below
        same_split = place_of(name) is not None and place_of(only) == place_of(name)
        if not (only == name or same_split or only.lower() in _WRAPPINGS):
            break
        start += 1
    return start


def _folders(names: Iterable[str]) -> str:
    return listed(f"{name}/" for name in names)
