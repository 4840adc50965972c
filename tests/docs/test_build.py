"""The documents' site: what becomes of a script's cells, and what stops a build."""

import re
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from matplotlib.figure import Figure
from PIL import Image

import build
from site_builder import execution, figures
from site_builder.errors import BuildError
from site_builder.markdown import Markdown
from site_builder.site import ORDER
from site_builder.site import build as build_site

SCRIPT = """\
# %% [markdown]
# # Small **document**
#
# It has a formula, $x^2$. And a second sentence.
#
# ## Two parts
#
# | a | b |
# |---|--:|
# | 1 | 2 |
#
# $$\\operatorname{softmax}(QK^\\top)$$
#
# See [below](#two-parts-2), [how](how-to/go.md#first-step), [the paper](https://arxiv.org/abs/2010.11929).
#
# ## Two parts
# %% tags=["hide-input"]
hidden = 6 * 7
print("printed <first>")
# %%
from matplotlib.figure import Figure

figure = Figure(figsize=(2, 1))
figure.subplots().set_title("a drawn title", color="#1b2733")
figure
# %% tags=["check"]
assert hidden == 42
# %%
"the last " + "value"
"""
HOW_TO = "# Go\n\nStart here.\n\n## First step\n\n```bash\nls\n```\n\nBack to [it](../annotated_vit.py#two-parts).\n"


