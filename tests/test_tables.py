"""One table, as a terminal, Markdown and a page show it."""

from __future__ import annotations

import io

from markupsafe import Markup
from rich.console import Console

from vitrail.tables import Table, to_html, to_markdown, to_terminal

TABLE = Table("A [b]caption[/b] & more", ("a|b", "number", "words"), [["<x>|y", "−1.0 ± 0.2", "yes"], ["z", "–", ""]])


def test_a_terminal_sets_numbers_to_the_right_and_reads_no_markup():
    console = Console(width=60, record=True, file=io.StringIO())
    console.print(to_terminal(TABLE))
    title, *lines = [line.rstrip() for line in console.export_text().splitlines()]
    assert title == "A [b]caption[/b] & more"
    assert lines == ["a|b        number  words", "<x>|y  −1.0 ± 0.2  yes", "z               –"]


def test_a_narrow_terminal_breaks_headings_and_loses_none_of_a_number():
    console = Console(width=20, record=True, file=io.StringIO())
    console.print(to_terminal(Table("", ("model", "parameters", "images"), [["vit", "3,195,146", "12,345,678"]])))
    shown = console.export_text()
    assert "…" not in shown
    assert sorted("".join(shown.split())) == sorted("modelparametersimagesvit3,195,14612,345,678")


def test_markdown_keeps_a_bar_inside_its_cell():
    assert to_markdown(TABLE).splitlines() == [
        "A [b]caption[/b] & more",
        "",
        "| a&#124;b | number | words |",
        "| --- | --- | --- |",
        "| <x>&#124;y | −1.0 ± 0.2 | yes |",
        "| z | – |  |",
    ]
    assert to_markdown(Table("", ("a",), [["1"]])) == "| a |\n| --- |\n| 1 |"


def test_html_escapes_everything_but_markup():
    html = to_html(TABLE)
    assert "<caption>A [b]caption[/b] &amp; more</caption>" in html
    assert '<th scope="col"><bdi>a|b</bdi></th>' in html
    assert (
        '<tr><th scope="row"><bdi>&lt;x&gt;|y</bdi></th><td><bdi>−1.0 ± 0.2</bdi></td><td><bdi>yes</bdi></td></tr>'
        in html
    )
    linked = to_html(Table("c", ("", "b"), [[Markup('<a href="./r">r</a>'), "2"]]), dense=True)
    assert '<th scope="row"><bdi><a href="./r">r</a></bdi></th>' in linked
    assert '<table class="dense">' in linked
    assert "<thead><tr><td></td>" in linked
