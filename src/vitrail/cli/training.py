"""Verbs that train: a run, a comparison, the demo, and going on with any of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import AvoidSubcommands, Positional, arg

from vitrail.cli.ending import done
from vitrail.cli.options import RARE, TRAIN_DEFAULTS, DataOptions, Name, augmented, is_augmented, option, parse, renamed
from vitrail.cli.studying import show_reproduced, show_study
from vitrail.configs import CNNConfig, ModelConfig, TrainConfig, ViTConfig, as_size
from vitrail.errors import InputError
from vitrail.models.presets import preset
from vitrail.recipes import recipe
from vitrail.text import plural, quoted


def train(argv: Sequence[str]) -> None:
    """Train a model on images, test it once on held-out ones, and write a report."""
    named, followed = option(argv, "--model"), option(argv, "--recipe")
    base = recipe(followed) if followed else None
    model_config: ModelConfig = preset(named) if named else base.model if base else ViTConfig()
    train_base = augmented(argv, base.train if base else TRAIN_DEFAULTS)
    known = named or (base.model_name if base else None)
    asked = option(argv, "--model.image-size")
    if option(argv, "--model.patch-size") and not asked:
        # New patches are checked against the model's own size, which is to be the images'.
        argv = [*argv, *renamed(argv, "--image-size", "--model.image-size")]

    @dataclass(frozen=True)
    class Train(DataOptions):
        """Train a model on images, test it once on held-out ones, and write a report.

        [In brackets: what is chosen without the option.] --help-all shows the rest: every choice of the model
        (--model.depth 4), of the training (--train.weight-decay 0.1) and of the data (--val-split test).
        """

        model: Name = None
        """A preset, see 'vitrail summary' [from the images' size]"""
        recipe: Name = None
        """Data, model and training that belong together, see 'vitrail reproduce'; other options change it"""
        model_options: Annotated[ViTConfig | CNNConfig, arg(name="model"), AvoidSubcommands, RARE] = model_config
        train_options: Annotated[TrainConfig, arg(name="train"), RARE] = train_base

    defaults = None
    if base:
        fields = {**vars(base.data), "data": base.data.source, "augment": is_augmented(train_base)}
        defaults = Train(**{name: value for name, value in fields.items() if name != "source"})
    options = parse(Train, argv, "train", defaults)
    data, train_config = options.configs(options.train_options)
    model: ModelConfig = options.model_options
    if asked and data.image_size is not None and as_size(data.image_size) != model.size:
        raise InputError("--image-size and --model.image-size differ: leave one of them out")
    if model != model_config:
        if known is None:
            raise InputError("--model.* changes a preset: name it with --model")
        taken = [n for n in ("in_channels", "num_classes") if getattr(model, n) != getattr(model_config, n)]
        if taken:
            raise InputError(f"--model.{taken[0].replace('_', '-')} comes from the data; leave it out")
        if model.size != model_config.size:
            data = replace(data, image_size=model.size)

    from vitrail.experiments.run import start

    if followed and base:
        trained = replace(base, data=replace(data, source=base.data.source), model=model, train=train_config)
        if trained == base:
            _say_what_is_recorded(followed, data.source)
    chosen = model if known else None
    show_run(start(data, chosen, train_config, options.out, options.data_dir, known).directory)


def _say_what_is_recorded(followed: str, source: str) -> None:
    """Of the recipe's own data, or of a copy that was recorded; of other images it would say nothing."""
    from vitrail.data.argument import shown_source
    from vitrail.progress import say
    from vitrail.recipes.reproducing import outcome, recorded_recipe

    record = recorded_recipe(followed)
    if record and shown_source(source) in (record["data"], recipe(followed).data.source):
        say(f"recorded of {outcome(followed)}")


def show_run(directory: Path) -> None:
    """The end of a run: its results, its files, and what to do next."""
    from vitrail.progress import say
    from vitrail.runs.directory import Run
    from vitrail.runs.layout import EVALUATION

    run = Run(directory)
    evaluation = run.evaluation
    if not isinstance(evaluation.get("accuracy"), float):
        raise InputError(f"{directory / EVALUATION} is damaged: remove it, and 'vitrail resume' measures again")
    say(
        f"test accuracy {evaluation['accuracy']:.2%} and loss {evaluation['loss']:.3f} "
        f"on {plural(evaluation['images'], 'image')}"
        + (" (which also validated each epoch)" if evaluation["val_split"] == "test" else "")
    )
    done(
        directory / EVALUATION,
        run.checkpoints,
        run.report,
        then=f"vitrail predict {quoted(directory)} IMAGE...",
    )


def resume(argv: Sequence[str]) -> None:
    """Go on with an interrupted run, comparison, study or reproduction, or complete what a finished one lacks."""

    @dataclass(frozen=True)
    class Resume:
        """Go on with an interrupted run, comparison, study or reproduction, or complete what a finished one lacks.

        It ends with the same weights, bit for bit, as if it had not been interrupted.
        """

        run: Positional[Path]
        """The directory of a run, a comparison, a study or a reproduction."""

    options = parse(Resume, argv, "resume")
    from vitrail.experiments import comparison
    from vitrail.experiments import run as runs
    from vitrail.recipes import reproducing as tables
    from vitrail.runs.plan import plan_kind, read_plan
    from vitrail.studies import conduct

    kind = plan_kind(options.run)
    if kind is None:
        show_run(runs.resume(options.run).directory)
        return
    plan = read_plan(options.run)
    if kind == "reproduction":
        show_reproduced(tables.complete(plan))
    elif kind == "study":
        made = conduct.complete(plan)
        show_study(made.directory, made.finding)
    else:
        show_comparison(comparison.complete(plan).directory)


def compare(argv: Sequence[str]) -> None:
    """Train several models on the same batches in the same order, and report them side by side."""
    train_base = augmented(argv, TRAIN_DEFAULTS)

    @dataclass(frozen=True)
    class Compare(DataOptions):
        """Train several models on the same batches in the same order, and report them side by side.

        [In brackets: what is chosen without the option.] --help-all shows the rest.
        """

        models: Annotated[tuple[str, ...], arg(metavar="NAME ...")] = ("vit-compare", "cnn-compare")
        """Presets, see 'vitrail summary'."""
        seeds: Annotated[int, arg(metavar="N")] = 1
        """Runs per model, from --seed on."""
        train_options: Annotated[TrainConfig, arg(name="train"), RARE] = train_base

    options = parse(Compare, argv, "compare")
    data, train_config = options.configs(options.train_options)
    from vitrail.experiments.comparison import by_name, start_comparison

    models = by_name(options.models)
    made = start_comparison(data, models, train_config, options.seeds, options.out, options.data_dir)
    show_comparison(made.directory)


def show_comparison(directory: Path) -> None:
    from rich.table import Table

    from vitrail.progress import console
    from vitrail.runs.comparison import Comparison
    from vitrail.runs.layout import COMPARISON

    def spread(values: dict[str, Any], form: str) -> str:
        if values["mean"] is None:
            return "-"
        mean = format(values["mean"], form)
        return mean if values["std"] is None else f"{mean} ± {format(values['std'], form)}"

    table = Table(box=None, pad_edge=False)
    table.add_column("model", no_wrap=True)
    for heading in ("test accuracy", "test loss", "val accuracy", "parameters", "seconds", "img/s"):
        table.add_column(heading, justify="right", no_wrap=not heading.endswith("accuracy"))
    comparison = Comparison(directory)
    for name, model in comparison.models.items():
        table.add_row(
            name,
            spread(model["test"]["accuracy"], ".2%"),
            spread(model["test"]["loss"], ".3f"),
            spread(model["val"]["accuracy"], ".2%"),
            f"{model['parameters']:,}",
            spread(model["seconds"], ",.0f"),
            spread(model["images_per_second"], ",.0f"),
        )
    console.print(table)
    done(directory / COMPARISON, comparison.report, then=f"open {quoted(comparison.report)} in a browser")


def demo(argv: Sequence[str]) -> None:
    """Train a ViT and a CNN on scikit-learn's digits, in under a minute."""

    @dataclass(frozen=True)
    class Demo:
        """Train a ViT and a CNN on scikit-learn's digits, in under a minute, and report them side by side."""

        out: Annotated[Path, arg(metavar="DIR")] = Path("runs/demo")
        """Replaced if it holds an earlier demo, and no explanation or measurement made of it since."""

    options = parse(Demo, argv, "demo")
    from vitrail.experiments import comparison

    show_comparison(comparison.demo(options.out).directory)