class Loaded(HTMLParser):
    """Everything that a browser would fetch for a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        loads = {"src", "srcset"} if tag != "link" else {"href"}
        self.found += [value for name, value in attributes if name in loads]


def write(folder, **files):
    for name, text in files.items():
        path = folder / {"script": "annotated_vit.py", "how_to": "how-to/go.md", "results": "results.md"}[name]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    docs, out = tmp_path_factory.mktemp("docs"), tmp_path_factory.mktemp("out")
    build_site(write(docs, script=SCRIPT, how_to=HOW_TO), out)
    return out


@pytest.fixture(scope="module")
def page(site):
    return (site / "annotated_vit.html").read_text()


def test_cells_come_in_order_and_hidden_ones_without_their_source(page):
    body = page[page.index("<article>") :]
    marks = ["<table>", "<math", "printed &lt;first&gt;", "<svg", "the numbers above, checked", "the last value"]
    places = [body.index(mark, body.index("<table>")) for mark in marks]
    assert places == sorted(places)
    assert "hidden = 6" not in re.sub("<[^>]*>", "", body)
    assert "hidden == 42" in re.sub("<[^>]*>", "", body)


def test_checks_are_folded(page):
    folded = re.search(r"<details(.*?)>(.*?)</details>", page, re.DOTALL)
    assert "open" not in folded[1]
    assert "hidden == 42" in re.sub("<[^>]*>", "", folded[2])


def test_formulas_are_mathml(page):
    assert page.count("<math ") == 2
    assert "<msup><mi>x</mi><mn>2</mn></msup>" in page
    assert "<mo>softmax</mo>" in page
    assert "$" not in page[page.index("<article>") :]


def test_figures_are_drawings_in_the_colours_of_the_page(page):
    [svg] = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert 'aria-label="a drawn title"' in svg
    assert "var(--ink)" in svg


def test_nothing_is_fetched(site):
    for path in site.rglob("*.html"):
        html = path.read_text()
        assert all(src.startswith("data:") for src in Loaded(html).found)
        assert "default-src 'none'" in html
        assert not re.search(r"<script|@import|url\(['\"]?(?!#|data:)", html)


def test_headings_have_anchors_and_are_the_contents(page):
    assert re.findall(r'<section id="([^"]*)"', page) == ["two-parts", "two-parts-2"]
    assert all(part.lstrip().startswith("<h2>") for part in re.split(r'<section id="[^"]*">', page)[1:])
    contents = page[page.index("<nav") : page.index("</nav>")]
    assert re.findall('href="([^"]*)"', contents) == ["#two-parts", "#two-parts-2"]
    assert "<h1>Small document</h1>" in page


def test_documents_link_to_pages(site, page):
    assert 'href="how-to/go.html#first-step"' in page
    how_to = (site / "how-to" / "go.html").read_text()
    assert 'href="../annotated_vit.html#two-parts"' in how_to
    assert 'href="../index.html"' in how_to


def test_the_index_names_every_page(site):
    index = (site / "index.html").read_text()
    assert re.findall(r'<li><a href="(.*?)">(.*?)</a><p>(.*?)</p>', index) == [
        ("annotated_vit.html", "Small document", "It has a formula, x^2."),
        ("how-to/go.html", "Go", "Start here."),
    ]


def test_documents_come_as_a_newcomer_reads_them(tmp_path):
    docs = write(tmp_path / "docs", how_to="# Go\n\nOn.\n", results="# Results\n\nThere.\n")
    (docs / "how-to" / "your-own-images.md").write_text("# Begin\n\nHere.\n")
    build_site(docs, tmp_path / "out")
    links = re.findall(r'<li><a href="(.*?)">', (tmp_path / "out" / "index.html").read_text())
    assert links == ["how-to/your-own-images.html", "results.html", "how-to/go.html"]


def test_every_document_has_its_place():
    docs = Path(build.__file__).parent
    assert {docs / name for name in ORDER} == {
        docs / "annotated_vit.py",
        docs / "results.md",
        docs / "adopted-models.md",
        *docs.glob("how-to/*.md"),
    }


def test_the_notebook_is_executed_and_for_any_reader(site):
    notebook = nbformat.read(site / "annotated_vit.ipynb", as_version=4)
    nbformat.validate(notebook)
    kinds = [set(output.get("data", {})) for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in kind for kind in kinds)
    assert not any(figures.DRAWING in kind for kind in kinds)


def test_a_failing_cell_is_named(tmp_path, capsys):
    write(tmp_path / "docs", script="# %% [markdown]\n# # Title\n# %%\nx = 1\nraise ValueError('no such thing')\n")
    assert build.main(["--out", str(tmp_path / "out")], tmp_path / "docs") == 1
    said = capsys.readouterr().err
    assert re.match(r"annotated_vit.py .*about \w+ minutes.*\nannotated_vit.py: cell 2 of 2, \d+ s\n", said)
    assert said.count("cell 2 of 2,") == 1
    assert "annotated_vit.py: cell 2 of 2 fails\n    x = 1\n    raise ValueError('no such thing')" in said
    assert said.endswith("ValueError: no such thing\n")


@pytest.mark.parametrize("href", ["#nowhere", "how-to/go.html#nowhere", "how-to/gone.html", "../secret.md", "//host/x"])
def test_a_broken_link_is_named(tmp_path, capsys, href):
    docs = write(tmp_path / "docs", how_to=HOW_TO.split("Back")[0], results=f"# Results\n\n[here]({href})\n")
    (tmp_path / "secret.md").touch()
    assert build.main(["--out", str(tmp_path / "out")], docs) == 1
    assert capsys.readouterr().err == f"results.html: links to {href}, which is not in the site\n"


def test_pages_of_an_earlier_build_are_no_target(tmp_path):
    docs = write(tmp_path / "docs", how_to=HOW_TO.split("Back")[0], results="# Results\n\n[here](how-to/go.md)\n")
    build_site(docs, tmp_path / "out")
    (docs / "how-to" / "go.md").unlink()
    (docs / "results.md").write_text("# Results\n\n[here](how-to/go.html)\n")
    with pytest.raises(BuildError, match="how-to/go"):
        build_site(docs, tmp_path / "out")


@pytest.mark.parametrize(
    "formula", [r"\nosuchthing{x}", r"\frac{1}{", r"\begin{aligned}a&=b\\c&=d\end{aligned}", r"x_{\text{a}\foo}"]
)
def test_a_formula_without_mathml_is_named(tmp_path, formula):
    with pytest.raises(BuildError, match=re.escape(repr(formula))):
        Markdown(tmp_path / "page.md", frozenset()).render(f"so ${formula}$ it is")


@pytest.mark.parametrize("src", ["https://example.org/x.png", "gone.png", "//example.org/x.png"])
def test_a_picture_that_is_not_there_is_named(tmp_path, src):
    with pytest.raises(BuildError, match=re.escape(src)):
        Markdown(tmp_path / "page.md", frozenset()).render(f"![a picture]({src})")


def test_pictures_have_their_size(tmp_path):
    Image.new("RGB", (3, 2)).save(tmp_path / "a.png")
    Figure(figsize=(2, 1)).savefig(tmp_path / "b.svg")
    html = Markdown(tmp_path / "page.md", frozenset()).render("![one](a.png) ![two](b.svg)")
    assert re.findall(r'width="(\d+)" height="(\d+)"', html) == [("3", "2"), ("192", "96")]


def test_prices_are_no_formulas(tmp_path):
    assert "<math" not in Markdown(tmp_path / "page.md", frozenset()).render("from $5 to $6 a piece")


def test_what_a_terminal_would_colour_is_plain():
    assert execution.plain("\x1b[0;31mred\x1b[0m") == "red"
