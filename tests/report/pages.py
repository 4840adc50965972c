"""A written page, with the checks that every page must pass."""

from __future__ import annotations

import base64
import csv
import html
import io
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

from PIL import Image

from vitrail.report import write_report

VOID = {"meta", "img", "br", "link", "input"}


class Page(HTMLParser):
    """The elements of a page, with the checks that every page must pass."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words += data

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]

    def rows(self, caption: str) -> list[list[str]]:
        """The cells of the table of that name, without its head."""
        [body] = re.findall(rf"<caption>{re.escape(caption)}</caption>.*?<tbody>(.*?)</tbody>", self.text, re.S)
        cells = [re.findall(r"<bdi>(.*?)</bdi>", row) for row in body.split("</tr>")]
        return [[html.unescape(cell) for cell in row] for row in cells if row]

    def says(self, words: str) -> bool:
        return words in " ".join(self.words.split())


def page(directory: Path) -> Page:
    path = write_report(directory)
    assert path == directory / "report.html"
    assert path.stat().st_size < 5_000_000
    assert not list(directory.glob(".tmp-*"))
    found = Page(path.read_text(encoding="utf-8"))
    check(found)
    return found


def check(found: Page) -> None:
    assert found.all("html")[0]["lang"] == "en"
    assert not {"script", "iframe", "object", "link", "base", "form"} & {tag for tag, _ in found.elements}
    for tag, attributes in found.elements:
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("src", "href", "srcset", "action", "poster"):
            target = attributes.get(name)
            assert target is None or "download" in attributes or target.startswith(("data:image/", "#", "./")), tag
        assert "url(" not in re.sub(r"url\(#[\w-]+\)", "", attributes.get("style") or "")
    for link in found.all("a"):
        if "download" in link:
            _check_file(str(link["download"]), str(link["href"]))
    style = found.text[found.text.index("<style>") : found.text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert not re.findall(r"https?://", re.sub(r"<(?:code|td|bdi|li|a)\b.*?</", "", found.text, flags=re.S))

    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    references = [a["href"] for _, a in found.elements if (a.get("href") or "").startswith("#")]
    references += [f"#{a['aria-labelledby']}" for _, a in found.elements if "aria-labelledby" in a]
    references += [f"#{name}" for name in re.findall(r"url\(#([\w-]+)\)", found.text)]
    assert {str(reference)[1:] for reference in references} <= set(ids)

    levels = [int(tag[1]) for tag, _ in found.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for image in found.all("img"):
        assert image.get("alt")
        with Image.open(io.BytesIO(base64.b64decode(str(image["src"]).partition(",")[2]))) as picture:
            assert (image.get("width"), image.get("height")) == tuple(map(str, picture.size))
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in found.all("svg"))
    assert len(found.all("table")) == len(found.all("caption"))
    assert all(cell.get("scope") in ("row", "col") for cell in found.all("th"))
    assert len(found.all("main")) == len(found.all("header")) == len(found.all("nav")) == 1
    assert found.all("a")[0]["href"] == "#content"


def saved(href: str) -> tuple[str, str]:
    """The kind and the text of a file that a link holds."""
    kind, _, text = href.removeprefix("data:").partition(";charset=utf-8,")
    assert not re.search(r"[\s#<>\"&]", text.replace(" ", "")), "a browser would cut it or leave something out"
    return kind, unquote(text, errors="strict")


def _check_file(name: str, href: str) -> None:
    assert len(href) < 2_000_000, "Chromium follows no longer link"
    kind, text = saved(href)
    stem, _, ending = name.rpartition(".")
    assert re.fullmatch(r"[a-z0-9-]+", stem)
    assert {"csv": "text/csv", "tex": "text/x-tex", "svg": "image/svg+xml"}[ending] == kind
    if ending == "csv":
        rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))
        assert len({len(row) for row in rows}) == 1
        assert not [cell for row in rows for cell in row if re.match(r"[=+@\t\r]|-(?![\d.e-]+$)", cell)]
    if ending == "svg":
        for element in ElementTree.fromstring(text).iter():
            assert not element.tag.endswith(("script", "foreignObject", "}a"))
            assert "var(" not in str(element.attrib)
            targets = [value for key, value in element.attrib.items() if key.endswith("href")]
            assert all(target.startswith(("#", "data:image/")) for target in targets)
