"""Where the files of a path are read from, and where what is learned of them is kept."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from vitrail.data.archives import list_archive
from vitrail.data.argument import source_name
from vitrail.data.cache import fingerprint
from vitrail.data.decoding import IMAGE_EXTENSIONS
from vitrail.data.members import Listing, list_folder
from vitrail.data.tree import made_here
from vitrail.text import slug


@dataclass(frozen=True)
class Location:
    """A folder or an archive."""

    path: Path
    """Absolute."""
    kept: Path
    """The folder for its survey and decoded images; another where names, sizes or times of the images are others."""
    listing: Listing | None
    """Of a folder; an archive is listed only when it is needed."""

    @property
    def plain(self) -> Path:
        """Where the decompressed copy of a compressed .tar is or will be."""
        return self.kept / "archive.tar"

    def files(self) -> Listing:
        """Raises InputError for an archive that is none, is damaged, or expands beyond the limit."""
        return self.listing or list_archive(self.path, self.plain)


def locate(path: Path, data_dir: Path) -> Location:
    """Raises InputError for a folder that cannot be read."""
    if path.is_dir():
        listing = list_folder(path)
        made = made_here([m.name for m in listing.members], source_name(path))
        images = (
            m
            for at, m in enumerate(listing.members)
            if os.path.splitext(m.name)[1].lower() in IMAGE_EXTENSIONS and at not in made
        )
        key = fingerprint(path, *(f"{m.name}\0{m.size}\0{m.at}" for m in images))
    else:
        listing = None
        status = path.stat()
        key = fingerprint(path, status.st_size, status.st_mtime_ns)
    return Location(path, data_dir / "decoded" / f"{slug(path.stem)[:40]}-{key}", listing)
