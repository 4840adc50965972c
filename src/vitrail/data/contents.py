"""What a file is: by its ending where that decides, else by its first bytes."""

from __future__ import annotations

import os
import re
from typing import Final

FIRST_BYTES: Final = 48
"""So much of a file tells its kind."""

IMAGE_EXTENSIONS = frozenset(
    f".{name}"
    for name in (
        *("jpg", "jpeg", "jpe", "jfif", "png", "bmp", "dib", "gif", "tif", "tiff"),
        *("webp", "avif", "jp2", "ppm", "pgm", "pbm", "pnm"),
    )
)

UNREAD_EXTENSIONS = frozenset(
    f".{name}" for name in ("heic", "heif", "dng", "cr2", "cr3", "nef", "arw", "orf", "rw2", "raf", "psd", "svg", "jxl")
)
"""Pictures that people have and that are not read."""

_OTHER = re.compile(
    r".*(?:\.(?:txt|csv|tsv|jsonl?|xml|ya?ml|md|html?|py|ipynb|log|ini|db|pdf|mat|np[yz]|pkl|pickle|pth?|safetensors|h5"
    r"|hdf5|parquet|arrow|tfrecords?|zip|tar|t?gz|bz2|xz|7z|rar|mp4|avi|mov|mkv|bak|old|orig|te?mp|part|crdownload)"
    r"|~|_original)",
    re.IGNORECASE | re.DOTALL,
)
"""No images, and what programs keep of one beside it, or have not finished."""

IMAGES: Final = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "GIF": rb"GIF8[79]a",
    "BMP": rb"BM.{4}\0{4}.{3}\0",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "WebP": rb"RIFF.{4}WEBP",
    "AVIF": rb".{4}ftypavi[fs]",
    "JPEG 2000": rb"\0{3}\x0cjP {2}\r\n|\xff\x4f\xff\x51",
    "PPM": rb"P[1-6]\n[#\d]",
}
"""The kinds that are read, and what they begin with."""
_KINDS = IMAGES | {
    "HEIC": rb".{4}ftyp(?:hei[cmsx]|hev[cmsx]|mif1|msf1)",
    "JPEG XL": rb"\xff\x0a|\0{3}\x0cJXL ",
    "Python pickle": rb"\x80[\x02-\x05]",
    "HTML": rb"(?i:\s*<(?:!doctype html|html))",
    "a pointer of Git LFS: 'git lfs pull' fetches the file": rb"version https://git-lfs",
}
_KIND = {kind: re.compile(start, re.DOTALL) for kind, start in _KINDS.items()}

_HIDDEN = re.compile(r"(?:^|/)(?:\.|(?:__MACOSX|@eaDir|#recycle|\$RECYCLE\.BIN|System Volume Information)(?:/|$))")


def suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def hidden(name: str) -> bool:
    """Whether a path is of what systems and programs keep beside files, such as thumbnails and checkpoints."""
    return _HIDDEN.search(name) is not None


def is_image(name: str) -> bool | None:
    """Whether a file is an image by its ending; None where that does not decide."""
    if suffix(name) in IMAGE_EXTENSIONS:
        return True
    return False if suffix(name) in UNREAD_EXTENSIONS or _OTHER.fullmatch(name) else None


def kind_of(start: bytes) -> str:
    """What a file is that begins with these bytes, in words; empty where they do not tell."""
    return next((kind for kind, pattern in _KIND.items() if pattern.match(start)), "")
