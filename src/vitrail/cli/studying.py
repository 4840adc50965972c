"""Verbs that measure again what others report: claims by studies, tables by recipes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from vitrail.cli.ending import done
from vitrail.cli.options import Count, DataDir, Folder, Name, parse
from vitrail.text import quoted

if TYPE_CHECKING:
    from rich.table import Table

    from vitrail.recipes.reproducing import Reproduced
    from vitrail.studies.study import Finding


def study(argv: Sequence[str]) -> None:
    """Test a claim of the literature by a controlled experiment; without a name, the claims."""

    @dataclass(frozen=True)
    class StudyOptions:
        """Test a claim of the literature by a controlled experiment: a grid of runs, measured and compared.

        It writes a figure, a table with 95 % intervals over seeds, the record, and a sentence with the outcome.
        Without --quick, most are of CIFAR-10, which is downloaded, for 30 epochs a run: hours, better with a GPU.
        '--data digits' takes minutes (hierarchy and attention-on-object are of shapes alone).
        'vitrail resume DIR' goes on with one that was interrupted.
        """

        name: Positional[Annotated[str | None, arg(metavar="[NAME]", help_behavior_hint="")]] = None
        """See the list that 'vitrail study' prints."""
        quick: bool = False
        """A small version on small images, in less than a minute."""
        seeds: Annotated[int, arg(metavar="N")] = 3
        """Runs of every configuration."""
        data: Name = None
        """As for train [the study's own]"""
        out: Folder = None
        """A new or empty directory [the first free one in runs/]"""
        data_dir: DataDir = None

    options = parse(StudyOptions, argv, "study")
    from vitrail.studies import STUDIES, conduct

    if options.name is None:
        from rich.table import Table

        from vitrail.progress import console, say

        table = Table("study", "claim that it tests", box=None, pad_edge=False)
        for name, known in STUDIES.items():
            table.add_row(name, known.claim)
        console.print(table)
        say("next: vitrail study positions --quick")
        return
    made = conduct.study(options.name, options.quick, options.seeds, options.data, options.out, options.data_dir)
    show_study(made.directory, made.finding)


def show_study(directory: Path, finding: "Finding") -> None:
    """The table, the outcome, and the files."""
    from vitrail.progress import console, say
    from vitrail.runs.layout import FIGURE, FINDING, RECORD

    console.print(_table(finding.head, finding.rows))
    say(finding.sentence)
    figure = directory / f"{FIGURE}.png"
    done(directory / FINDING, figure, directory / RECORD, then=f"open {quoted(figure)}")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for i, heading in enumerate(head):
        table.add_column(heading, justify="right" if i else "left")
    for row in rows:
        table.add_row(*row)
    return table


def reproduce(argv: Sequence[str]) -> None:
    """Train a recipe over its seeds, and put the result beside what is published; without a name, all of them."""

    @dataclass(frozen=True)
    class Reproduce:
        """Train a recipe over its seeds, and put the result beside what is published.

        It writes a record of every run: configuration, machine, and every epoch's metrics. 'vitrail resume DIR'
        goes on with one that was interrupted; 'vitrail train --recipe NAME' makes a single run of a recipe.
        """

        name: Positional[Annotated[str | None, arg(metavar="[NAME]", help_behavior_hint="")]] = None
        """See the list that 'vitrail reproduce' prints."""
        data: Name = None
        """As for train, such as your copy of the data [the recipe's own]"""
        seeds: Count = None
        """Runs of every recipe [the recipe's own number]"""
        out: Folder = None
        """A new or empty directory [the first free one in runs/]"""
        of: Folder = None
        """Draw a figure from a finished reproduction of its recipe, without training again"""
        data_dir: DataDir = None

    options = parse(Reproduce, argv, "reproduce")
    from vitrail.recipes import reproducing as tables

    if options.name is None:
        _list_reproductions()
        return
    show_reproduced(
        tables.reproduce(options.name, options.data, options.seeds, options.out, options.data_dir, options.of)
    )


def _list_reproductions() -> None:
    from rich.markup import escape

    from vitrail.progress import console, say
    from vitrail.recipes.published import REPRODUCTIONS
    from vitrail.recipes.reproducing import recorded, recorded_figure, side_by_side

    for name, known in REPRODUCTIONS.items():
        console.print(f"[bold]{escape(name)}[/]  {escape(known.title)}")
        if known.claim:
            record = recorded_figure(name)
            say(f"published: {known.claim}")
            say(f"recorded here: {record['sentence'] if record else '–'}")
        else:
            console.print(_side_by_side(side_by_side(name, recorded(name)), "recorded here"))
        console.print()
    say("next: vitrail reproduce annotated-600")


def show_reproduced(made: "Reproduced") -> None:
    """What is published and what was measured, side by side, and the files."""
    from vitrail.progress import console, say
    from vitrail.runs.layout import record_file, runs_in

    records, figure = made.records, made.figure
    if figure is None:
        console.print(_side_by_side(made.rows(), "measured"))
        written = [record_file(made.directory, name) for name in records]
    else:
        console.print(_table(figure["head"], figure["rows"]))
        say(f"published: {figure['claim']}")
        say(figure["sentence"])
        record = record_file(made.directory, made.name)
        written = [record.with_suffix(".png"), record.with_suffix(".svg"), record]
    run = runs_in(made.directory)[0]
    done(*written, then=f"vitrail resume {quoted(run)}, which writes that run's report")


def _side_by_side(rows: Sequence[tuple[str, str, str, str]], ours: str) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading, width in (("recipe", 20), ("metric", 16), ("published or goal", 18), (ours, 18)):
        table.add_column(heading, min_width=width, no_wrap=True, justify="right" if width == 18 else "left")
    for row in rows:
        table.add_row(*row)
    return table
