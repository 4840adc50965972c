"""Tables and figures as files, saved from the page by links that hold them: no script, and nothing beside the page."""

from __future__ import annotations

from urllib.parse import quote

from markupsafe import Markup

from vitrail.tables import Table, to_csv, to_html, to_latex
from vitrail.text import slug

_UNQUOTED = " !'()*+,-./:;=?@[]_$|{}^`"
"""What needs no escape in such a link: with all of it escaped, figures would take half as much again."""


def table_with_links(table: Table, dense: bool = False) -> Markup:
    """The table as `to_html` has it, and links that save it."""
    # A spreadsheet knows by the mark before it that a file is UTF-8.
    files = {"CSV": ("csv", "text/csv", "\ufeff" + to_csv(table)), "LaTeX": ("tex", "text/x-tex", to_latex(table))}
    links = Markup(" ").join(_link(label, table.caption, *file) for label, file in files.items())
    return Markup('<div class="saved">\n{}<p class="save">{}</p>\n</div>\n').format(to_html(table, dense), links)


def figure_link(svg: str, name: str) -> Markup:
    """A link that saves the figure as an SVG file."""
    return Markup('<p class="save">{}</p>').format(_link("SVG", name, "svg", "image/svg+xml", svg))


def _link(label: str, name: str, ending: str, kind: str, text: str) -> Markup:
    data = quote(text, safe=_UNQUOTED, errors="replace")
    return Markup('<a download="{}.{}" href="data:{};charset=utf-8,{}" aria-label="{} of: {}">{}</a>').format(
        slug(name)[:60], ending, kind, data, label, name, label
    )
