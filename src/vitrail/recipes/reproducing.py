"""Run recipes over their seeds, keep a record of every run, and put it beside what a source reports."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail import files
from vitrail.configs import LayoutKind
from vitrail.data.argument import data_option, shown_source
from vitrail.errors import InputError, Interrupted, nearest
from vitrail.estimate import MEAN_AND_STD
from vitrail.experiments.comparison import aggregate, provenance
from vitrail.experiments.plan import carry_out, draw_up, require_all
from vitrail.experiments.resolve import Loader, Resolved, resolve
from vitrail.numbers import NONE, metric_with_unit
from vitrail.recipes import recipe
from vitrail.recipes.figures import DRAWINGS, draw
from vitrail.recipes.published import REPRODUCTIONS, Reproduction
from vitrail.runs.directory import Run
from vitrail.runs.layout import record_file, runs_in
from vitrail.runs.plan import Plan
from vitrail.text import plural

RECORDS = Path(__file__).parents[3] / "results"
"""Where a checkout of the project keeps the records of its own runs."""


@dataclass(frozen=True)
class Reproduced:
    """A reproduction that was carried out, in its directory: a record for each of its recipes."""

    name: str
    directory: Path

    @property
    def records(self) -> dict[str, dict[str, Any]]:
        paths = {made: record_file(self.directory, made) for made in find(self.name).recipes}
        return {made: files.read_json(path) for made, path in paths.items() if path.is_file()}

    @property
    def figure(self) -> dict[str, Any] | None:
        """Where a figure is what was reproduced: its record, with the sentence that says what it shows."""
        return files.read_json(record_file(self.directory, self.name)) if self.name in DRAWINGS else None

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Published beside measured; see `side_by_side`."""
        return side_by_side(self.name, self.records)


def find(name: str) -> Reproduction:
    """Raises InputError with the nearest name for an unknown one."""
    if name not in REPRODUCTIONS:
        raise InputError(f"there is nothing to reproduce called {name!r}: {nearest(name, REPRODUCTIONS)}")
    return REPRODUCTIONS[name]


def recorded(name: str) -> dict[str, dict[str, Any]]:
    """The records of a reproduction's recipes that this checkout of the project has; none where it is no checkout."""
    return {made: found for made in find(name).recipes if (found := recorded_recipe(made))}


def recorded_recipe(made: str) -> dict[str, Any] | None:
    """The record of a recipe that this checkout of the project has."""
    return _kept(record_file(RECORDS, made))


def recorded_figure(name: str) -> dict[str, Any] | None:
    """The record of a figure that this checkout of the project has."""
    return _kept(record_file(RECORDS / "figures", name))


def _kept(path: Path) -> dict[str, Any] | None:
    return files.read_json(path) if path.is_file() else None


def reproduce(
    name: str,
    data: str | Path | None = None,
    seeds: int | None = None,
    out: str | Path | None = None,
    data_dir: str | Path | None = None,
    of: str | Path | None = None,
    layout: LayoutKind = "auto",
) -> Reproduced:
    """Carry out a table or figure of a source, or a recipe of our own; `resume` goes on with what was interrupted.

    Args:
        name: one of `REPRODUCTIONS`.
        data: as for `train`, such as a copy of the data; the recipe's own by default.
        seeds: how many runs of every recipe, from its seed on; the recipe's own number by default.
        out: a new or empty directory; the first free `runs/reproduce-<name>-<n>` by default.
        data_dir: where downloads and decoded images are kept.
        layout: how the folders of `data` are read, as for `train`.
        of: of a figure: a finished reproduction of its recipe, to draw it from, and into, without training again.

    Raises:
        InputError: for what cannot be used, naming it and the cure.
        RunError: for a run that could not be completed.
    """
    if of is not None:
        if any(given is not None for given in (data, seeds, out, data_dir)):
            raise InputError("with --of nothing is trained: leave out --data, --seeds, --out and --data-dir")
        return _drawn_from(name, Path(of))
    if seeds is not None and seeds < 1:
        raise InputError(f"{seeds} seeds: at least 1 is needed, and 2 for a standard deviation")
    cache = Path(data_dir) if data_dir else None
    about = {"reproduction": name}
    groups = _groups(name, data, seeds, cache, layout)
    return complete(draw_up("reproduction", groups, Path(out) if out else None, f"reproduce-{name}", cache, about))


def _groups(
    name: str, data: str | Path | None, seeds: int | None, data_dir: Path | None, layout: LayoutKind
) -> Iterator[tuple[str, int, Resolved]]:
    loader = Loader()
    for made in find(name).recipes:
        chosen = recipe(made)
        images = dataclasses.replace(chosen.data, source=str(data), layout=layout) if data else chosen.data
        resolved = resolve(images, chosen.model, chosen.train, data_dir, chosen.model_name, loader=loader)
        yield made, seeds or chosen.seeds, resolved


