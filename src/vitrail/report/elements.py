"""What a page is made of, and the one way to render it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from vitrail.report.downloads import table_with_links

Context = dict[str, Any]
"""What a template, or the part of it that shows a section, is given: by the names that it uses."""


@dataclass(frozen=True)
class Drawing:
    svg: Markup
    caption: str = ""
    """What the drawing is, where its own title does not say it."""
    wide: bool = False
    """Too detailed to stand beside something."""
    file: Markup = field(default_factory=Markup)
    """A link that saves it."""


@dataclass(frozen=True)
class Picture:
    uri: str
    alt: str
    small: bool
    """Shown with its pixels as squares."""
    size: tuple[int, int]
    """Width and height in pixels: known before it is loaded, they keep what is below it in its place."""
    name: str = ""


def notice(title: str, text: str, command: str = "") -> Context:
    """What stands above a page; the command mends what it says."""
    return {"title": title, "text": text, "command": command}


def render(template: str, context: Context) -> str:
    """A page from a template of this package. Everything but drawn figures is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("vitrail.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["table"] = table_with_links
    return environment.get_template(template).render(context)
