"""`vitrail evaluate`: a trained model on test images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from vitrail.cli.ending import done
from vitrail.cli.options import DataDir, Folder, Layout, parse
from vitrail.errors import InputError
from vitrail.text import plural, quoted

_METRICS = ("accuracy", "top5", "auroc", "f1", "precision", "recall", "loss", "ece")
_CLASSES_SHOWN = 10


@dataclass(frozen=True)
class Evaluate:
    run: Positional[Path]
    """The directory of a run."""
    data: Annotated[str | None, arg(metavar="DATA", help_behavior_hint="")] = None
    """Other images, or where the run's own are now, as for train [the run's own test images]"""
    layout: Layout = "auto"
    data_dir: DataDir = None
    out: Folder = None
    """A new or empty directory; nothing is then written into the run [the run]"""


def evaluate(argv: Sequence[str]) -> None:
    """Measure a trained model on its held-out test images, or on other data.

    Other data has the same classes, or some of them: its test images where it has test/ or val/, else all of its
    images. Images that trained or validated the model are left out.
    """
    options = parse(Evaluate, argv, evaluate)
    if options.data is None and options.layout != "auto":
        raise InputError("--layout is for --data")
    from vitrail import files
    from vitrail.experiments import evaluating
    from vitrail.interruption import interruptible_anywhere
    from vitrail.progress import say
    from vitrail.runs.directory import Run

    with interruptible_anywhere():
        path = evaluating.evaluate(options.run, options.data, options.data_dir, options.out, options.layout)
    result = files.read_json(path)
    for name in _METRICS:
        if result[name] is not None:
            say(f"{name:>9}  {result[name]:.4f}")
    say(f"on {plural(result['images'], 'image')}")
    _say_of_classes(result)
    if adoption := Run(options.run).adoption:
        say(f"adopted: {adoption}")
    run = quoted(options.run)
    own = options.data is None and options.out is None
    done(path, then=f"vitrail report {run}" if own else f"vitrail predict {run} IMAGE...")


def _say_of_classes(result: dict[str, Any]) -> None:
    """Where not all classes of the model are among the images: the recall of those that are."""
    from vitrail.progress import say
    from vitrail.text import joined, shown

    per_class = result["per_class"]
    there = [of for of in per_class if of["images"]]
    if len(there) == len(per_class):
        return
    say(f"of {len(there)} of the model's {len(per_class)} classes, which the averages are over")
    for of in there[:_CLASSES_SHOWN]:
        say(f"   recall  {of['recall']:.4f}  {shown(of['name'])}")
    if len(there) == 1:
        undefined = [name for name in _METRICS if result[name] is None and (name != "top5" or len(per_class) >= 5)]
        say(f"undefined for images of one class: {joined(undefined)}")
