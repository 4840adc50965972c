"""Carry a study out: its runs, each of which can be interrupted; their measurement; the finding and its record."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail import files
from vitrail.configs import RunConfig
from vitrail.data.sources import data_option, lasting, shown_source
from vitrail.errors import InputError, RunError, nearest
from vitrail.estimate import estimate
from vitrail.experiments import plan as plans
from vitrail.experiments.comparison import provenance
from vitrail.experiments.plan import Plan
from vitrail.experiments.resolve import prepare
from vitrail.experiments.run import Run, new_directory, reopen
from vitrail.progress import track
from vitrail.studies import STUDIES
from vitrail.studies.study import Cell, Finding, Measured, Results, Setting, Study, over_seeds
from vitrail.tables import Table, to_markdown

RECORD = "record.json"
_PLAN, _MEASURED = "study.json", "measured.json"
_SEEDS = 3


@dataclass(frozen=True)
class Conducted:
    """A study that has been carried out, in its directory."""

    directory: Path
    finding: Finding

    @property
    def record(self) -> dict[str, Any]:
        """The claim, the sentence, and every number with its interval and its values by seed."""
        return dict(files.read_json(self.directory / RECORD))


def is_study(directory: Path) -> bool:
    return (directory / _PLAN).is_file()


def find(name: str) -> Study:
    """Raises InputError with the nearest name for an unknown one."""
    if name not in STUDIES:
        raise InputError(f"there is no study {name!r}: {nearest(name, STUDIES)}")
    return STUDIES[name]


def study(
    name: str,
    quick: bool = False,
    seeds: int = _SEEDS,
    data: str | Path | None = None,
    out: str | Path | None = None,
    data_dir: str | Path | None = None,
) -> Conducted:
    """Test a claim of the literature by a controlled experiment; `resume` goes on with one that was interrupted.

    Args:
        name: one of `STUDIES`.
        quick: a small version on small images, done in less than a minute.
        seeds: how many runs of every configuration, from seed 0 on.
        data: as for `train`; the study's own by default.
        out: a new or empty directory; the first free `runs/study-<name>-<n>` by default.
        data_dir: where downloads and decoded images are kept.

    Raises:
        InputError: for what cannot be used, naming it and the cure.
        RunError: for a run that could not be completed.
    """
    chosen = find(name)
    if seeds < 1:
        raise InputError(f"{seeds} seeds: at least 1 is needed, and 2 for an interval")
    cache = Path(data_dir) if data_dir else None
    setting = Setting(str(data or (chosen.quick_data if quick else chosen.data)), quick, cache)
    if chosen.only_data and setting.data not in chosen.only_data:
        raise InputError(f"{name} needs {' or '.join(chosen.only_data)}, whose truth is known, not {setting.data}")
    runs: dict[str, RunConfig] = {}
    for cell in chosen.plan(setting):
        train = dataclasses.replace(cell.train, seed=0)
        config = prepare(cell.data, cell.model, train, cache, cell.name).config
        runs |= plans.over_seeds(cell.name, config, seeds)
    directory = new_directory(Path(out) if out else None, f"study-{name}")
    about = {"study": name, "quick": quick, "data": lasting(setting.data)}
    Plan(directory / _PLAN, runs, cache, about=about).write()
    return resume_study(directory)


def resume_study(directory: Path) -> Conducted:
    """Carry out what is left of a study; of a finished one, write the finding again.

    Raises InputError where the plan is missing or damaged, RunError where a run failed.
    """
    plan = plans.read(directory / _PLAN, study=str, quick=bool, data=str)
    name = plan.about["study"]
    setting = Setting(plan.about["data"], plan.about["quick"], plan.data_dir)
    chosen = find(name)
    runs = plan.carry_out(report=False, observe=chosen.observe)
    if failed := [run for run in plan.runs if run not in runs]:
        raise RunError(f"{', '.join(failed)} failed, see above: without them the study finds nothing")
    seeds = max(map(len, plan.groups.values()))
    measured = _measure(chosen, {cell: [runs[run] for run in of_cell] for cell, of_cell in plan.groups.items()})
    firsts = {cell: plan.runs[of_cell[0]] for cell, of_cell in plan.groups.items()}
    cells = {cell: Cell(cell, first.data, first.model, first.train) for cell, first in firsts.items()}
    finding = _placed(chosen.conclude(Results(cells, measured)), setting, seeds)
    made = provenance([runs[run] for run in plan.runs])
    record = _record(name, chosen, setting, seeds, finding, measured)
    settings = {cell: _settings(first) for cell, first in firsts.items()}
    files.write_json(directory / RECORD, {**record, **made, "settings": settings})
    finding.save_figure(directory / "figure", name)
    files.write_bytes(directory / "finding.md", _markdown(name, chosen, finding).encode())
    return Conducted(directory, finding)


def _placed(finding: Finding, setting: Setting, seeds: int) -> Finding:
    """With what it was measured on in front: it says nothing of more than that."""
    scope = f"{'quick, ' if setting.quick else ''}{over_seeds(seeds)}"
    where = f"{finding.verdict.capitalize()} on {shown_source(setting.data)} ({scope})"
    return dataclasses.replace(finding, sentence=f"{where}: {finding.sentence}")


def _measure(chosen: Study, runs: Mapping[str, Sequence[Run]]) -> dict[str, list[Measured]]:
    measured: dict[str, list[Measured]] = {}
    with track("measuring", sum(map(len, runs.values())), "runs") as advance:
        for cell, of_cell in runs.items():
            measured[cell] = []
            for run in of_cell:
                path = run.directory / _MEASURED
                if not path.is_file():
                    files.write_json(path, _of_run(chosen, run))
                measured[cell].append(dict(files.read_json(path)))
                advance()
    return measured


def _of_run(chosen: Study, run: Run) -> Measured:
    """The final accuracies, training seconds and cost of every run, and what the study measures besides."""
    described, test, rows = files.read_json(run.directory / "run.json"), run.evaluation, run.metrics
    found: Measured = {
        "test_accuracy": test["accuracy"],
        "test_loss": test["loss"],
        "train_accuracy": rows[-1]["train_accuracy"],
        "val_accuracy": rows[-1]["val_accuracy"],
        "seconds": sum(row["seconds"] for row in rows),
        "parameters": described["parameters"],
        "multiply_adds": described["multiply_adds"],
    }
    if chosen.measure is None:
        return found
    return {**found, **chosen.measure(run, reopen(run.directory, to_train=False))}


def _record(
    name: str,
    chosen: Study,
    setting: Setting,
    seeds: int,
    finding: Finding,
    measured: Mapping[str, Sequence[Measured]],
) -> dict[str, Any]:
    own = chosen.quick_data if setting.quick else chosen.data
    given = data_option(setting.data, own)
    return {
        "study": name,
        "command": f"vitrail study {name}{' --quick' if setting.quick else ''} --seeds {seeds}{given}",
        "claim": chosen.claim,
        "source": chosen.source,
        "verdict": finding.verdict,
        "sentence": finding.sentence,
        "head": list(finding.head),
        "rows": [list(row) for row in finding.rows],
        "data": shown_source(setting.data),
        "seeds": seeds,
        "cells": {
            cell: {measure: _over_seeds([of[measure] for of in of_cell]) for measure in of_cell[0]}
            for cell, of_cell in measured.items()
        },
    }


def _settings(config: RunConfig) -> dict[str, Any]:
    """How a cell was trained, in what may differ from another or be asked about."""
    named = ("optimizer", "lr", "weight_decay", "epochs", "batch_size", "schedule", "warmup", "precision", "threads")
    return {name: getattr(config.train, name) for name in named} | {"train_subset": config.data.train_subset}


def _over_seeds(values: Sequence[Any]) -> dict[str, Any]:
    """The values by seed; of numbers also the mean and half the width of its 95 % interval."""
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in values):
        return {"values": list(values)}
    found = estimate(values)
    return {"values": list(values), "mean": found.mean, "half": found.half}


def _markdown(name: str, chosen: Study, finding: Finding) -> str:
    table = to_markdown(Table("", finding.head, finding.rows))
    parts = (f"# {name}", f"*{chosen.claim}* ({chosen.source})", finding.sentence, table, "![figure](figure.svg)")
    return "\n\n".join(parts) + "\n"
