"""`vitrail resume`: whatever was interrupted."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from vitrail.cli.compare import show_comparison
from vitrail.cli.options import Count, Name, parse
from vitrail.cli.reproduce import show_reproduced
from vitrail.cli.study import show_study
from vitrail.cli.train import show_run
from vitrail.errors import InputError


@dataclass(frozen=True)
class Resume:
    run: Positional[Path]
    """The directory of a run, a comparison, a study or a reproduction."""
    epochs: Count = None
    """Train a run for so many epochs in all, with the learning rate of such a run from here on [as planned]"""
    data: Name = None
    """Where a run's images are now, if they have moved"""


def resume(argv: Sequence[str]) -> None:
    """Go on with an interrupted run, comparison, study or reproduction, or complete what a finished one lacks.

    It ends with the same weights, bit for bit, as if it had not been interrupted. With --epochs it begins where the
    run is, and what its model was like when it was tested before stays in evaluation-N-epochs.json.
    """
    options = parse(Resume, argv, resume)
    from vitrail.experiments import comparison
    from vitrail.experiments import run as runs
    from vitrail.recipes import reproducing as tables
    from vitrail.runs.plan import plan_kind, read_plan
    from vitrail.studies import conduct

    kind = plan_kind(options.run)
    if kind is None:
        show_run(runs.resume(options.run, data=options.data, epochs=options.epochs).directory)
        return
    if options.data or options.epochs is not None:
        raise InputError(f"--data and --epochs are for a run, and {options.run} is a {kind}")
    plan = read_plan(options.run)
    if kind == "reproduction":
        show_reproduced(tables.complete(plan))
    elif kind == "study":
        made = conduct.complete(plan)
        show_study(made.directory, made.finding)
    else:
        show_comparison(comparison.complete(plan).directory)
