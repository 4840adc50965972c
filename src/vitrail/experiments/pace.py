"""How long a run will take, measured on a few of its own steps before it begins, and the epochs that a budget allows.

Only what is fixed here and written to `run.json` depends on a clock: resuming a run measures nothing.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from vitrail import hardware
from vitrail.configs import TrainConfig
from vitrail.experiments.automatic import resolve_training
from vitrail.experiments.resolve import Loader, Prepared, Resolved
from vitrail.progress import track
from vitrail.text import plural
from vitrail.training.cost import cumulative_cost
from vitrail.training.trainer import Trainer

DEFAULT_MINUTES = 10.0
_STEPS, _SECONDS = 5, 2.0
_VALIDATED = 256


def paced(several: Sequence[Resolved], asked: TrainConfig, loader: Loader) -> list[Prepared]:
    """Runs that are to be compared, or one, with their images and a line each that says how long training will take.

    Where `asked` gives no epochs they are as many as are right for most data, but no more than fit into ten minutes of
    the slowest of these runs; a `time_budget` is used to its end.
    """
    prepared = [loader.load(resolved) for resolved in several]
    seconds = [epoch_seconds(each) for each in prepared]
    minutes, planned = asked.time_budget or DEFAULT_MINUTES, prepared[0].config.train.epochs or 0
    affordable = math.floor(60 * minutes / max(seconds))
    limit = ""
    if asked.epochs is None and (asked.time_budget or affordable < planned):
        planned = max(1, affordable)
        prepared = [trained_by(dataclasses.replace(asked, epochs=planned, time_budget=None), each) for each in prepared]
        fit = "as many as fit" if affordable else "though not even one fits"
        limit = f", {fit} into {minutes:g} minutes: --time-budget or --epochs changes that"
    return [
        dataclasses.replace(
            each,
            chosen=(*each.chosen, f"{plural(planned, 'epoch')}: about {_duration(own * planned)} here{limit}"),
        )
        for each, own in zip(prepared, seconds, strict=True)
    ]


def trained_by(train: TrainConfig, prepared: Prepared) -> Prepared:
    """The same model and images; what `train` leaves open is chosen anew."""
    config = prepared.config
    train, chosen = resolve_training(train, config.model, len(prepared.splits.train), prepared.mirroring)
    return dataclasses.replace(prepared, config=dataclasses.replace(config, train=train), chosen=chosen)


def epoch_seconds(prepared: Prepared) -> float:
    """What an epoch takes here, its validation counted: the mean over a run in which images may grow."""
    data = prepared.training_data
    # Compiling would take longer than all that is measured; steps are then quicker than these.
    train = dataclasses.replace(prepared.config.train, compile="off")
    config = dataclasses.replace(prepared.config, train=train)
    some = dataclasses.replace(data, val=data.val[:_VALIDATED])
    with hardware.settings_kept(), track("measuring the time of a step", _STEPS, "steps") as advance:
        trainer = Trainer(config, some, Path(), check=lambda: None)
        taken: list[float] = []
        steps = min(_STEPS, trainer.steps_per_epoch)
        while len(taken) < steps and sum(taken[1:]) < _SECONDS:
            started = time.perf_counter()
            trainer.train_step()
            taken.append(time.perf_counter() - started)
            advance()
        started = time.perf_counter()
        trainer.objective.validate(trainer.learner.final_model, lambda n: None)
        validating = (time.perf_counter() - started) * len(data.val) / max(1, len(some.val))
    # The first step also allocates what all others use.
    step = median(taken[1:] or taken)
    # The steps that were measured are those with which a run begins, whose images may be small.
    share = 1e-6
    whole = cumulative_cost(1.0, config.model, train) / (cumulative_cost(share, config.model, train) / share)
    return step * whole * trainer.steps_per_epoch + validating


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
