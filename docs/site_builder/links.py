"""Every link inside the site leads somewhere, and nothing is fetched from outside it."""

from __future__ import annotations

from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from site_builder.errors import BuildError

_ELSEWHERE = ("http", "https", "mailto")


class _Found(HTMLParser):
    """What a page can be linked at, what it links to, and what it loads."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name == "id":
                self.anchors.add(value or "")
            elif name == "href" and tag == "a":
                self.links.append(value or "")
            elif name in ("src", "srcset", "poster", "data") or (name == "href" and tag in ("link", "image")):
                self.loaded.append(value or "")


def check(out: Path, files: Iterable[Path]) -> None:
    """Raises BuildError that names every link without a target, and everything that a page would have to fetch.

    `files` are those of the site, relative to `out`: what else lies there is no target.
    """
    site = {(out / file).resolve(): file for file in files}
    pages = {path: _Found(path.read_text(encoding="utf-8")) for path in site if path.suffix == ".html"}
    faults = []
    for path, found in pages.items():
        faults += [f"{site[path]}: loads {src}" for src in found.loaded if not src.startswith("data:")]
        for href in found.links:
            if urlsplit(href).scheme in _ELSEWHERE:
                continue
            target, anchor = _target(path, href)
            there = target in pages and anchor in pages[target].anchors if anchor else target in site
            if not there:
                faults.append(f"{site[path]}: links to {href}, which is not in the site")
    if faults:
        raise BuildError("\n".join(faults))


def _target(page: Path, href: str) -> tuple[Path, str]:
    parts = urlsplit(href)
    # A path that begins with a host leads out of the site.
    path = f"//{parts.netloc}{parts.path}" if parts.netloc else unquote(parts.path)
    return (page.parent / path).resolve() if path else page, unquote(parts.fragment)