def complete(plan: Plan) -> Reproduced:
    """Carry out what is left, and write the records: interrupted, of how far it went.

    Raises RunError where a run failed.
    """
    name, directory = plan.about["reproduction"], plan.directory
    find(name)
    try:
        runs = carry_out(plan, report=False)
    except (Interrupted, KeyboardInterrupt):
        for made, planned in plan.groups.items():
            if begun := _begun([Run(directory / run) for run in planned]):
                files.write_json(record_file(directory, made), record(made, name, begun, len(planned)))
        raise
    for made, planned in plan.groups.items():
        if all(run in runs for run in planned):
            files.write_json(record_file(directory, made), record(made, name, [runs[run] for run in planned]))
    require_all(plan, runs, ": without them there is no record of their recipe")
    if name in DRAWINGS:
        draw(name, list(runs.values()), directory)
    return Reproduced(name, directory)


def _begun(runs: Sequence[Run]) -> list[Run]:
    """What there is to record of an unfinished group: the finished runs, else the first that has an epoch."""
    return [run for run in runs if run.finished] or [run for run in runs if run.metrics][:1]


def _drawn_from(name: str, directory: Path) -> Reproduced:
    """A figure, added to a finished reproduction of its recipe."""
    recipes = find(name).recipes
    if name not in DRAWINGS:
        raise InputError(f"{name} is no figure: leave out --of")
    begun = [Run(path) for path in runs_in(directory)]
    found = [run for run in begun if run.group == recipes[0] and run.finished]
    if not found:
        raise InputError(f"{directory} has no finished run of {recipes[0]}: name a reproduction of it")
    draw(name, found, directory)
    return Reproduced(name, directory)


def record(made: str, name: str, runs: Sequence[Run], planned: int = 0) -> dict[str, Any]:
    """Everything that can be checked: configuration, machine, versions, and every epoch and test of every seed.

    Of an unfinished run it is what there is so far, and no test; of fewer runs than `planned`, it says how many there
    are to be.
    """
    planned = max(planned, len(runs))
    described = [run.info for run in runs]
    config = described[0]["config"]
    source = config["data"]["source"]
    given = data_option(source, recipe(made).data.source)
    return {
        "recipe": made,
        "command": f"vitrail reproduce {name} --seeds {planned}{given}",
        **({"planned_seeds": planned} if planned > len(runs) else {}),
        "data": shown_source(source),
        "images": described[0]["splits"],
        "config": {**config, "data": {**config["data"], "source": shown_source(source)}},
        **provenance(runs),
        **aggregate(runs),
        "seeds": [
            {
                "seed": each["seed"],
                "epochs": run.metrics,
                "test": _numbers(run.evaluation) if run.finished else None,
            }
            for each, run in zip(described, runs, strict=True)
        ],
    }


def _numbers(evaluation: Mapping[str, Any]) -> dict[str, float | None]:
    return {key: value for key, value in evaluation.items() if isinstance(value, int | float | None)}


def side_by_side(name: str, records: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str, str, str]]:
    """Recipe, metric, what is published (or set out for), and what was measured: mean ± standard deviation."""
    reproduction, rows = find(name), []
    named = list(dict.fromkeys(metric for values in reproduction.values.values() for metric in values))
    for made in reproduction.recipes:
        published, found = reproduction.values.get(made, {}), records.get(made)
        for metric in dict.fromkeys([*(published or named), "val_accuracy", "test_accuracy"]):
            target = metric_with_unit(metric, published[metric]) if metric in published else NONE
            rows.append((made + so_far(found), metric.replace("_", " "), target, measured(found, metric)))
    return rows


def measured(found: Mapping[str, Any] | None, metric: str) -> str:
    """A metric of a record, mean ± standard deviation; a dash where there is no record, or no such value."""
    if found is None:
        return NONE
    part, _, key = metric.partition("_")
    spread = found[part][key] if key else found[metric]
    if spread["mean"] is None:
        return NONE
    return metric_with_unit(metric, spread["mean"], spread["std"])


def so_far(found: Mapping[str, Any] | None) -> str:
    """` (41 of 180 epochs)` or ` (1 of 3 seeds)` of what was interrupted when it was recorded; else nothing."""
    if found is None:
        return ""
    seeds = found["seeds"]
    done, planned = len(seeds[0]["epochs"]), found["config"]["train"]["epochs"]
    if done < planned:
        return f" ({done} of {planned} epochs)"
    done, planned = sum(seed["test"] is not None for seed in seeds), found.get("planned_seeds", len(seeds))
    return f" ({done} of {planned} seeds)" if done < planned else ""


def outcome(made: str) -> str | None:
    """What this checkout's record of a recipe comes to, as the recipe's document says it; None without a record."""
    found = recorded_recipe(made)
    if found is None:
        return None
    return (
        f"{made}: validation accuracy {measured(found, 'val_accuracy')}, test accuracy "
        f"{measured(found, 'test_accuracy')} after {measured(found, 'seconds')} of training{so_far(found)} on "
        f"{found['data']} ({over_seeds(len(found['seeds']))}; {found['hardware']})."
    )


def over_seeds(count: int) -> str:
    """`3 seeds, mean ± standard deviation`."""
    return plural(count, "seed") + (f", {MEAN_AND_STD}" if count > 1 else "")
