"""Names, paths and counts as a message says them; and the order people expect names in."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def shown(name: str) -> str:
    """`name` with control characters and undecodable bytes escaped, so that a message stays one line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in name)


def plain_text(name: str, most: int = 24) -> str:
    """A name as it can be shown: control characters, also of writing direction, replaced; at most `most` characters."""
    shown = _CONTROLS.sub("\ufffd", name)
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def shown_name(name: object) -> str:
    """A name from outside without control characters, at a length that a page can hold."""
    return plain_text(str(name), 200)


def listed(names: Iterable[str], limit: int = 3) -> str:
    """The first names and how many more there are: `a, b, c and 4 more`."""
    names = list(names)
    text = ", ".join(shown(name) for name in names[:limit])
    return text if len(names) <= limit else f"{text} and {len(names) - limit:,} more"


def joined(names: Sequence[str]) -> str:
    """All names: `a, b and c`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else "nothing"


def plural(count: int, one: str, many: str | None = None) -> str:
    """A count with its noun: `1 image`, `1,200 images`; `many` where the plural is not `one` with an s."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def quoted(path: Path | str) -> str:
    """A path as a shell takes it."""
    return shlex.quote(str(path))


def one_form(name: str) -> str:
    """A name in Unicode's composed form (NFC), in which names from a Mac and from Linux are equal."""
    return unicodedata.normalize("NFC", name)


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sort key under which `img2` comes before `img10`."""
    parts = re.split(r"(\d+)", name)
    # isdigit() alone also accepts superscripts, which int() refuses.
    return [(0, int(p), p) if p.isascii() and p.isdigit() else (1, 0, p) for p in parts if p]


def slug(name: str) -> str:
    """`name` reduced to what is safe in a directory name: lower case letters, digits, hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "images"
