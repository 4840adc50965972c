"""The whole site: which documents there are, and where their pages go."""

from __future__ import annotations

from pathlib import Path

import nbformat

from site_builder import links, pages
from site_builder.execution import execute
from site_builder.figures import DRAWING


def build(docs: Path, out: Path) -> None:
    """Write a page for every document under `docs`, an index, and the executed notebook of the annotated script.

    The site mirrors the folder. Raises BuildError where a document cannot become a page or a link leads nowhere.
    """
    sources = [
        *docs.glob("annotated_vit.py"),
        *sorted(docs.glob("how-to/*.md")),
        *docs.glob("results.md"),
        *docs.glob("adopted-models.md"),
    ]
    known = frozenset(source.resolve() for source in sources)
    made, files = [], [Path("index.html")]
    for source in sources:
        path = source.relative_to(docs).with_suffix(".html")
        if source.suffix == ".md":
            page = pages.markdown_page(source, path, known)
        else:
            notebook = execute(source)
            page = pages.notebook_page(source, notebook, path, known)
            _write_notebook(notebook, out / path.with_suffix(".ipynb"))
            files.append(path.with_suffix(".ipynb"))
        pages.write(page, out)
        made.append(page)
        files.append(path)
    pages.write_index(made, out)
    links.check(out, files)


def _write_notebook(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Without the drawings that only the page can show: a PNG stands beside each."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(DRAWING, None)
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
