"""The whole site: which documents there are, and where their pages go."""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat

from site_builder import links, pages
from site_builder.execution import execute
from site_builder.figures import DRAWING

ORDER = (
    "how-to/your-own-images.md",
    "how-to/read-the-report.md",
    "how-to/explain-a-prediction.md",
    "annotated_vit.py",
    "how-to/choose-how-it-trains.md",
    "how-to/adopt-a-pretrained-model.md",
    "adopted-models.md",
    "how-to/verbs-and-errors.md",
    "how-to/reproduce-a-result.md",
    "results.md",
    "how-to/write-a-study.md",
    "how-to/add-a-data-set.md",
)
"""As a newcomer reads: first one's own images, then how it works, then what others and oneself can add."""


def build(docs: Path, out: Path) -> None:
    """Write a page for every document under `docs`, an index, and the executed notebook of the annotated script.

    The site mirrors the folder. Raises BuildError where a document cannot become a page or a link leads nowhere.
    """
    known = [path for name in ORDER if (path := docs / name).is_file()]
    sources = [*known, *sorted({*docs.glob("how-to/*.md")} - {*known})]
    linkable = frozenset(source.resolve() for source in sources)
    made, files = [], [Path("index.html")]
    for source in sources:
        path = source.relative_to(docs).with_suffix(".html")
        if source.suffix == ".md":
            page = pages.markdown_page(source, path, linkable)
        else:
            print(f"{source.name} trains its models: about five minutes on two cores", file=sys.stderr)
            notebook = execute(source)
            page = pages.notebook_page(source, notebook, path, linkable)
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
