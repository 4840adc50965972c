"""Carry a study out: its runs, each of which can be interrupted; their measurement; the finding and its record."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail import files
from vitrail.configs import LayoutKind, RunConfig
from vitrail.data.argument import data_option, lasting, shown_source
from vitrail.errors import InputError, nearest
from vitrail.estimate import MEAN_AND_HALF, estimate, over_seeds
from vitrail.experiments.comparison import provenance
from vitrail.experiments.finding import Finding, Measured
from vitrail.experiments.plan import carry_out, draw_up, require_all
from vitrail.experiments.resolve import Loader, Resolved, resolve
from vitrail.experiments.run import reopen
from vitrail.progress import track
from vitrail.runs.directory import Run
from vitrail.runs.layout import FIGURE, FINDING, MEASURED, RECORD
from vitrail.runs.plan import Plan
from vitrail.studies import STUDIES
from vitrail.studies.study import Cell, Results, Setting, Study
from vitrail.tables import Table, to_markdown

_SEEDS = 3


@dataclass(frozen=True)
class Conducted:
    """A study that has been carried out, in its directory."""

    directory: Path
    finding: Finding

    @property
    def record(self) -> dict[str, Any]:
        """The claim, the sentence, and every number with its interval and its values by seed."""
        return files.read_json(self.directory / RECORD)


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
    layout: LayoutKind = "auto",
) -> Conducted:
    """Test a claim of the literature by a controlled experiment; `resume` goes on with one that was interrupted.

    Args:
        name: one of `STUDIES`.
        quick: a small version on small images, done in less than a minute.
        seeds: how many runs of every configuration, from seed 0 on.
        data: as for `train`; the study's own by default.
        out: a new or empty directory; the first free `runs/study-<name>-<n>` by default.
        data_dir: where downloads and decoded images are kept.
        layout: how the folders of `data` are read, as for `train`.

    Raises:
        InputError: for what cannot be used, naming it and the cure.
        RunError: for a run that could not be completed.
    """
    chosen = find(name)
    if seeds < 1:
        raise InputError(f"{seeds} seeds: at least 1 is needed, and 2 for an interval")
    cache = Path(data_dir) if data_dir else None
    setting = Setting(str(data or chosen.usual_data(quick)), quick, cache, layout)
    if chosen.needs and setting.data != chosen.needs:
        raise InputError(f"{name} needs {chosen.needs}, whose truth is known, not {setting.data}")
    about = {"study": name, "quick": quick, "data": lasting(setting.data), "layout": layout}
    groups = _groups(chosen, setting, seeds)
    return complete(draw_up("study", groups, Path(out) if out else None, f"study-{name}", cache, about))


def _groups(chosen: Study, setting: Setting, seeds: int) -> Iterator[tuple[str, int, Resolved]]:
    loader = Loader()
    for cell in chosen.plan(setting):
        yield cell.name, seeds, resolve(cell.data, cell.model, cell.train, setting.data_dir, cell.name, loader=loader)


def complete(plan: Plan) -> Conducted:
    """Carry out what is left of a study; of a finished one, write the finding again.

    Raises RunError where a run failed.
    """
    name, directory = plan.about["study"], plan.directory
    setting = Setting(plan.about["data"], plan.about["quick"], plan.data_dir, plan.about.get("layout", "auto"))
    chosen, data = find(name), shown_source(setting.data)
    runs = carry_out(plan, report=False, observe=chosen.observe)
    require_all(plan, runs, ": without them the study finds nothing")
    seeds = max(map(len, plan.groups.values()))
    measured = _measure(chosen, {cell: [runs[run] for run in of_cell] for cell, of_cell in plan.groups.items()})
    firsts = {cell: plan.runs[of_cell[0]] for cell, of_cell in plan.groups.items()}
    cells = {cell: Cell(cell, first.data, first.model, first.train) for cell, first in firsts.items()}
    quick, spread = "quick, " if setting.quick else "", over_seeds(seeds, MEAN_AND_HALF)
    finding = chosen.conclude(Results(cells, measured)).on(f"on {data}", quick + spread)
    given = data_option(setting.data, chosen.usual_data(setting.quick))
    record = {
        "study": name,
        "command": f"vitrail study {name}{' --quick' if setting.quick else ''} --seeds {seeds}{given}",
        "claim": chosen.claim,
        "source": chosen.source,
        **finding.as_json(),
        "data": data,
        "seeds": seeds,
        "cells": {
            cell: {measure: _over_seeds([of[measure] for of in of_cell]) for measure in of_cell[0]}
            for cell, of_cell in measured.items()
        },
        **provenance([runs[run] for run in plan.runs]),
        "settings": {cell: _settings(first) for cell, first in firsts.items()},
    }
    files.write_json(directory / RECORD, record)
    finding.save_figure(directory / FIGURE, name)
    files.write_bytes(directory / FINDING, _markdown(name, chosen, finding).encode())
    return Conducted(directory, finding)


def _measure(chosen: Study, runs: Mapping[str, Sequence[Run]]) -> dict[str, list[Measured]]:
    measured: dict[str, list[Measured]] = {}
    loader = Loader()
    with track("measuring", sum(map(len, runs.values())), "runs") as advance:
        for cell, of_cell in runs.items():
            measured[cell] = []
            for run in of_cell:
                path = run.directory / MEASURED
                if not path.is_file():
                    files.write_json(path, _of_run(chosen, run, loader))
                measured[cell].append(dict(files.read_json(path)))
                advance()
    return measured


def _of_run(chosen: Study, run: Run, loader: Loader) -> Measured:
    """The final accuracies, training seconds and cost of every run, and what the study measures besides."""
    test, rows = run.evaluation, run.metrics
    found: Measured = {
        "test_accuracy": test["accuracy"],
        "test_loss": test["loss"],
        "train_accuracy": rows[-1]["train_accuracy"],
        "val_accuracy": rows[-1]["val_accuracy"],
        "seconds": sum(row["seconds"] for row in rows),
        "parameters": run.info["parameters"],
        "multiply_adds": run.info["multiply_adds"],
    }
    if chosen.measure is None:
        return found
    return {**found, **chosen.measure(run, reopen(run.directory, to_train=False, loader=loader))}


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
