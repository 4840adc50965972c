"""`vitrail study`: claims of the literature, tested."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from vitrail.cli.ending import done, show
from vitrail.cli.options import DataDir, Layout, Name, Out, parse
from vitrail.text import quoted

if TYPE_CHECKING:
    from vitrail.experiments.finding import Finding


@dataclass(frozen=True)
class Study:
    name: Positional[Annotated[str | None, arg(metavar="[NAME]", help_behavior_hint="")]] = None
    """See the list that 'vitrail study' prints."""
    quick: bool = False
    """A small version on small images, in less than a minute."""
    seeds: Annotated[int, arg(metavar="N")] = 3
    """Runs of every configuration."""
    data: Name = None
    """As for train [the study's own]"""
    layout: Layout = "auto"
    out: Out = None
    data_dir: DataDir = None


def study(argv: Sequence[str]) -> None:
    """Test a claim of the literature by a controlled experiment; without a name, the claims.

    It carries out a grid of runs, measures and compares them, and writes a figure, a table with 95 % intervals over
    seeds, the record, and a sentence with the outcome.
    Without --quick, most are of CIFAR-10, which is downloaded, for 30 epochs a run: hours, better with a GPU.
    '--data digits' takes minutes (hierarchy and attention-on-object are of shapes alone).
    'vitrail resume DIR' goes on with one that was interrupted.
    """
    options = parse(Study, argv, study)
    from vitrail.studies import STUDIES, conduct

    if options.name is None:
        from vitrail.progress import say

        show(["study", "claim that it tests"], [(name, known.claim) for name, known in STUDIES.items()])
        say("next: vitrail study positions --quick")
        return
    made = conduct.study(**vars(options))
    show_study(made.directory, made.finding)


def show_study(directory: Path, finding: "Finding") -> None:
    """The table, the outcome, and the files."""
    from vitrail.progress import say
    from vitrail.runs.layout import FIGURE, FINDING, RECORD

    show(finding.head, finding.rows)
    say(finding.sentence)
    figure = directory / f"{FIGURE}.png"
    done(directory / FINDING, figure, directory / RECORD, then=f"open {quoted(figure)}")
