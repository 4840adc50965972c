"""`vitrail explain`: what a model looks at, and whether to believe it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from vitrail.cli.ending import done, show
from vitrail.cli.options import Count, DataDir, Folder, Layout, Name, parse
from vitrail.errors import InputError
from vitrail.text import quoted

if TYPE_CHECKING:
    from vitrail.inspection.explanation import Explanation
    from vitrail.inspection.faithfulness import Faithfulness


@dataclass(frozen=True)
class Explain:
    run: Positional[Path]
    """The directory of a run, or of an adopted model."""
    images: Positional[Annotated[tuple[Path, ...], arg(metavar="[IMAGE ...]", help_behavior_hint="")]] = ()
    """Image files; none with --faithfulness alone."""
    methods: Annotated[tuple[str, ...] | None, arg(metavar="NAME ...", help_behavior_hint="")] = None
    """Attribution methods, such as relevancy, grad-cam, occlusion [all that apply]"""
    target: Annotated[str | None, arg(metavar="CLASS", help_behavior_hint="")] = None
    """The class to explain, by name or number [the predicted one]"""
    layer: Count = None
    """Show attention of this layer alone, counted from 0 [all]"""
    head: Count = None
    """Show attention of this head alone, counted from 0 [all]"""
    out: Folder = None
    """A new or empty directory [the first free RUN/explanation-1, -2, ...]"""
    faithfulness: bool = False
    """Measure every method and write RUN/faithfulness.json (of other --data, a file by its name); minutes."""
    count: Count = None
    """Measure on so many test images [200]"""
    data: Name = None
    """Measure on this data, as for train, or where the run's own is now [the run's own]"""
    layout: Layout = "auto"
    data_dir: DataDir = None


def explain(argv: Sequence[str]) -> None:
    """Show what a model looks at in images, and measure whether to believe it.

    It writes a page, its figures and their arrays. With --faithfulness, it first measures on test images how far
    every attribution method is to be believed.
    """
    options = parse(Explain, argv, explain)
    if not (options.images or options.faithfulness):
        raise InputError("no images were given; see 'vitrail explain --help'")
    if not options.faithfulness and (
        options.data or options.data_dir or options.layout != "auto" or options.count is not None
    ):
        raise InputError("--data, --data-dir, --layout and --count are for --faithfulness")
    if not options.images and (options.target or options.out or (options.layer, options.head) != (None, None)):
        raise InputError("--target, --layer, --head and --out are for images, and none was given")
    from vitrail.data.argument import refuse_below_data
    from vitrail.experiments import explaining
    from vitrail.interruption import interruptible_anywhere
    from vitrail.runs.directory import Run
    from vitrail.runs.layout import FAITHFULNESS, FIGURES

    refuse_below_data(options.out, options.data)
    run, files = options.run, []
    names = ("run", "images", "methods", "layer", "head", "target", "out")
    wanted: dict[str, Any] = {name: getattr(options, name) for name in names}
    if options.faithfulness:
        if options.images:
            explaining.check(**wanted)
        count = explaining.COUNT if options.count is None else options.count
        with interruptible_anywhere():
            found, path = explaining.measure_faithfulness(
                run, options.data, count, options.methods, options.data_dir, layout=options.layout
            )
        _show(found)
        files.append(path)
    if not options.images:
        # The report shows what was measured on the run's own data.
        shows = path.name == FAITHFULNESS and Run(run).report.is_file()
        done(*files, then=f"vitrail report {quoted(run)}" if shows else f"vitrail explain {quoted(run)} IMAGE...")
        return
    with interruptible_anywhere():
        made = explaining.explain(**wanted)
    _say_predictions(made.explanations, made.class_names)
    figures = made.directory / FIGURES
    done(*files, made.page, made.arrays, figures, then=f"open {quoted(made.page)} in a browser")


def _show(found: "Faithfulness") -> None:
    """The measures that say most, in a table that fits a terminal; the file and the page have all."""
    from vitrail.inspection.faithfulness import BRIEF, RANDOMISED, table
    from vitrail.progress import say

    head, rows = table(found, BRIEF)
    rows = [[row[0].removesuffix(" (control)"), *row[1:-2]] for row in rows]
    show([name.split(" (")[0] for name in head[:-2]], rows)
    fewer = f" (response: {RANDOMISED})" if found.num_images > RANDOMISED else ""
    say(f"means over {found.num_images} images{fewer} ± half of their 95 % interval; hidden cells have the mean colour")
    if found.pointing_share is not None:
        say(f"pointing at random hits in {found.pointing_share:.1%} of the images")


def _say_predictions(explanations: Sequence["Explanation"], class_names: Sequence[str]) -> None:
    from vitrail.progress import say
    from vitrail.text import shown

    for explanation in explanations:
        top = int(explanation.probabilities.argmax())
        line = f"{shown(explanation.name)}: {shown(class_names[top])} with {explanation.probabilities[top]:.1%}"
        explained = "" if explanation.target == top else f"; explained: {shown(class_names[explanation.target])}"
        say(line + explained)
