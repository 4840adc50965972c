"""Folders and archives of images: surveyed once, decoded once for every size, and both kept in the data folder."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitrail.data.archives import ZIP_SUFFIXES, decompressed, is_tar, list_tar, list_zip
from vitrail.data.cache import DAY_SECONDS, disk_errors, fingerprint, replacing
from vitrail.data.decoding import IMAGE_EXTENSIONS, Framing, decode_bytes
from vitrail.data.layout import Layout, arrange
from vitrail.data.members import Container, Listing, Member, list_folder, read_member
from vitrail.data.pixels import write_header
from vitrail.data.scan import Scanned, scan
from vitrail.data.workers import over_chunks
from vitrail.errors import InputError
from vitrail.text import shown, slug


@dataclass(frozen=True)
class Survey:
    """What is known of every image file once each has been read through."""

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


def locate(path: Path, data_dir: Path) -> tuple[Listing | None, Path]:
    """The list of a folder (None for an archive, whose list is made only when needed), and where results are kept.

    The place changes with the names, sizes and times of the images, so that nothing stale is ever found there.
    """
    if path.is_dir():
        listing = list_folder(path)
        images = (m for m in listing.members if os.path.splitext(m.name)[1].lower() in IMAGE_EXTENSIONS)
        key = fingerprint(path, *(f"{m.name}\0{m.size}\0{m.at}" for m in images))
    else:
        listing = None
        status = path.stat()
        key = fingerprint(path, status.st_size, status.st_mtime_ns)
    return listing, data_dir / "decoded" / f"{slug(path.stem)[:40]}-{key}"


def list_archive(path: Path, cached: Path) -> Listing:
    """What a .zip or .tar holds; `cached` takes the decompressed copy of a compressed .tar.

    Raises:
        InputError: it is neither, is damaged, or expands beyond the limit.
    """
    with path.open("rb") as file:
        is_zip = file.read(2) == b"PK" or path.name.lower().endswith(ZIP_SUFFIXES)
    if not is_zip and not is_tar(path):
        raise InputError(
            f"{shown(str(path))} is neither a folder nor a .zip or .tar: name what holds one folder of images per class"
        )
    return list_zip(path) if is_zip else list_tar(path, cached / "archive.tar")


def recall(cached: Path) -> Survey | None:
    """The survey kept in `cached`, if there is one that is whole."""
    try:
        return _from_json(json.loads((cached / "survey.json").read_text("utf-8")))
    except (OSError, ValueError):
        return None


def survey(path: Path, listing: Listing, cached: Path, tolerant: bool = False) -> Survey:
    """Arrange and read through all images of a folder or an archive, and keep what was found.

    Args:
        path: the folder or archive, resolved.
        listing: what it holds.
        cached: where results are kept.
        tolerant: go on after problems that make the data unusable, to find the others too.

    Raises:
        InputError: the data must not be used (unless `tolerant`), or `cached` cannot be written to.
    """
    layout = arrange([member.name for member in listing.members], listing.directories)
    problems = (*listing.problems, *(f"{shown(str(path))}: {problem}" for problem in layout.problems))
    if problems and not tolerant:
        raise InputError(problems[0])
    members = tuple(listing.members[at] for at in layout.kept)
    with disk_errors(cached):
        cached.mkdir(parents=True, exist_ok=True)
    scanned = () if listing.too_expansive else tuple(scan(listing.container, members))
    found = Survey(listing.container, members[: len(scanned)], scanned, layout, problems)
    if not problems:
        with replacing(cached / "survey.json") as temporary:
            temporary.write_text(json.dumps({"source": str(path), **_to_json(found)}), "utf-8")
        _remove_superseded(path, cached)
    return found


def _remove_superseded(path: Path, cached: Path) -> None:
    """What was kept a day ago or longer of the same folder or archive, before it changed: decoded images take space.

    A younger one may be another machine's, which calls a folder of its own by the same path.
    """
    for stored in cached.parent.glob(f"{cached.name.rpartition('-')[0]}-*/survey.json"):
        try:
            of = json.loads(stored.read_text("utf-8"))
            same = of.get("source", of["container"]["path"]) == str(path)
            if stored.parent != cached and same and time.time() - stored.stat().st_mtime > DAY_SECONDS:
                shutil.rmtree(stored.parent, ignore_errors=True)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # Damaged, or gone meanwhile.


def decoded_images(
    path: Path, cached: Path, container: Container, members: Sequence[Member], framing: Framing, channels: int
) -> NDArray[np.uint8]:
    """All images in one framing, decoded in parallel the first time and mapped from the disk from then on.

    Returns:
        uint8 memory map (N, channels, height, width), read-only.

    Raises:
        InputError: a file has changed or gone since it was surveyed, or the disk is full or read-only.
    """
    height, width = framing.size
    plain = framing == Framing(framing.size)
    how = "" if plain else f"-{framing.fit}-{framing.crop:g}-{framing.interpolation}"
    stored = cached / f"{height}x{width}x{channels}{how}.npy"
    if not stored.exists():
        if container.kind == "tar":
            decompressed(path, cached / "archive.tar")
        with replacing(stored) as temporary:
            shape = (len(members), channels, height, width)
            with temporary.open("wb") as file:
                write_header(file, shape)
                offset = file.tell()
                file.truncate(offset + int(np.prod(shape)))
            work = partial(_decode_chunk, container, str(temporary), offset, framing, channels)
            for _ in over_chunks(work, members, "Decoding images"):
                pass
    images: NDArray[np.uint8] = np.load(stored, mmap_mode="r", allow_pickle=False)
    return images


def _decode_chunk(
    container: Container,
    target: str,
    offset: int,
    framing: Framing,
    channels: int,
    start: int,
    members: Sequence[Member],
) -> None:
    """Write a run of images to its place in the file."""
    # Written rather than mapped: a full disk then is an error and not a signal, and no process holds the pages.
    with open(target, "r+b") as file:
        file.seek(offset + start * channels * framing.size[0] * framing.size[1])
        for member in members:
            try:
                image = decode_bytes(read_member(container, member), framing, channels)
            except MemoryError:
                raise
            except Exception as error:
                raise InputError(
                    f"{shown(member.name)}: {shown(str(error))} (it was whole when first read: has it changed?)"
                ) from error
            file.write(image.tobytes())


def _to_json(found: Survey) -> dict[str, Any]:
    return {
        "container": asdict(found.container),
        "members": list(zip(*found.members, strict=True)),
        "scanned": list(zip(*found.scanned, strict=True)),
        "layout": asdict(found.layout),
    }


def _from_json(stored: dict[str, Any]) -> Survey:
    layout = stored["layout"]
    return Survey(
        container=Container(**stored["container"]),
        members=tuple(map(Member, *stored["members"])),
        scanned=tuple(map(Scanned, *stored["scanned"])),
        layout=Layout(
            kept=tuple(layout["kept"]),
            class_names=tuple(layout["class_names"]),
            labels=tuple(layout["labels"]),
            split=None if layout["split"] is None else tuple(layout["split"]),
            ignored=tuple((reason, count) for reason, count in layout["ignored"]),
            notes=tuple(layout["notes"]),
            problems=tuple(layout["problems"]),
        ),
        problems=(),
    )
