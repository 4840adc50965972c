"""The page of a comparison: models side by side, over the same data and seeds."""

from __future__ import annotations

import math
from urllib.parse import quote

from markupsafe import Markup

from vitrail import numbers, plots
from vitrail.estimate import MEAN_AND_STD
from vitrail.metrics import EPOCH_METRICS, METRICS
from vitrail.report import curves, settings
from vitrail.report.elements import Context, Drawing, notice, render
from vitrail.report.embedding import draw
from vitrail.report.pairs import pair_section
from vitrail.report.run_page import data_name, missing, resume_command
from vitrail.runs.comparison import Comparison, ModelResults
from vitrail.tables import Table
from vitrail.text import joined, plural

_MAIN = ("accuracy", "loss")


def comparison_page(comparison: Comparison) -> str:
    """The whole HTML text."""
    models = comparison.results
    shared, different = settings.shared_and_different(comparison)
    others = tuple(metric for metric in EPOCH_METRICS if metric not in _MAIN)
    main_drawings = [drawing for metric in _MAIN for drawing in curves.comparison_drawings(models, metric)]
    names = [model.name for model in models]
    return render(
        "comparison.html",
        {
            "title": f"{joined(names)} on {_data_name(comparison)}",
            "lede": _lede(comparison),
            "test_is_validation": any(run.validates_on_test for run in comparison.runs),
            "notices": _notices(comparison),
            "results": _results(models),
            "verdict": _verdict(models),
            "seed_drawings": _seed_drawings(models),
            "seed_table": _seed_table(models),
            "cost": _cost(models),
            "main_drawings": main_drawings,
            "main_table": curves.comparison_table(models, _MAIN) if main_drawings else None,
            "other_drawings": [d for metric in others for d in curves.comparison_drawings(models, metric)],
            "meanings": [(METRICS[m].title, METRICS[m].meaning) for m in EPOCH_METRICS],
            "pair": pair_section(comparison.directory),
            "shared": shared,
            "different": different,
            "model_settings": settings.model_tables(comparison),
            "runs": _runs(models),
            "directory": str(comparison.directory),
        },
    )


def _data_name(comparison: Comparison) -> str:
    data = comparison.data
    source = data.get("source") if isinstance(data, dict) else data
    if not source and comparison.runs:
        source = comparison.runs[0].data.get("source")
    return data_name(source)


def _lede(comparison: Comparison) -> str:
    seeds = max((_seeds(model) for model in comparison.results), default=0)
    over = "once" if seeds == 1 else f"with {seeds} seeds each"
    return (
        f"{plural(len(comparison.results), 'model')} trained {over} on the same images with the same splits. "
        "A seed changes the initial weights and the order of the images, never which images are which."
    )


def _seeds(model: ModelResults) -> int:
    return max([len(model.runs), *(len(spread.values) for spread in model.test.values())])


def _notices(comparison: Comparison) -> list[Context]:
    notices = []
    unfinished = [run for run in comparison.runs if missing(run)]
    if unfinished:
        names = joined([run.directory.name for run in unfinished])
        text = f"Incomplete: {names}. This continues them:"
        notices.append(notice("Some runs are not complete", text, resume_command(comparison.directory)))
    without = [model.name for model in comparison.results if not model.runs]
    if without:
        text = f"No run directories of {joined(without)} are here, so their curves and settings are not shown."
        notices.append(notice("Some curves are missing", text))
    return notices


def _results(models: tuple[ModelResults, ...]) -> list[Table]:
    tables = []
    for split, name in (("test", "Test"), ("val", "Validation")):
        rows = []
        for metric in EPOCH_METRICS:
            found = [getattr(model, split).get(metric) for model in models]
            if any(of is not None and of.known for of in found):
                rows.append([METRICS[metric].label, *(numbers.metric_spread(metric, of) for of in found)])
        if rows:
            caption = f"{name}, {MEAN_AND_STD} over seeds"
            tables.append(Table(caption, ["metric", *(model.name for model in models)], rows))
    return tables


