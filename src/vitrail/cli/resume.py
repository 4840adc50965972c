"""`vitrail resume`: whatever was interrupted."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from vitrail.cli.compare import show_comparison
from vitrail.cli.options import parse
from vitrail.cli.reproduce import show_reproduced
from vitrail.cli.study import show_study
from vitrail.cli.train import show_run


@dataclass(frozen=True)
class Resume:
    run: Positional[Path]
    """The directory of a run, a comparison, a study or a reproduction."""


def resume(argv: Sequence[str]) -> None:
    """Go on with an interrupted run, comparison, study or reproduction, or complete what a finished one lacks.

    It ends with the same weights, bit for bit, as if it had not been interrupted.
    """
    options = parse(Resume, argv, resume)
    from vitrail.experiments import comparison
    from vitrail.experiments import run as runs
    from vitrail.recipes import reproducing as tables
    from vitrail.studies import conduct

    if tables.is_reproduction(options.run):
        show_reproduced(tables.resume_reproduction(options.run))
    elif conduct.is_study(options.run):
        made = conduct.resume_study(options.run)
        show_study(made.directory, made.finding)
    elif comparison.is_experiment(options.run):
        show_comparison(comparison.resume_comparison(options.run).directory)
    else:
        show_run(runs.resume(options.run).directory)
