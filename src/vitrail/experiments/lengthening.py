"""Another number of epochs for a run that has begun, from where it is on."""

from __future__ import annotations

import dataclasses
import os

from vitrail.checkpoint import Checkpoint, from_latest
from vitrail.configs import EarlierPlan, RunConfig
from vitrail.errors import InputError
from vitrail.experiments.resolve import Resolved
from vitrail.runs.directory import Run
from vitrail.runs.layout import EVALUATION, INSPECTION
from vitrail.runs.plan import plan_kind, read_plan
from vitrail.training.optim import learning_rate


def lengthened(run: Run, resolved: Resolved, epochs: int) -> tuple[RunConfig, str]:
    """The configuration of a run that is to have so many epochs, and what that means in one line.

    Steps up to the latest intact checkpoint keep the learning rate that they had. Later ones have that of a run which
    was to have `epochs` from the start: the schedule is stretched (or pressed together), not begun again. So where one
    that has fallen to 0 is stretched, the rate jumps up first.

    Raises InputError where so many epochs are finished, or the run is one of several that are compared.
    """
    parent, config, train = run.directory.resolve().parent, resolved.config, resolved.config.train
    kind = plan_kind(parent)
    if kind and run.directory.resolve().name in read_plan(parent).runs:
        raise InputError(f"{run.directory} is part of a {kind}, whose runs train alike: copy it, and resume the copy")
    found = next((one for one in from_latest(run.checkpoints) if isinstance(one, Checkpoint)), None)
    step, finished = (found.step, int(found.state["epochs"])) if found else (0, 0)
    if epochs <= finished:
        raise InputError(f"{run.directory} has finished {finished} epochs: --epochs must be above that")
    assert train.epochs is not None
    assert train.batch_size is not None
    if epochs == train.epochs:
        return config, ""
    longer = dataclasses.replace(train, epochs=epochs)
    rate = learning_rate(step, epochs * (len(resolved.splits.train) // train.batch_size), longer)
    falling = "" if train.schedule == "constant" else ", which falls to 0 at the end"
    return (
        dataclasses.replace(config, train=longer, earlier=(*config.earlier, EarlierPlan(train.epochs, step))),
        f"{epochs} epochs instead of {train.epochs}: from step {step + 1:,} on the learning rate is that of a run of "
        f"{epochs} epochs (now {rate:.3g}{falling})",
    )


def set_test_aside(run: Run) -> None:
    """What was measured of a finished run, before it trains on: its test stays under another name."""
    if run.finished:
        last = run.metrics[-1]["epoch"] if run.metrics else run.planned_epochs
        file = run.directory / EVALUATION
        os.replace(file, file.with_stem(f"{file.stem}-{last}-epochs"))
    (run.directory / INSPECTION).unlink(missing_ok=True)