def _cost(models: tuple[ModelResults, ...]) -> Table:
    speeds = [model.images_per_second for model in models]
    rows = [
        ["parameters", *(numbers.short_count(model.parameters) for model in models)],
        ["multiply-adds per image", *(numbers.short_count(model.multiply_adds) for model in models)],
        ["training time", *(numbers.duration(model.seconds.mean, model.seconds.std) for model in models)],
        ["training speed (images/s)", *(numbers.number(s.mean, s.std, 0) for s in speeds)],
    ]
    return Table("What each model costs", ["", *(model.name for model in models)], rows)


def _verdict(models: tuple[ModelResults, ...]) -> str:
    """Who leads in test accuracy and whether the seeds agree; nothing that the values do not show."""
    scored = [(model.name, model.test["accuracy"]) for model in models if "accuracy" in model.test]
    ranked = sorted(((s.mean, name, s) for name, s in scored if s.known), key=lambda r: (-r[0], r[1]))
    if len(ranked) < 2:
        return ""
    (best, first, lead), (second, runner_up, follow) = ranked[:2]
    if best == second:
        return f"{first} and {runner_up} reach the same mean test accuracy, {numbers.percent(best)}."
    gap = f"{first} leads {runner_up} by {100 * (best - second):.2f} percentage points of mean test accuracy."
    known = [[v for v in of.values if math.isfinite(v)] for of in (lead, follow)]
    if min(map(len, known)) < 2:
        return f"{gap} With one seed there is no telling how much of that is chance."
    if min(known[0]) > max(known[1]):
        return f"{gap} Its worst seed is above every seed of {runner_up}."
    return f"{gap} Their seeds overlap, so a part of it may be chance."


def _seed_drawings(models: tuple[ModelResults, ...]) -> list[Drawing]:
    drawings = []
    for metric in _MAIN:
        known = METRICS[metric]
        values = {m.name: [known.scale * v for v in m.test[metric].values] for m in models if metric in m.test}
        values = {name: v for name, v in values.items() if any(map(math.isfinite, v))}
        if values:
            title = f"test {known.label}"
            alt = f"{title}, one dot per seed; {MEAN_AND_STD}: " + " ".join(
                f"{m.name}: {numbers.metric_spread(metric, m.test[metric])}." for m in models if m.name in values
            )
            figure = plots.seed_values(values, title, 100 if known.unit == "%" else math.inf)
            drawings.append(draw(figure, f"seeds-{metric}", alt))
    return drawings


def _seed_table(models: tuple[ModelResults, ...]) -> Table | None:
    most = max((len(model.test[m].values) for model in models for m in _MAIN if m in model.test), default=0)
    if not most:
        return None
    rows = []
    for model in models:
        for metric in _MAIN:
            values = model.test[metric].values if metric in model.test else ()
            cells = [numbers.metric(metric, v) for v in values] + [numbers.NONE] * (most - len(values))
            rows.append([f"{model.name}, test {METRICS[metric].heading}", *cells])
    return Table("Test results of each seed", ["", *(f"run {i + 1} of {most}" for i in range(most))], rows)


def _runs(models: tuple[ModelResults, ...]) -> Table | None:
    """Every run by its name, which leads to its own report where there is one."""
    rows = []
    for model in models:
        for run in model.runs:
            name, metrics = run.directory.name, run.test.metrics if run.test else {}
            link = Markup('<a href="./{}/{}">{}</a>').format(quote(name), run.report.name, name)
            shown = link if run.report.is_file() else name
            cells = [numbers.metric(metric, metrics.get(metric)) for metric in _MAIN]
            rows.append([shown, model.name, settings.show(run.info.get("seed")), *cells])
    head = ["run", "model", "seed", "test accuracy", "test loss (nats)"]
    return Table("The runs of this comparison", head, rows) if rows else None
