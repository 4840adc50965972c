"""What a page is made of, and the one way to render it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from vitrail.tables import to_html


@dataclass(frozen=True)
class Drawing:
    svg: Markup
    caption: str = ""
    """What the drawing is, where its own title does not say it."""
    wide: bool = False
    """Too detailed for a phone: scrolls sideways there in a box of its own."""


@dataclass(frozen=True)
class Notice:
    title: str
    text: str
    command: str = ""
    """What to type to mend it."""


@dataclass(frozen=True)
class Highlight:
    label: str
    value: str
    note: str = ""


def render(template: str, context: dict[str, Any]) -> str:
    """A page from a template of this package. Everything but drawn figures is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("vitrail.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["table"] = to_html
    return environment.get_template(template).render(context)
