"""`vitrail report`: the page of a run or a comparison."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from vitrail.cli.ending import done
from vitrail.cli.options import Name, parse
from vitrail.text import quoted


@dataclass(frozen=True)
class Report:
    directory: Positional[Path]
    """Of a run or a comparison."""
    data: Name = None
    """Where a run's images are now: also makes what its report shows of the model inside, where it lacks that"""


def report(argv: Sequence[str]) -> None:
    """Write the report of a run or a comparison: one HTML file that needs no network."""
    options = parse(Report, argv, report)
    from vitrail.report import write_report

    if options.data is not None:
        from vitrail.experiments.run import summarize_again

        summarize_again(options.directory, options.data)
    path = write_report(options.directory)
    done(path, then=f"open {quoted(path)} in a browser")
