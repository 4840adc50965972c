"""`vitrail train`: a run, from options laid over a preset or a recipe."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Required

from tyro.conf import arg

from vitrail.cli.ending import done
from vitrail.cli.options import augmented, group, laid_over, offered, parse_given, parse_known, training_options
from vitrail.configs import RECOMMENDED, DataConfig, ViTConfig, as_size
from vitrail.configs.offered import Everyday
from vitrail.errors import InputError
from vitrail.models.presets import preset
from vitrail.recipes import recipe
from vitrail.text import plural, quoted


@dataclass(frozen=True)
class Start:
    """What the other options are laid over."""

    model: Everyday[str | None] = None
    """A preset, see 'vitrail summary' [from the images' size]"""
    recipe: Everyday[str | None] = None
    """Data, model and training that belong together, see 'vitrail reproduce'; other options change it"""


def train(argv: Sequence[str]) -> None:
    """Train a model on images, test it once on held-out ones, and write a report.

    [In brackets: what is chosen without the option.] --help-all shows the rest: every choice of the data, such as
    a --val-split, of the model (--model.depth 4), and of the training (--train.weight-decay 0.1).
    """
    start = parse_known(Start, argv, train)
    base = recipe(start.recipe) if start.recipe else None
    model = preset(start.model) if start.model else base.model if base else None
    name = start.model or (base.model_name if base else None)
    training, kind = base.train if base else RECOMMENDED, type(model) if model else ViTConfig
    of_model: Any = Annotated[group(offered(kind, model), kind.__doc__), arg(name="model")]
    options = training_options(training, data_is_required=base is None) | offered(Start, start)
    given = parse_given({**options, "model_options": Required[of_model]}, argv, train)

    data = laid_over(base.data if base else DataConfig(given["source"]), given)
    training = laid_over(augmented(training, given), given["train"] | given)
    changes = given["model_options"]
    if changes and model is None:
        raise InputError("--model.* changes a preset: name it with --model")
    for field in ("in_channels", "num_classes"):
        if field in changes and changes[field] != getattr(model, field):
            raise InputError(f"--model.{field.replace('_', '-')} comes from the data; leave it out")
    if size := changes.get("image_size"):
        if given.get("image_size") and as_size(given["image_size"]) != as_size(size):
            raise InputError("--image-size and --model.image-size differ: leave one of them out")
        data = replace(data, image_size=size)
    if model:
        model = laid_over(model, changes | ({"image_size": data.image_size} if data.image_size else {}))

    from vitrail.experiments import run

    if base and model and start.recipe:
        followed = replace(base, data=replace(data, source=base.data.source), model=model, train=training)
        if followed == base:
            _say_what_is_recorded(start.recipe, data.source)
    show_run(run.start(data, model, training, given.get("out"), given.get("data_dir"), name).directory)


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
    then = f"vitrail predict {quoted(directory)} IMAGE..."
    done(directory / EVALUATION, run.checkpoints, run.report, then=then)
