"""What is known of a folder or archive of images once each has been read through: found out once, and kept."""

from __future__ import annotations

import json
import shutil
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vitrail.data.cache import DAY_SECONDS, disk_errors, replacing
from vitrail.data.contents import FIRST_BYTES, hidden, is_image, kind_of
from vitrail.data.layout import Layout, arrange
from vitrail.data.location import Location
from vitrail.data.members import Container, Listing, Member, opened
from vitrail.data.scan import Scanned, scan
from vitrail.data.tones import Header
from vitrail.errors import InputError
from vitrail.text import listed, plural, shown


@dataclass(frozen=True)
class Survey:
    """Every image file and the class and split that its place says."""

    container: Container
    members: tuple[Member, ...]
    """The images, in natural order of their names."""
    scanned: tuple[Scanned, ...]
    """One for each."""
    layout: Layout
    problems: tuple[str, ...]
    """Why the data cannot be used as it is, one line each, naming the source."""

    @property
    def leaking(self) -> set[int]:
        """Places of copies, byte for byte, that would bring an image to training and to what measures it.

        Where splits are ready made, those of an image that also tests or validates; else all but the first of a class.
        """
        copies: dict[tuple[str, int], list[int]] = {}
        # Nothing is scanned of an archive that would expand too far.
        for at, (scanned, label) in enumerate(zip(self.scanned, self.layout.labels, strict=False)):
            if not scanned.reason:
                copies.setdefault((scanned.digest, label), []).append(at)
        split = self.layout.split
        if split is None:
            return {at for same in copies.values() for at in same[1:]}
        return {at for same in copies.values() for at in same if split[at] < max(split[twin] for twin in same)}


def recall(kept: Path) -> Survey | None:
    """The survey in this folder, if there is one that is whole."""
    try:
        return _from_json(json.loads((kept / "survey.json").read_text("utf-8")))
    except (OSError, ValueError):
        return None


def survey(location: Location, listing: Listing, tolerant: bool = False) -> Survey:
    """Arrange and read through all images of a folder or an archive, and keep what was found.

    With `tolerant` it goes on after problems that make the data unusable, to find the others too. Raises InputError
    for those, else, and for a data folder that cannot be written to.
    """
    names = [m.name for m in listing.members]
    layout = arrange(names, listing.directories, _look_inside(listing), location.layout)
    if own := [name for name in listing.made_here if is_image(name)]:
        said = f"passed over {plural(len(own), 'image')} that vitrail wrote itself: {listed(own)}"
        layout = replace(layout, notes=(*layout.notes, said))
    problems = (*listing.problems, *(f"{shown(str(location.path))}: {problem}" for problem in layout.problems))
    if problems and not tolerant:
        raise InputError(problems[0])
    members = tuple(listing.members[at] for at in layout.kept)
    with disk_errors(location.kept):
        location.kept.mkdir(parents=True, exist_ok=True)
    scanned = () if listing.too_expansive else tuple(scan(listing.container, members))
    found = Survey(listing.container, members[: len(scanned)], scanned, layout, problems)
    if not problems:
        with replacing(location.kept / "survey.json") as temporary:
            temporary.write_text(json.dumps({"source": str(location.path), **_to_json(found)}), "utf-8")
        _remove_superseded(location)
    return found


def _look_inside(listing: Listing) -> dict[int, str]:
    """The kinds of the files whose endings do not tell, by their places; only their first bytes are read."""
    found: dict[int, str] = {}
    if listing.too_expansive:
        return found
    for at, member in enumerate(listing.members):
        if is_image(member.name) is None and not hidden(member.name):
            # A damaged member raises almost anything, and is no image.
            with suppress(Exception), opened(listing.container, member) as file:
                found[at] = kind_of(file.read(min(FIRST_BYTES, member.size)))
    return found


def _remove_superseded(location: Location) -> None:
    """What was kept a day ago or longer of the same folder or archive, before it changed: decoded images take space.

    A younger one may be another machine's, which calls a folder of its own by the same path.
    """
    for stored in location.kept.parent.glob(f"{location.kept.name.rpartition('-')[0]}-*/survey.json"):
        try:
            of = json.loads(stored.read_text("utf-8"))
            same = of.get("source", of["container"]["path"]) == str(location.path)
            if stored.parent != location.kept and same and time.time() - stored.stat().st_mtime > DAY_SECONDS:
                shutil.rmtree(stored.parent, ignore_errors=True)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # Damaged, or gone meanwhile.


def _to_json(found: Survey) -> dict[str, Any]:
    return {
        "container": asdict(found.container),
        "members": list(zip(*found.members, strict=True)),
        "scanned": list(zip(*found.scanned, strict=True)),
        "layout": asdict(found.layout),
    }


def _from_json(stored: dict[str, Any]) -> Survey:
    return Survey(
        container=Container(**stored["container"]),
        members=tuple(map(Member, *stored["members"])),
        scanned=tuple(Scanned(_header(header), *rest) for header, *rest in zip(*stored["scanned"], strict=True)),
        layout=Layout(**{name: _frozen(value) for name, value in stored["layout"].items()}),
        problems=(),
    )


def _header(stored: list[Any]) -> Header:
    return Header(*map(_frozen, stored))


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
