"""Where the files of a path are read from, and where what is learned of them is kept."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from vitrail.configs import LayoutKind
from vitrail.data.archives import list_archive
from vitrail.data.argument import source_name
from vitrail.data.cache import fingerprint
from vitrail.data.contents import hidden, is_image
from vitrail.data.members import Listing, list_folder
from vitrail.runs.layout import PAGE, PLAN, RUN
from vitrail.text import slug

_READING = 4
"""Of the rules by which folders and images are understood: nothing that was kept under earlier ones is used."""
_MARKERS = {RUN, PLAN, PAGE}
_FIGURES = re.compile("(?:^|/)runs/[^/]+/explanation(?:-[0-9]+)?/")


@dataclass(frozen=True)
class Location:
    """A folder or an archive."""

    path: Path
    """Absolute."""
    kept: Path
    """The folder for its survey and decoded images; another where names, sizes or times of the images are others."""
    listing: Listing | None
    """Of a folder; an archive is listed only when it is needed."""
    layout: LayoutKind
    """How its folders are to be read."""

    @property
    def plain(self) -> Path:
        """Where the decompressed copy of a compressed .tar is or will be."""
        return self.kept / "archive.tar"

    def files(self) -> Listing:
        """Raises InputError for an archive that is none, is damaged, or expands beyond the limit."""
        return self.listing or _without_own(list_archive(self.path, self.plain), self.path)


def locate(path: Path, data_dir: Path, layout: LayoutKind = "auto") -> Location:
    """Raises InputError for a folder that cannot be read."""
    if path.is_dir():
        listing = _without_own(list_folder(path), path)
        images = (m for m in listing.members if is_image(m.name) is not False and not hidden(m.name))
        content: tuple[object, ...] = tuple(f"{m.name}\0{m.size}\0{m.at}" for m in images)
    else:
        listing, status = None, path.stat()
        content = (status.st_size, status.st_mtime_ns)
    key = fingerprint(path, _READING, layout, *content)
    return Location(path, data_dir / "decoded" / f"{slug(path.stem)[:40]}-{key}", listing, layout)


def _without_own(listing: Listing, path: Path) -> Listing:
    made = made_here([m.name for m in listing.members], source_name(path))
    if not made:
        return listing
    names = tuple(listing.members[at].name for at in sorted(made))
    folders = {PurePosixPath(name).parts[0] for name in names}
    return replace(
        listing,
        members=tuple(m for at, m in enumerate(listing.members) if at not in made),
        directories=tuple(name for name in listing.directories if PurePosixPath(name).parts[0] not in folders),
        made_here=names,
    )


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
