"""`vitrail reproduce`: recipes beside what is published."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from vitrail.cli.ending import done, show
from vitrail.cli.options import Count, DataDir, Folder, Layout, Name, Out, parse
from vitrail.text import quoted

_SIDE_BY_SIDE = ("recipe", "metric", "published or goal")
_PARTS = ("train", "val", "test")

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
    from vitrail.progress import console, say, say_in_lines
    from vitrail.recipes.published import REPRODUCTIONS
    from vitrail.recipes.reproducing import recorded, recorded_figure, side_by_side

    for name, known in REPRODUCTIONS.items():
        console.print(f"[bold]{escape(name)}[/]  {escape(known.title)}")
        if known.claim:
            record = recorded_figure(name)
            say_in_lines(f"published: {known.claim}")
            say_in_lines(f"recorded here: {record['sentence'] if record else '–'}")
        else:
            for made, rows in _by_part(side_by_side(name, recorded(name))).items():
                if made != name:
                    say(made)
                show(["", *_PARTS], rows)
        console.print()
    say_in_lines(f"each: what is published, or the goal / what is recorded here, {MEAN_AND_STD} over seeds")
    say("next: vitrail reproduce annotated-600")


def _by_part(rows: Iterable[tuple[str, str, str, str]]) -> dict[str, list[list[str]]]:
    """For each recipe, a row for each metric: of training, validation and test, what is published / what was measured.

    A metric of the run as a whole, such as its seconds, is one of its training.
    """
    from vitrail.numbers import NONE

    tables: dict[str, dict[str, dict[str, str]]] = {}
    for made, label, target, found in rows:
        part, _, metric = label.partition(" ")
        row = tables.setdefault(made, {}).setdefault(metric or "time", {})
        row[part if metric else "train"] = f"{target} / {found}" if {target, found} != {NONE} else NONE
    return {
        made: [[metric, *(row.get(part, "") for part in _PARTS)] for metric, row in of.items()]
        for made, of in tables.items()
    }


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
