"""One table, as a terminal, Markdown and a page show it."""

from __future__ import annotations

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup
from rich.console import Console

from vitrail.tables import Table, to_csv, to_html, to_latex, to_markdown, to_terminal

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
        '<tr><th scope="row"><bdi>&lt;x&gt;|y</bdi></th><td class="number"><bdi>−1.0 ± 0.2</bdi></td><td><bdi>yes</bdi></td></tr>'
        in html
    )
    linked = to_html(Table("c", ("", "b"), [[Markup('<a href="./r">r</a>'), "2"]]), dense=True)
    assert '<th scope="row"><bdi><a href="./r">r</a></bdi></th>' in linked
    assert '<table class="dense">' in linked
    assert "<thead><tr><td></td>" in linked


@pytest.mark.parametrize(
    ("cells", "right"),
    [
        (["3 of 18", "12 of 18"], True),
        (["1.2 s", "–", "<0.1 %"], True),
        (["0.1, 0.2", "3"], False),
        (["yes", ""], False),
    ],
)
def test_columns_of_numbers_are_known_and_lists_of_them_too(cells: list[str], right: bool):
    assert Table("c", ("a", "b"), [["x", cell] for cell in cells]).numeric(1) is right


def read(table: Table) -> list[list[str]]:
    return list(csv.reader(io.StringIO(to_csv(table))))


def test_csv_has_numbers_that_programs_read():
    row = ["1,000", "1,234.5", "−0.05", "+0.31", "0.5 ± 0.1", "98.3 %", "–", Markup("<a href='./r'>r &amp; s</a>")]
    assert read(Table("c", list("abcdefgh"), [row])) == [
        list("abcdefgh"),
        ["1,000", "1234.5", "-0.05", "0.31", "0.5 ± 0.1", "98.3 %", "–", "r & s"],
    ]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://x")', "＝1"])
def test_no_text_of_a_csv_is_a_formula(name: str):
    table = Table("c", (name, name), [[name, name]])
    rows = read(table)
    assert rows[0] == [f"'{name}"] * 2
    assert rows[1][0] == f"'{name}"
    assert rows[1][1] in (f"'{name}", "1", "-1")


@given(st.lists(st.text(min_size=1).map(lambda text: f"x{text}"), min_size=2, max_size=2))
def test_csv_keeps_every_other_text(cells: list[str]):
    assert read(Table("c", ("a", "b"), [cells])) == [["a", "b"], cells]


def test_latex_has_its_special_characters_as_text():
    table = Table("50 % of it", ("a_b", "n"), [[r"\input{x}$&#^~", "−1.0 ± 0.2"], ["[2cm]*", "<0.1 %"]])
    assert to_latex(table).splitlines() == [
        r"\begin{table}",
        r"\caption{50 \% of it}",
        r"\begin{tabular}{lr}",
        r"a\_b & n \\",
        r"\hline",
        r"\textbackslash{}input\{x\}\$\&\#\textasciicircum{}\textasciitilde{} & $-$1.0 $\pm$ 0.2 \\",
        r"{[}2cm{]}{*} & $<$0.1 \% \\",
        r"\end{tabular}",
        r"\end{table}",
    ]


@given(st.text("\\{}$&#^_~%[]*\n\rab", max_size=12))
def test_no_name_is_a_command_in_latex(name: str):
    row = to_latex(Table("c", ("a", "b"), [[name, "1"]])).splitlines()[5]
    inert = re.sub(r"\\(textbackslash|textasciicircum|textasciitilde)\{\}|\\[{}$&#%_]|\{[\[\]*]\}", "", row)
    assert re.fullmatch(r"[ab ]* & 1 \\\\", inert)
