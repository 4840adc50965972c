"""The image files that the arguments of a command line name."""

from __future__ import annotations

import glob
import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vitrail.data.contents import FIRST_BYTES, IMAGES, hidden, is_image, kind_of
from vitrail.data.members import list_folder, native
from vitrail.errors import InputError
from vitrail.text import natural_key, shown

if TYPE_CHECKING:
    from vitrail.data.preprocessing import Preprocessing


def pictures(given: Sequence[Path]) -> tuple[list[Path], int]:
    """The files themselves; of folders the images in them, at any depth, in natural order; what patterns match.

    A file that is named is taken whatever it is, one that only lies in a folder must be an image by its ending or,
    where that does not tell, by its first bytes. The number is of those passed over, beside hidden ones. Raises
    InputError for an argument that names nothing, and for a folder without images.
    """
    files: list[Path] = []
    passed_over = 0
    for path in given:
        for found in _matches(path):
            if not found.is_dir():
                files.append(found)
                continue
            inside = [m.name for m in list_folder(found).members if not hidden(m.name)]
            images = [found / native(name) for name in sorted(inside, key=natural_key) if _is_image(found, name)]
            if not images:
                raise InputError(f"{shown(str(found))}: there is no image in this folder (.jpg, .png, ...)")
            files += images
            passed_over += len(inside) - len(images)
    return files, passed_over


def decoded(
    files: Sequence[Path], preprocessing: Preprocessing, at_once: int
) -> Iterator[list[NDArray[np.uint8] | InputError]]:
    """The pixels of the files, or why one cannot be read: in order, `at_once` together, the next ones while these are
    worked on. Decoders work outside the interpreter's lock, so threads share the work.
    """
    import joblib

    def read(file: Path) -> NDArray[np.uint8] | InputError:
        try:
            return preprocessing.read(file)
        except InputError as error:
            return error

    # Filters of warnings belong to the whole process: what threads do to them is undone here.
    with warnings.catch_warnings(action="ignore"), ThreadPoolExecutor(joblib.cpu_count()) as threads:
        waiting: list[Future[NDArray[np.uint8] | InputError]] = []
        try:
            for start in range(0, len(files), at_once):
                several, waiting = waiting, [threads.submit(read, file) for file in files[start : start + at_once]]
                if several:
                    yield [one.result() for one in several]
            yield [one.result() for one in waiting]
        finally:
            threads.shutdown(cancel_futures=True)


def _is_image(folder: Path, name: str) -> bool:
    by_ending = is_image(name)
    if by_ending is None:
        with suppress(OSError), (folder / native(name)).open("rb") as file:
            return kind_of(file.read(FIRST_BYTES)) in IMAGES
    return bool(by_ending)


def _matches(path: Path) -> list[Path]:
    # A name may have brackets in it: a pattern is only what is no file.
    name = str(path)
    if os.path.isfile(name) or os.path.isdir(name):
        return [path]
    if os.path.exists(name):
        raise InputError(f"{shown(name)} is neither a file nor a folder")
    matched = sorted(glob.glob(name, recursive=True), key=natural_key)
    if not matched:
        raise InputError(f"{shown(name)}: {'nothing matches' if glob.has_magic(name) else 'no such file or folder'}")
    return [Path(one) for one in matched]
