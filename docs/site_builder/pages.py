"""Pages: what is in them, and how they are laid out."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from nbformat import NotebookNode

from site_builder.errors import BuildError
from site_builder.execution import plain
from site_builder.figures import DRAWING
from site_builder.markdown import Heading, Markdown, code, code_colors, embedded, printed

_HIDE_INPUT, _CHECK = "hide-input", "check"
"""Tags of code cells: only the output is shown; input and output are folded away."""

_TEMPLATES = Path(__file__).parents[1] / "templates"


@dataclass(frozen=True)
class Page:
    """A document as HTML; `path` is where it lies in the site."""

    path: Path
    title: str
    summary: str
    headings: Sequence[Heading]
    body: Markup
    notebook: str = ""
    """The name of the notebook beside it that it was made from."""

    @property
    def contents(self) -> list[tuple[Heading, list[Heading]]]:
        """Every part, with what is in it."""
        parts: list[tuple[Heading, list[Heading]]] = []
        for heading in self.headings:
            if heading.level == 2:
                parts.append((heading, []))
            elif heading.level == 3 and parts:
                parts[-1][1].append(heading)
        return parts


def markdown_page(source: Path, path: Path, sources: frozenset[Path]) -> Page:
    markdown = Markdown(source, sources)
    return _page(source, path, markdown, markdown.render(source.read_text(encoding="utf-8")))


def notebook_page(source: Path, notebook: NotebookNode, path: Path, sources: frozenset[Path]) -> Page:
    """The page of an executed notebook; `source` is the script that it was made from."""
    markdown = Markdown(source, sources)
    body = Markup("\n").join(part for cell in notebook.cells for part in _cell(cell, markdown))
    return _page(source, path, markdown, body, path.with_suffix(".ipynb").name)


def write(page: Page, out: Path) -> None:
    home = "../" * (len(page.path.parts) - 1) + "index.html"
    _write(out / page.path, "page.html", {"page": page, "title": page.title, "home": home})


def write_index(pages: Sequence[Page], out: Path) -> None:
    _write(out / "index.html", "index.html", {"pages": pages, "title": "Vitrail: the documents"})


def _page(source: Path, path: Path, markdown: Markdown, body: Markup, notebook: str = "") -> Page:
    if not markdown.title:
        raise BuildError(f"{source.name}: has no heading to be its title")
    return Page(path, markdown.title, markdown.summary, markdown.headings, body, notebook)


def _cell(cell: NotebookNode, markdown: Markdown) -> Iterator[Markup]:
    if cell.cell_type == "markdown":
        yield markdown.render(cell.source)
    if cell.cell_type != "code":
        return
    tags = cell.metadata.get("tags", [])
    source = [] if _HIDE_INPUT in tags or not cell.source else [code(cell.source)]
    parts = [*source, *(_output(output, markdown) for output in cell.outputs)]
    if _CHECK in tags:
        folded = '<details class="check"><summary>the numbers above, checked</summary>\n{}\n</details>'
        yield Markup(folded).format(Markup("\n").join(parts))
    else:
        yield from parts


def _output(output: NotebookNode, markdown: Markdown) -> Markup:
    """The richest form of an output that the page can show."""
    if output.output_type == "stream":
        return printed(plain(output.text))
    data: dict[str, str] = output.data
    if DRAWING in data:
        return Markup('<figure class="drawing">{}</figure>').format(Markup(data[DRAWING]))
    if "text/html" in data:
        return Markup('<div class="scroll">{}</div>').format(Markup(data["text/html"]))
    if "text/markdown" in data:
        return markdown.render(data["text/markdown"])
    if "image/svg+xml" in data:
        return Markup('<figure class="drawing">{}</figure>').format(Markup(data["image/svg+xml"]))
    for kind in ("image/png", "image/jpeg"):
        if kind in data:
            attributes = embedded(base64.b64decode(data[kind]), kind)
            picture = '<figure class="drawing"><img src="{src}" width="{width}" height="{height}" alt=""></figure>'
            return Markup(picture).format(**attributes)
    return printed(plain(data["text/plain"]))


def _write(path: Path, template: str, context: dict[str, Any]) -> None:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    report = resources.files("vitrail.report").joinpath("style.css").read_text(encoding="utf-8")
    own = (_TEMPLATES / "docs.css").read_text(encoding="utf-8")
    style = Markup("\n".join([report, own, code_colors()]))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(environment.get_template(template).render(context, style=style), encoding="utf-8")
