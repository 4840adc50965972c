"""Verbs that look inside a model, and that take one in."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from vitrail.cli.ending import done
from vitrail.cli.options import Count, DataDir, Folder, Name, Pixels, parse
from vitrail.errors import InputError
from vitrail.text import quoted

if TYPE_CHECKING:
    from vitrail.inspection.explanation import Explanation
    from vitrail.inspection.faithfulness import Faithfulness


def explain(argv: Sequence[str]) -> None:
    """Show what a model looks at in images, and measure whether to believe it."""

    @dataclass(frozen=True)
    class Explain:
        """Show what a model looks at in images: a page, its figures and their arrays.

        With --faithfulness, measure first how far every attribution method is to be believed, on test images.
        """

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
        """Measure on this data, as for train [the run's own]"""
        data_dir: DataDir = None

    options = parse(Explain, argv, "explain")
    if not (options.images or options.faithfulness):
        raise InputError("no images were given; see 'vitrail explain --help'")
    if not options.faithfulness and (options.data or options.data_dir or options.count is not None):
        raise InputError("--data, --data-dir and --count are for --faithfulness")
    if not options.images and (options.target or options.out or (options.layer, options.head) != (None, None)):
        raise InputError("--target, --layer, --head and --out are for images, and none was given")
    from vitrail.experiments import explaining
    from vitrail.runs.directory import Run
    from vitrail.runs.layout import FAITHFULNESS, FIGURES

    run, files = options.run, []
    wanted: dict[str, Any] = {
        **{"run": run, "images": options.images, "methods": options.methods, "target": options.target},
        **{"layer": options.layer, "head": options.head, "out": options.out},
    }
    if options.faithfulness:
        if options.images:
            explaining.check(**wanted)
        count = explaining.COUNT if options.count is None else options.count
        found, path = explaining.measure_faithfulness(run, options.data, count, options.methods, options.data_dir)
        _show(found)
        files.append(path)
    if not options.images:
        # The report shows what was measured on the run's own data.
        shows = path.name == FAITHFULNESS and Run(run).report.is_file()
        done(*files, then=f"vitrail report {quoted(run)}" if shows else f"vitrail explain {quoted(run)} IMAGE...")
        return
    made = explaining.explain(**wanted)
    _say_predictions(made.explanations, made.class_names)
    figures = made.directory / FIGURES
    done(*files, made.page, made.arrays, figures, then=f"open {quoted(made.page)} in a browser")


def _show(found: "Faithfulness") -> None:
    """The measures that say most, in a table that fits a terminal; the file and the page have all."""
    from rich.table import Table

    from vitrail.inspection.faithfulness import BRIEF, RANDOMISED, table
    from vitrail.progress import console, say

    head, rows = table(found, BRIEF)
    shown = Table(box=None, pad_edge=False)
    for i, name in enumerate(head[:-2]):
        shown.add_column(name.split(" (")[0], justify="right" if i else "left", no_wrap=True)
    for row in rows:
        shown.add_row(row[0].removesuffix(" (control)"), *row[1:-2])
    console.print(shown)
    fewer = f" (response: {RANDOMISED})" if found.num_images > RANDOMISED else ""
    say(f"means over {found.num_images} images{fewer} with 95 % intervals; hidden cells have the mean colour")
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


def adopt(argv: Sequence[str]) -> None:
    """Take in a ViT of timm, Hugging Face, torchvision or Google's files."""

    @dataclass(frozen=True)
    class Adopt:
        """Turn a ViT from elsewhere into one of ours with the same outputs, for predict, evaluate and explain."""

        source: Positional[str]
        """timm:NAME, hf:NAME, a folder with config.json, or a .safetensors, .npz or .pth file."""
        out: Folder = None
        """A new or empty directory [the first free one in runs/]"""
        image_size: Pixels = None
        """One number, or height and width: positions are resampled [the source's]"""
        patch_size: Count = None
        """In pixels: the patch embedding is resampled [the source's]"""
        in_channels: Count = None
        """1 for grey images, or 3 [the source's]"""
        num_classes: Count = None
        """Another number than the source's means a new head, of random weights [the source's]"""
        num_heads: Count = None
        """For a file whose width is no standard one [from the width]"""
        pretrained: bool = True
        """Download the weights; with --no-pretrained they are random."""
        allow_pickle: bool = False
        """Also read .pth, .pt, .bin and .ckpt files, without executing what is in them."""

    options = parse(Adopt, argv, "adopt")
    from vitrail import files
    from vitrail.adoption import adopt as adopt_model
    from vitrail.experiments.run import new_directory
    from vitrail.runs.directory import Run
    from vitrail.runs.layout import RUN
    from vitrail.text import slug

    if options.out is not None and files.expanded(options.out).exists():
        files.claim(options.out, "name another --out")
    classifier = adopt_model(
        options.source,
        image_size=options.image_size,
        patch_size=options.patch_size,
        in_channels=options.in_channels,
        num_classes=options.num_classes,
        num_heads=options.num_heads,
        pretrained=options.pretrained,
        allow_pickle=options.allow_pickle,
    )
    name = options.source.partition(":")[2] or Path(options.source).stem
    directory = new_directory(options.out, slug(name)[:60])
    classifier.save(directory)
    done(directory / RUN, Run(directory).checkpoints, then=f"vitrail explain {quoted(directory)} IMAGE...")
