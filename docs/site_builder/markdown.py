"""Markdown to HTML: formulas as MathML, code in colours, pictures inside the page, an anchor on every heading."""

from __future__ import annotations

import base64
import io
import mimetypes
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

from latex2mathml.converter import convert
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup
from mdit_py_plugins.dollarmath import dollarmath_plugin
from PIL import Image
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from site_builder.errors import BuildError

_HIGHLIGHTING = HtmlFormatter(cssclass="highlight", wrapcode=True)
_SENTENCE = re.compile(r"(?<=[.!?:])\s")
_SLUG = re.compile(r"[^\w]+")


@dataclass(frozen=True)
class Heading:
    level: int
    anchor: str
    html: Markup


class Markdown:
    """The Markdown of one page, rendered piece by piece: what is found on the way is kept.

    `title` is the first heading, which is left out of what is rendered; `summary` is the first sentence.
    """

    def __init__(self, source: Path, sources: frozenset[Path]) -> None:
        self.title = ""
        self.summary = ""
        self.headings: list[Heading] = []
        self._source = source
        self._sources = sources
        self._env: dict[str, Any] = {}
        self._parser = MarkdownIt("commonmark").enable("table")
        self._parser.use(dollarmath_plugin, allow_space=False, allow_digits=False, renderer=self._formula)
        rules = self._parser.renderer.rules
        rules["fence"] = lambda tokens, i, *_: code(tokens[i].content, tokens[i].info.strip() or "text")
        rules["table_open"] = lambda *_: '<div class="scroll"><table>\n'
        rules["table_close"] = lambda *_: "</table></div>\n"

    def render(self, text: str) -> Markup:
        tokens = self._parser.parse(text, self._env)
        for token in (child for parent in tokens for child in parent.children or []):
            if token.type == "image":
                token.attrs |= self._picture(str(token.attrs["src"]))
            elif token.type == "link_open":
                token.attrs["href"] = self._address(str(token.attrs["href"]))
        return Markup(self._parser.renderer.render(self._anchored(tokens), self._parser.options, self._env))

    def _anchored(self, tokens: list[Token]) -> list[Token]:
        """The tokens with anchors on the headings and without the title; takes note of what the page is about."""
        kept, rest = [], iter(tokens)
        for token in rest:
            kept.append(token)
            if token.type == "heading_open":
                inline = next(rest)
                if not self.title:
                    self.title = _words(inline)
                    next(rest)
                    kept.pop()
                    continue
                heading = self._heading(token, inline)
                self.headings.append(heading)
                if token.tag == "h2" and token.level == 0:
                    # A part of its own, whose heading stays in sight while one reads it. It is the target of links,
                    # since a heading in sight is nothing to scroll to.
                    part = f'</section>\n<section id="{heading.anchor}">\n'
                    kept.insert(-1, Token("html_block", "", 0, content=part))
                else:
                    token.attrs["id"] = heading.anchor
                link = f' <a class="anchor" href="#{heading.anchor}" aria-label="Link to this section">#</a>'
                inline.children = [*(inline.children or []), Token("html_inline", "", 0, content=link)]
                kept.append(inline)
            elif token.type == "paragraph_open" and not self.summary:
                inline = next(rest)
                self.summary = _SENTENCE.split(_words(inline), maxsplit=1)[0]
                kept.append(inline)
        return kept

    def _heading(self, opening: Token, inline: Token) -> Heading:
        slug = _SLUG.sub("-", _words(inline).lower()).strip("-") or "section"
        taken = {heading.anchor for heading in self.headings}
        anchor = next(
            name for i in range(1, len(taken) + 2) if (name := slug if i == 1 else f"{slug}-{i}") not in taken
        )
        # A link inside the table of contents would be a link inside a link.
        children = [child for child in inline.children or [] if child.type not in ("link_open", "link_close")]
        html = self._parser.renderer.renderInline(children, self._parser.options, self._env)
        return Heading(int(opening.tag[1]), anchor, Markup(html))

    def _formula(self, latex: str, options: dict[str, Any]) -> str:
        """As MathML. What the converter does not know, it lets through as it is: that is an error here."""
        try:
            html = convert(latex, display="block" if options["display_mode"] else "inline")
            unknown = [text for text in ElementTree.fromstring(html).itertext() if "\\" in text]
        except Exception as error:
            raise BuildError(f"{self._source.name}: the formula {latex!r} has no MathML ({error!r})") from error
        if unknown:
            raise BuildError(f"{self._source.name}: the formula {latex!r} has no MathML: unknown {unknown[0]}")
        return html

    def _picture(self, src: str) -> dict[str, str | int | float]:
        path = self._source.parent / unquote(src)
        if urlsplit(src).scheme or not path.is_file():
            raise BuildError(f"{self._source.name}: the picture {src} is not a file of the documents")
        kind, _ = mimetypes.guess_type(path.name)
        return embedded(path.read_bytes(), str(kind))

    def _address(self, href: str) -> str:
        """Documents link to each other's sources, as their readers on a code host need it; pages link to pages."""
        parts = urlsplit(href)
        linked = self._source.parent / unquote(parts.path)
        if parts.scheme or linked.resolve() not in self._sources:
            return href
        return parts._replace(path=str(Path(parts.path).with_suffix(".html"))).geturl()


def embedded(picture: bytes, kind: str) -> dict[str, str | int | float]:
    """The attributes of an image inside the page: with its size, what is below it has its place before it is loaded."""
    if kind == "image/svg+xml":
        # Drawn by matplotlib, in points.
        drawn = ElementTree.fromstring(picture).attrib
        width, height = (round(float(drawn[side].removesuffix("pt")) * 96 / 72) for side in ("width", "height"))
    else:
        with Image.open(io.BytesIO(picture)) as opened:
            width, height = opened.size
    uri = f"data:{kind};base64,{base64.b64encode(picture).decode()}"
    return {"src": uri, "width": width, "height": height}


def code(source: str, language: str = "python") -> Markup:
    """Source in colours; plain where the language is unknown."""
    try:
        lexer = get_lexer_by_name(language)
    except ClassNotFound:
        lexer = get_lexer_by_name("text")
    html = highlight(source, lexer, _HIGHLIGHTING)
    # A box that scrolls sideways has to be reachable by keyboard.
    return Markup(html.replace("<pre>", '<pre tabindex="0">', 1))


def code_colors() -> str:
    """CSS for `code`: dark text on a light page, light text on a dark one."""
    rules = []
    for scheme, style in (("light", "xcode"), ("dark", "github-dark")):
        tokens = "\n".join(HtmlFormatter(style=style).get_token_style_defs(".highlight"))
        rules.append(f"@media (prefers-color-scheme: {scheme}) {{\n{tokens}\n}}")
    return "\n".join(rules)


def printed(text: str) -> Markup:
    """What a program printed."""
    return Markup('<pre class="printed" tabindex="0">{}</pre>').format(text)


def _words(inline: Token) -> str:
    """The text of a paragraph or a heading without its markup."""
    children = [child for child in inline.children or [] if child.type != "html_inline"]
    return "".join(" " if child.type == "softbreak" else child.content for child in children)
