"""`vitrail evaluate`: a trained model on test images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from vitrail.cli.ending import done
from vitrail.cli.options import DataDir, Layout, parse
from vitrail.errors import InputError
from vitrail.text import plural, quoted


@dataclass(frozen=True)
class Evaluate:
    run: Positional[Path]
    """The directory of a run."""
    data: Annotated[str | None, arg(metavar="DATA", help_behavior_hint="")] = None
    """A name or path, as for train [the run's own test images]"""
    layout: Layout = "auto"
    data_dir: DataDir = None


def evaluate(argv: Sequence[str]) -> None:
    """Measure a trained model on its held-out test images, or on other data.

    Other data has the same classes: its test images where it has test/ or val/, else all of its images.
    """
    options = parse(Evaluate, argv, evaluate)
    if options.data is None and options.layout != "auto":
        raise InputError("--layout is for --data")
    from vitrail import files
    from vitrail.experiments import run as runs
    from vitrail.experiments import testing
    from vitrail.progress import say
    from vitrail.runs.directory import Run

    if options.data is None:
        path = runs.evaluate(options.run)
    else:
        path = testing.evaluate_on(options.run, options.data, options.data_dir, options.layout)
    result = files.read_json(path)
    for name in ("accuracy", "top5", "auroc", "f1", "precision", "recall", "loss", "ece"):
        if result[name] is not None:
            say(f"{name:>9}  {result[name]:.4f}")
    say(f"on {plural(result['images'], 'image')}")
    if adoption := Run(options.run).adoption:
        say(f"adopted: {adoption}")
    run = quoted(options.run)
    done(path, then=f"vitrail report {run}" if options.data is None else f"vitrail predict {run} IMAGE...")
