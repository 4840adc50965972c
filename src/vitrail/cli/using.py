"""Verbs that use and describe what there is: models, runs and data."""

import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from vitrail.cli.ending import done
from vitrail.cli.options import DATA_HELP, DataDir, Folder, parse
from vitrail.errors import InputError
from vitrail.models.presets import PRESETS, preset
from vitrail.text import plural, quoted

_AT_ONCE = 256


def evaluate(argv: Sequence[str]) -> None:
    """Measure a trained model on its held-out test images, or on other data."""

    @dataclass(frozen=True)
    class Evaluate:
        """Measure a trained model on its held-out test images, or on other data with the same classes.

        Other data: its test images where it has test/ or val/, else all of its images.
        """

        run: Positional[Path]
        """The directory of a run."""
        data: Annotated[str | None, arg(metavar="DATA", help_behavior_hint="")] = None
        """A name or path, as for train [the run's own test images]"""
        data_dir: DataDir = None

    options = parse(Evaluate, argv, "evaluate")
    from vitrail import files
    from vitrail.experiments import run as runs
    from vitrail.experiments import testing
    from vitrail.progress import say

    if options.data is None:
        path = runs.evaluate(options.run)
    else:
        path = testing.evaluate_on(options.run, options.data, options.data_dir)
    result = files.read_json(path)
    for name in ("accuracy", "top5", "auroc", "f1", "precision", "recall", "loss", "ece"):
        if result[name] is not None:
            say(f"{name:>9}  {result[name]:.4f}")
    say(f"on {plural(result['images'], 'image')}")
    run = quoted(options.run)
    done(path, then=f"vitrail report {run}" if options.data is None else f"vitrail predict {run} IMAGE...")


def predict(argv: Sequence[str]) -> None:
    """Class probabilities of images."""

    @dataclass(frozen=True)
    class Predict:
        """Class probabilities of images."""

        run: Positional[Path]
        """The directory of a run."""
        files: Positional[Annotated[tuple[Path, ...], arg(metavar="IMAGE [IMAGE ...]", help_behavior_hint="")]]
        """Images."""
        top: Annotated[int, arg(metavar="N")] = 5
        """The most probable classes to show."""
        json: bool = False
        """Print JSON: one object per line and file."""

    options = parse(Predict, argv, "predict")
    if not options.files:
        raise InputError("no images were given; see 'vitrail predict --help'")
    if options.top < 1:
        raise InputError(f"--top is {options.top}: it must be at least 1")
    from vitrail.classifier import load
    from vitrail.progress import console, say, track
    from vitrail.text import shown

    classifier = load(options.run)
    # All are read before anything is printed, so that a bad file is an error and not half an answer.
    # What a program reads is answers alone.
    count = len(options.files)
    tracked = track("predicting", count, "images") if console.is_terminal else nullcontext(lambda n: None)
    with tracked as advance:
        answers = []
        for start in range(0, count, _AT_ONCE):
            some = [str(file) for file in options.files[start : start + _AT_ONCE]]
            answers += classifier.predict(some).tolist()
            advance(len(some))
    for file, probabilities in zip(options.files, answers, strict=True):
        ranked = sorted(zip(probabilities, classifier.class_names, strict=True), reverse=True)[: options.top]
        if options.json:
            classes = [{"class": name, "probability": probability} for probability, name in ranked]
            print(json.dumps({"file": str(file), "predictions": classes}, ensure_ascii=False))
        else:
            say(shown(str(file)))
            for probability, name in ranked:
                say(f"  {probability:7.2%}  {shown(name)}")


def report(argv: Sequence[str]) -> None:
    """Write the report of a run or a comparison: one HTML file that needs no network."""

    @dataclass(frozen=True)
    class Report:
        """Write the report of a run or a comparison: one HTML file that needs no network."""

        directory: Positional[Path]
        """Of a run or a comparison."""

    options = parse(Report, argv, "report")
    from vitrail.report import write_report

    path = write_report(options.directory)
    done(path, then=f"open {quoted(path)} in a browser")


def summary(argv: Sequence[str]) -> None:
    """What a model consists of and costs; without a name, the presets."""

    @dataclass(frozen=True)
    class Summary:
        """What a model consists of and costs, layer by layer; without a name, the presets."""

        preset: Positional[Annotated[str | None, arg(metavar="[PRESET]", help_behavior_hint="")]] = None
        """See the list that 'vitrail summary' prints."""

    options = parse(Summary, argv, "summary")
    from rich.table import Table

    from vitrail.progress import console, say

    if options.preset is None:
        table = Table("preset", "what it is", box=None, pad_edge=False)
        for name, build in PRESETS.items():
            table.add_row(name, (build.__doc__ or "").strip().splitlines()[0])
        console.print(table)
        say("next: vitrail summary vit-compare")
        return
    config = preset(options.preset)
    from vitrail.models.summary import summarize

    def shape(sizes: tuple[int, ...]) -> str:
        return " x ".join(map(str, sizes)) or "-"

    result = summarize(config)
    table = Table("name", "type", "input size", "output size")
    table.add_column("parameters", justify="right")
    for row in result.rows:
        table.add_row(row.name, row.type, shape(row.input), shape(row.output), f"{row.parameters:,}")
    console.print(table)
    say((PRESETS[options.preset].__doc__ or "").strip().replace("\n    ", "\n"))
    say(f"trainable parameters      {result.trainable:>16,}")
    say(f"non-trainable parameters  {result.parameters - result.trainable:>16,}")
    say(f"size of the weights       {result.megabytes:>16,.1f} MB in float32")
    say(f"multiply-adds             {result.multiply_adds:>16,} per image")
    say(f"next: vitrail train DATA --model {options.preset}")


def doctor(argv: Sequence[str]) -> None:
    """Examine a data set: what is in it, what is wrong with it, and a sheet of samples."""

    @dataclass(frozen=True)
    class Doctor:
        """Examine a data set in one pass: class counts, sizes, unreadable files, duplicates across splits.

        Exits 2 where it cannot be trained on.
        """

        data: Positional[Annotated[str, arg(help=DATA_HELP, help_behavior_hint="")]]
        out: Folder = None
        """For the sheet of ten samples per class [the current directory]"""
        data_dir: DataDir = None

    options = parse(Doctor, argv, "doctor")
    from vitrail.data.doctor import examine
    from vitrail.plots import sample_sheet
    from vitrail.progress import say, warn

    diagnosis = examine(options.data, options.data_dir)
    for line in diagnosis.to_lines():
        say(line)
    if diagnosis.samples:
        folder = options.out or Path()
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file: name a directory by --out")
        sheet = folder / f"{diagnosis.name}-samples.png"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            sample_sheet(diagnosis.samples).savefig(sheet, dpi=100, bbox_inches="tight")
        except OSError as error:
            warn(f"{sheet} cannot be written ({error.strerror}): name a directory by --out")
        else:
            say(f"wrote {sheet}")
    if not diagnosis.ok:
        raise InputError(f"{options.data} cannot be trained on as it is: see above")
    say(f"next: vitrail train {quoted(options.data)}")
