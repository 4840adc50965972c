"""What only a browser can say of a report: where its links lead, and what is left of it on paper."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, needs_browser
from builders import Recipe, explanation, model_view, sample_view, write_comparison, write_inside, write_run

from vitrail.report import write_report
from vitrail.report.explanation_page import explanation_figures, explanation_page, show_explanation

pytestmark = needs_browser

_CLASSES = ("cat", "dog", "fish")

_LINKS = """(async () => {
  document.documentElement.style.scrollBehavior = "auto";
  const missed = [];
  for (const link of document.querySelectorAll("nav a")) {
    scrollTo(0, 0);
    link.click();
    await new Promise(requestAnimationFrame);
    const top = document.querySelector(link.hash).getBoundingClientRect().top;
    const end = scrollY + innerHeight >= document.documentElement.scrollHeight - 1;
    if (!(top >= -1 && (top < 100 || end))) missed.push([link.hash, top]);
  }
  return [document.querySelectorAll("nav a").length, missed];
})()"""
_CUT = """[...document.querySelectorAll("svg[role=img], img, pre, .viewport, .verdict-line")].filter(
  e => e.scrollWidth > e.clientWidth + 1 || e.getBoundingClientRect().right > innerWidth
).map(e => e.outerHTML.slice(0, 80))"""
_PRINTED = """(() => {
  const style = (found, name, part) => [...document.querySelectorAll(found)].map(e => getComputedStyle(e, part)[name]);
  const tall = found => Math.max(...[...document.querySelectorAll(found)].map(e => e.getBoundingClientRect().height));
  return {
    grids: style(".cut", "printColorAdjust", "::after"),
    bars: style(".bar", "printColorAdjust"),
    headings: style("h2, h3", "breakAfter"),
    frame: tall(".frames img") - tall(".still img"),
  };
})()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = Recipe(epochs=4, steps_per_epoch=4, samples=6, mistakes=4)
    directory = write_run(tmp_path_factory.mktemp("inside") / "run", recipe)
    return write_report(write_inside(directory, recipe, model_view(), sample_view(10, recipe), epochs=5))


@pytest.fixture(scope="module")
def pages(report: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One of each kind."""
    folder = tmp_path_factory.mktemp("pages")
    images = [
        show_explanation(f"image {i}", one, explanation_figures(one, _CLASSES, 8), _CLASSES, None)
        for i, one in enumerate((explanation(), explanation(target=0)))
    ]
    explained = folder / "explanation.html"
    explained.write_text(explanation_page("two animals", images, {"tokens"}, None), encoding="utf-8")
    compared = write_report(write_comparison(folder / "compared", seeds=2, epochs=3, samples=2, mistakes=2))
    return {"run": report, "comparison": compared, "explanation": explained}


@pytest.mark.parametrize("kind", ["run", "comparison", "explanation"])
@pytest.mark.parametrize("width", [390, 1280])
def test_links_of_the_menu_land_on_their_headings(
    browser: Browser, pages: dict[str, Path], kind: str, width: int
) -> None:
    browser.open(pages[kind], width)
    links, missed = browser.run(_LINKS)
    assert links > 1
    assert missed == []
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("kind", ["run", "comparison", "explanation"])
def test_at_the_width_of_a_phone_pictures_drawings_and_commands_are_whole(
    browser: Browser, pages: dict[str, Path], kind: str
) -> None:
    browser.open(pages[kind], 390)
    assert browser.run(_CUT) == []


def test_a_link_saves_its_table(browser: Browser, report: Path, tmp_path: Path) -> None:
    browser.open(report)
    browser.ask("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    for ending in ("csv", "tex", "svg"):
        browser.run(f"document.querySelector('a[download$=\".{ending}\"]').click()")
        deadline = time.monotonic() + 10
        while not (found := list(tmp_path.glob(f"*.{ending}"))) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert found
        assert found[0].stat().st_size > 100


def test_on_paper_pictures_bars_and_the_last_frame_are_left(browser: Browser, report: Path) -> None:
    browser.open(report, media="print")
    printed = browser.run(_PRINTED)
    assert set(printed["grids"]) == set(printed["bars"]) == {"exact"}
    assert set(printed["headings"]) == {"avoid"}
    assert abs(printed["frame"]) < 1


@pytest.mark.parametrize(("kind", "least"), [("run", 8), ("explanation", 1)])
def test_every_picture_is_printed(browser: Browser, pages: dict[str, Path], kind: str, least: int) -> None:
    browser.open(pages[kind])
    pictures = set(re.findall(r'<img src="([^"]+)"', pages[kind].read_text(encoding="utf-8")))
    assert len(pictures) >= least
    assert browser.pdf().count(b"/Subtype /Image") >= len(pictures)
