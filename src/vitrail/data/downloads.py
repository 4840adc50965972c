"""Published data sets: where their files are, by which checksum they are known, and how they are fetched."""

from __future__ import annotations

import gzip
import hashlib
import logging
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from vitrail.data.cache import DATA_DIR_VARIABLE, disk_errors
from vitrail.errors import InputError
from vitrail.progress import track

_TIMEOUT_SECONDS = 20
_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_FASHION = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
_CIFAR = "https://www.cs.toronto.edu/~kriz/"


@dataclass(frozen=True)
class RemoteFile:
    """One file of a published data set."""

    name: str
    base: str
    """Address of the folder it lies in."""
    md5: str
    """As published."""
    content_md5: str = ""
    """Of a gzipped file's content, by which copies are known that were unpacked, or packed anew."""

    @property
    def url(self) -> str:
        return self.base + self.name


def _idx_files(base: str, *sums: tuple[str, str]) -> tuple[RemoteFile, ...]:
    parts = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return tuple(RemoteFile(f"{part}-ubyte.gz", base, *of) for part, of in zip(parts, sums, strict=True))


PUBLISHED: dict[str, tuple[RemoteFile, ...]] = {
    "mnist": _idx_files(
        _MNIST,
        ("f68b3c2dcbeaaa9fbdd348bbdeb94873", "6bbc9ace898e44ae57da46a324031adb"),
        ("d53e105ee54ea40749a09fcbcd1e9432", "a25bea736e30d166cdddb491f175f624"),
        ("9fb629c4189551a2d022fa330f9573f3", "2646ac647ad5339dbf082846283269ea"),
        ("ec29112dd5afa0611ce80d1b7f02629c", "27ae3e4e09519cfbb04c329615203637"),
    ),
    "fashion-mnist": _idx_files(
        _FASHION,
        ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", "f4a8712d7a061bf5bd6d2ca38dc4d50a"),
        ("25c81989df183df01b3e8a0aad5dffbe", "9018921c3c673c538a1fc5bad174d6f9"),
        ("bef4ecab320f06d8554ea6380940ec79", "8181f5470baa50b63fa0f6fddb340f0a"),
        ("bb300cfdad3c16e7a12a480ee83cd310", "15d484375f8d13e6eb1aabb0c3f46965"),
    ),
    "cifar10": (RemoteFile("cifar-10-binary.tar.gz", _CIFAR, "c32a1d4ab5d03f1284b67883e8d87530"),),
    "cifar100": (RemoteFile("cifar-100-binary.tar.gz", _CIFAR, "03b5dce01913d631647c71ecec9e9cb8"),),
}


def fetch(name: str, data_dir: Path) -> tuple[Path, ...]:
    """The files of a published data set, downloaded into `data_dir/name` unless they are there already.

    Raises InputError for a file that is not there and cannot be fetched, saying what to place where, and for one that
    is not what was published.
    """
    folder = data_dir / name
    return tuple(_present(file, folder) or _download(name, file, folder) for file in PUBLISHED[name])


def _present(file: RemoteFile, folder: Path) -> Path | None:
    for path in (folder / file.name, folder / file.name.removesuffix(".gz")):
        if path.is_file() and _is_published(path, file):
            return path
    return None


def _is_published(path: Path, file: RemoteFile) -> bool:
    with path.open("rb") as stream:
        md5 = hashlib.file_digest(stream, "md5").hexdigest()
    if md5 == file.md5:
        return True
    if not file.content_md5 or path.suffix != ".gz":
        return md5 == file.content_md5
    try:
        with gzip.open(path) as content:
            return hashlib.file_digest(content, "md5").hexdigest() == file.content_md5
    except (OSError, EOFError, zlib.error):
        return False


def _download(name: str, file: RemoteFile, folder: Path) -> Path:
    # Imported here because they take a tenth of a second that no other command should spend.
    import pooch
    import requests

    pooch.get_logger().setLevel(logging.WARNING)
    target = folder / file.name
    # A file that is not the published one is replaced only once the published one has arrived.
    found = "a file with another checksum lies there; " if target.exists() else ""
    try:
        with disk_errors(folder):
            progress = _Progress(f"Downloading {file.name}")
            downloader = pooch.HTTPDownloader(progressbar=progress, timeout=_TIMEOUT_SECONDS)
            pooch.retrieve(file.url, f"md5:{file.md5}", file.name, folder, downloader=downloader)
    except requests.RequestException as error:
        raise InputError(
            f"{name} is not in the data folder and cannot be downloaded ({_reason(error)}): {found}place "
            f"{_missing(name, folder)} from {file.base} in {folder}, or choose another data folder with "
            f"--data-dir or {DATA_DIR_VARIABLE}"
        ) from error
    except ValueError as error:
        raise InputError(
            f"{file.url} did not send the published file (md5 {file.md5}): try again later, or place it in {folder}"
        ) from error
    finally:
        progress.close()
    return target


def _missing(name: str, folder: Path) -> str:
    files = [file for file in PUBLISHED[name] if _present(file, folder) is None]
    return ", ".join(f"{file.name} (md5 {file.md5})" for file in files)


def _reason(error: Exception) -> str:
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answers {error.response.status_code}"
    return "the server does not answer" if isinstance(error, requests.Timeout) else "no connection"


class _Progress(ExitStack):
    """What pooch expects of a progress bar, shown by `track` in MB."""

    def __init__(self, description: str) -> None:
        super().__init__()
        self.total = self._bytes = 0
        self._description = description
        self._advance: Callable[..., None] | None = None

    def update(self, count: int) -> None:
        if self._advance is None:
            self._advance = self.enter_context(track(self._description, self.total // 2**20, "MB"))
        before, self._bytes = self._bytes, min(self._bytes + count, self.total)
        self._advance(self._bytes // 2**20 - before // 2**20)

    def reset(self) -> None:
        """Called before pooch reports the whole once more: what was counted stays counted."""
