"""`vitrail reproduce`: recipes beside what is published."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from vitrail.cli.ending import done, show
from vitrail.cli.options import Count, DataDir, Folder, Layout, Name, Out, parse
from vitrail.text import quoted

_SIDE_BY_SIDE = ("recipe", "metric", "published or goal")

if TYPE_CHECKING:
    from vitrail.recipes.reproducing import Reproduced


@dataclass(frozen=True)
class Reproduce:
    name: Positional[Annotated[str | None, arg(metavar="[NAME]", help_behavior_hint="")]] = None
    """See the list that 'vitrail reproduce' prints."""
    data: Name = None
    """As for train, such as your copy of the data [the recipe's own]"""
    layout: Layout = "auto"
    seeds: Count = None
    """Runs of every recipe [the recipe's own number]"""
    out: Out = None
    of: Folder = None
    """Draw a figure from a finished reproduction of its recipe, without training again"""
    data_dir: DataDir = None


def reproduce(argv: Sequence[str]) -> None:
    """Train a recipe over its seeds, and put the result beside what is published; without a name, all of them.

    It writes a record of every run: configuration, machine, and every epoch's metrics. 'vitrail resume DIR'
    goes on with one that was interrupted; 'vitrail train --recipe NAME' makes a single run of a recipe.
    """
    options = parse(Reproduce, argv, reproduce)
    from vitrail.recipes import reproducing as tables

    if options.name is None:
        _list_reproductions()
        return
    show_reproduced(tables.reproduce(**vars(options)))


def _list_reproductions() -> None:
    from rich.markup import escape

    from vitrail.estimate import MEAN_AND_STD
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
            show([*_SIDE_BY_SIDE, "recorded here"], side_by_side(name, recorded(name)))
        console.print()
    say(f"recorded here: {MEAN_AND_STD} over seeds")
    say("next: vitrail reproduce annotated-600")


def show_reproduced(made: "Reproduced") -> None:
    """What is published and what was measured, side by side, and the files."""
    from vitrail.estimate import MEAN_AND_STD
    from vitrail.progress import say
    from vitrail.runs.layout import record_file, runs_in

    records, figure = made.records, made.figure
    if figure is None:
        show([*_SIDE_BY_SIDE, "measured"], made.rows(), f"{MEAN_AND_STD} over seeds")
        written = [record_file(made.directory, name) for name in records]
    else:
        show(figure["head"], figure["rows"])
        say(f"published: {figure['claim']}")
        say(figure["sentence"])
        record = record_file(made.directory, made.name)
        written = [record.with_suffix(".png"), record.with_suffix(".svg"), record]
    run = runs_in(made.directory)[0]
    done(*written, then=f"vitrail resume {quoted(run)}, which writes that run's report")
