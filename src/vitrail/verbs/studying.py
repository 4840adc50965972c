"""The verb that tests claims."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from vitrail.options import Folder, Name, parse
from vitrail.verbs.ending import done, quoted

if TYPE_CHECKING:
    from vitrail.studies.study import Finding


def study(argv: Sequence[str]) -> None:
    """Test a claim of the literature by a controlled experiment; without a name, the claims."""

    @dataclass(frozen=True)
    class StudyOptions:
        """Test a claim of the literature by a controlled experiment: a grid of runs, measured and compared.

        It writes a figure, a table with 95 % intervals over seeds, the record, and a sentence with the outcome.
        'vitrail resume DIR' goes on with one that was interrupted.
        """

        name: Positional[Annotated[str | None, arg(metavar="[NAME]")]] = None
        """See the list that 'vitrail study' prints."""
        quick: bool = False
        """A small version on small images, in less than a minute."""
        seeds: Annotated[int, arg(metavar="N")] = 3
        """Runs of every configuration."""
        data: Name = None
        """As for train [the study's own]"""
        out: Folder = None
        """A new or empty directory [the first free one in runs/]"""
        data_dir: Folder = None
        """For downloads and decoded images [VITRAIL_DATA_DIR, or the user's cache]"""

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
    from rich.table import Table

    from vitrail.progress import console, say
    from vitrail.studies.conduct import RECORD

    table = Table(box=None, pad_edge=False)
    for i, heading in enumerate(finding.head):
        table.add_column(heading, justify="right" if i else "left")
    for row in finding.rows:
        table.add_row(*row)
    console.print(table)
    say(finding.sentence)
    done(
        *(directory / name for name in ("finding.md", "figure.png", RECORD)),
        then=f"open {quoted(directory / 'figure.png')}",
    )
