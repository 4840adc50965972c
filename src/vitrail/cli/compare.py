"""`vitrail compare`: several models on the same batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vitrail.cli.ending import done, show
from vitrail.cli.options import augmented, laid_over, offered, parse_given, training_options
from vitrail.configs import RECOMMENDED, DataConfig
from vitrail.configs.offered import Everyday
from vitrail.text import quoted


@dataclass(frozen=True)
class Runs:
    """Which runs a comparison is of."""

    models: Everyday[tuple[str, ...]] = ()
    """Presets, see 'vitrail summary' [a ViT for images of this size, and a CNN]"""
    seeds: Everyday[int] = 1
    """Runs per model, from --seed on"""


def compare(argv: Sequence[str]) -> None:
    """Train several models on the same batches in the same order, and report them side by side.

    [In brackets: what is chosen without the option.] --help-all shows the rest.
    """
    given = parse_given(training_options(RECOMMENDED) | offered(Runs, Runs()), argv, compare)
    data, runs = laid_over(DataConfig(given["source"]), given), laid_over(Runs(), given)
    training = laid_over(augmented(RECOMMENDED, given), given["train"] | given)
    from vitrail.experiments.comparison import by_name, start_comparison

    models = by_name(runs.models) if runs.models else None
    made = start_comparison(data, models, training, runs.seeds, given.get("out"), given.get("data_dir"))
    show_comparison(made.directory)


def show_comparison(directory: Path) -> None:
    from vitrail.estimate import MEAN_AND_STD
    from vitrail.numbers import count, metric_spread, number
    from vitrail.runs.comparison import Comparison
    from vitrail.runs.layout import COMPARISON

    comparison = Comparison(directory)
    rows = [
        [
            model.name,
            metric_spread("accuracy", model.test.get("accuracy")),
            metric_spread("loss", model.test.get("loss")),
            metric_spread("accuracy", model.val.get("accuracy")),
            count(model.parameters),
            number(model.seconds.mean, model.seconds.std, 0),
            number(model.images_per_second.mean, model.images_per_second.std, 0),
        ]
        for model in comparison.results
    ]
    head = ["model", "test accuracy (%)", "test loss", "val accuracy (%)", "parameters", "seconds", "img/s"]
    several = any(len(model.seconds.values) > 1 for model in comparison.results)
    show(head, rows, f"{MEAN_AND_STD} over seeds" if several else "")
    done(directory / COMPARISON, comparison.report, then=f"open {quoted(comparison.report)} in a browser")
