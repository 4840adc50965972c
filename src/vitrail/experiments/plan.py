"""Several runs that are planned together: drawn up, carried out, and gone on with."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vitrail import files
from vitrail.configs import RunConfig
from vitrail.data.argument import refuse_below_data
from vitrail.errors import InputError, Interrupted, RunError
from vitrail.experiments.resolve import Loader, Resolved, announce, resolve
from vitrail.experiments.run import Observer, begin, new_directory, resume, ways_on
from vitrail.progress import say
from vitrail.runs.directory import Run
from vitrail.runs.layout import PLAN, run_name
from vitrail.runs.plan import Kind, Plan


def draw_up(
    kind: Kind,
    groups: Iterable[tuple[str, int, Resolved]],
    out: Path | None,
    stem: str,
    data_dir: Path | None = None,
    about: Mapping[str, Any] | None = None,
) -> Plan:
    """Write down a plan, in `out` or the first free directory of this stem.

    `groups` are names of runs, over how many seeds each is to be made, and what it is with the first of them.
    """
    files.refuse_taken(out, ways_on(out))
    runs: dict[str, RunConfig] = {}
    notes: dict[str, tuple[str, ...]] = {}
    for name, seeds, resolved in groups:
        seeded = over_seeds(name, resolved.config, seeds)
        runs |= seeded
        notes |= dict.fromkeys(seeded, resolved.notes)
    for source in {config.data.source for config in runs.values()}:
        refuse_below_data(out, source)
    with new_directory(out, stem) as directory:
        plan = Plan(directory / PLAN, kind, runs, data_dir, notes, about or {})
        plan.write()
    return plan


def over_seeds(name: str, config: RunConfig, seeds: int) -> dict[str, RunConfig]:
    """The run from its own seed on, by names that say which."""
    return {
        run_name(name, seed): dataclasses.replace(config, train=dataclasses.replace(config.train, seed=seed))
        for seed in range(config.train.seed, config.train.seed + seeds)
    }


def carry_out(plan: Plan, report: bool = True, observe: Observer | None = None) -> dict[str, Run]:
    """Of a plan that is written: make the runs that are not there yet, complete those that are; by name, in order.

    For `report` and `observe` see `run.complete`. A run that fails does not stop the others; it is left out.
    Raises RunError if all fail.
    """
    try:
        with files.locked(plan.directory):
            return _made(plan, report, observe)
    except Interrupted as stop:
        raise Interrupted(stop.signum, plan.directory) from None


def _made(plan: Plan, report: bool, observe: Observer | None) -> dict[str, Run]:
    runs, failures, loader = {}, [], Loader()
    for number, (name, config) in enumerate(plan.runs.items(), start=1):
        place = plan.directory / plain(name)
        say(f"run {number} of {len(plan.runs)}: {name}")
        try:
            if Run(place).begun:
                runs[name] = resume(place, report, observe)
                continue
            for unfinished in place.glob(f"{files.TEMPORARY}*"):
                unfinished.unlink()
            made = resolve(config.data, config.model, config.train, plan.data_dir, config.model_name, loader=loader)
            if name in plan.notes:
                made = dataclasses.replace(made, found=tuple(plan.notes[name]), chosen=())
            with files.claimed(place, "move what is in it elsewhere"):
                announce(made, place)
                runs[name] = begin(loader.load(made), place, report, observe)
        except RunError as error:
            failures.append(f"{name}: {error}")
            say(f"{name} failed: {error}")
    if failures and not runs:
        raise RunError("; ".join(failures))
    return runs


def require_all(plan: Plan, runs: Mapping[str, Run], otherwise: str) -> None:
    """Raises RunError naming the runs that failed, and what that means."""
    if failed := [name for name in plan.runs if name not in runs]:
        raise RunError(f"{', '.join(failed)} failed, see above{otherwise}")


def plain(name: str) -> str:
    """A name that is one part of a path: a plan may come from outside."""
    if not name or name.startswith(".") or Path(name).name != name:
        raise InputError(f"a run cannot be called {name!r}: it must be a plain directory name")
    return name
