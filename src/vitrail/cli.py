"""The command line: one verb, one function. It parses and prints; what the verbs do is the library's.

Nothing here imports torch before a verb has its arguments, so that help is immediate.
"""

import io
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import AvoidSubcommands, Positional, arg

from vitrail.configs import CNNConfig, ModelConfig, TrainConfig, ViTConfig
from vitrail.errors import InputError, Interrupted, RunError
from vitrail.models.presets import PRESETS, preset
from vitrail.options import DATA_HELP, RARE, TRAIN_DEFAULTS, DataOptions, Folder, Name, option, parse


def done(*files: Path, then: str) -> None:
    from vitrail.progress import say

    for file in files:
        say(f"wrote {file}")
    say(f"next: {then}")


def _quoted(path: Path | str) -> str:
    import shlex

    return shlex.quote(str(path))


def train(argv: Sequence[str]) -> None:
    """Train a model on images, test it once on held-out ones, and write a report."""
    named = option(argv, "--model")
    model_config: ModelConfig = preset(named) if named else ViTConfig()

    @dataclass(frozen=True)
    class Train(DataOptions):
        """Train a model on images, test it once on held-out ones, and write a report.

        [In brackets: what is chosen without the option.] --help-all shows the rest: every choice of the model
        (--model.depth 4), of the training (--train.weight-decay 0.1) and of the data (--val-split test).
        """

        model: Name = None
        """A preset, see 'vitrail summary' [from the images' size]"""
        model_options: Annotated[ViTConfig | CNNConfig, arg(name="model"), AvoidSubcommands, RARE] = model_config
        train_options: Annotated[TrainConfig, arg(name="train"), RARE] = TRAIN_DEFAULTS

    options = parse(Train, argv, "train")
    data, train_config = options.configs(options.train_options)
    model: ModelConfig = options.model_options
    if model != model_config:
        if named is None:
            raise InputError("--model.* changes a preset: name it with --model")
        taken = [n for n in ("in_channels", "num_classes") if getattr(model, n) != getattr(model_config, n)]
        if taken:
            raise InputError(f"--model.{taken[0].replace('_', '-')} comes from the data; leave it out")
        if model.size != model_config.size and data.image_size is None:
            data = replace(data, image_size=model.size)

    from vitrail.runs import start

    chosen = model if named else None
    show_run(start(data, chosen, train_config, options.out, options.data_dir, named).directory)


def show_run(directory: Path) -> None:
    """The end of a run: its results, its files, and what to do next."""
    from vitrail import files
    from vitrail.progress import say

    evaluation = files.read_json(directory / "evaluation.json")
    if not (isinstance(evaluation, dict) and isinstance(evaluation.get("accuracy"), float)):
        raise InputError(f"{directory / 'evaluation.json'} is damaged: remove it, and 'vitrail resume' measures again")
    say(
        f"test accuracy {evaluation['accuracy']:.2%} and loss {evaluation['loss']:.3f} "
        f"on {evaluation['images']:,} images"
        + (" (which also validated each epoch)" if evaluation["val_split"] == "test" else "")
    )
    done(
        directory / "evaluation.json",
        directory / "checkpoints",
        directory / "report.html",
        then=f"vitrail predict {_quoted(directory)} IMAGE...",
    )


def resume(argv: Sequence[str]) -> None:
    """Go on with an interrupted run or comparison, or complete what a finished one lacks."""

    @dataclass(frozen=True)
    class Resume:
        """Go on with an interrupted run or comparison, or complete what a finished one lacks.

        It ends with the same weights, bit for bit, as if it had not been interrupted.
        """

        run: Positional[Path]
        """The directory of a run or a comparison."""

    options = parse(Resume, argv, "resume")
    from vitrail import experiments, runs

    if experiments.is_experiment(options.run):
        show_comparison(experiments.resume_comparison(options.run).directory)
    else:
        show_run(runs.resume(options.run).directory)


def compare(argv: Sequence[str]) -> None:
    """Train several models on the same batches in the same order, and report them side by side."""

    @dataclass(frozen=True)
    class Compare(DataOptions):
        """Train several models on the same batches in the same order, and report them side by side.

        [In brackets: what is chosen without the option.] --help-all shows the rest.
        """

        models: Annotated[tuple[str, ...], arg(metavar="NAME ...")] = ("vit-compare", "cnn-compare")
        """Presets, see 'vitrail summary'."""
        seeds: Annotated[int, arg(metavar="N")] = 1
        """Runs per model, from --seed on."""
        train_options: Annotated[TrainConfig, arg(name="train"), RARE] = TRAIN_DEFAULTS

    options = parse(Compare, argv, "compare")
    data, train_config = options.configs(options.train_options)
    from vitrail.experiments import by_name, start_comparison

    models = by_name(options.models)
    made = start_comparison(data, models, train_config, options.seeds, options.out, options.data_dir)
    show_comparison(made.directory)


def show_comparison(directory: Path) -> None:
    from rich.table import Table

    from vitrail.experiments import Comparison
    from vitrail.progress import console

    def spread(values: dict[str, Any], form: str) -> str:
        if values["mean"] is None:
            return "-"
        mean = format(values["mean"], form)
        return mean if values["std"] is None else f"{mean} ± {format(values['std'], form)}"

    table = Table(box=None, pad_edge=False)
    table.add_column("model", no_wrap=True)
    for heading in ("test accuracy", "test loss", "val accuracy", "parameters", "seconds", "img/s"):
        table.add_column(heading, justify="right", no_wrap=not heading.endswith("accuracy"))
    for name, model in Comparison(directory).models.items():
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
    done(
        directory / "comparison.json",
        directory / "report.html",
        then=f"open {_quoted(directory / 'report.html')} in a browser",
    )


def demo(argv: Sequence[str]) -> None:
    """Train a ViT and a CNN on scikit-learn's digits, in under a minute."""

    @dataclass(frozen=True)
    class Demo:
        """Train a ViT and a CNN on scikit-learn's digits, in under a minute, and report them side by side."""

        out: Annotated[Path, arg(metavar="DIR")] = Path("runs/demo")
        """Replaced if it holds an earlier demo."""

    options = parse(Demo, argv, "demo")
    from vitrail import experiments

    show_comparison(experiments.demo(options.out).directory)


def evaluate(argv: Sequence[str]) -> None:
    """Measure a trained model on its held-out test images, or on other data."""

    @dataclass(frozen=True)
    class Evaluate:
        """Measure a trained model on its held-out test images, or on other data with the same classes.

        Other data: its test images where it has test/ or val/, else all of its images.
        """

        run: Positional[Path]
        """The directory of a run."""
        data: Annotated[str | None, arg(metavar="DATA")] = None
        """A name or path, as for train (the run's own test images)."""
        data_dir: Folder = None

    options = parse(Evaluate, argv, "evaluate")
    from vitrail import evaluation, files, runs
    from vitrail.progress import say

    if options.data is None:
        path = runs.evaluate(options.run)
    else:
        path = evaluation.evaluate_on(options.run, options.data, options.data_dir)
    result = files.read_json(path)
    for name in ("accuracy", "top5", "auroc", "f1", "precision", "recall", "loss", "ece"):
        if result[name] is not None:
            say(f"{name:>9}  {result[name]:.4f}")
    say(f"on {result['images']:,} images")
    done(path, then=f"vitrail report {_quoted(options.run)}")


def predict(argv: Sequence[str]) -> None:
    """Class probabilities of images."""

    @dataclass(frozen=True)
    class Predict:
        """Class probabilities of images."""

        run: Positional[Path]
        """The directory of a run."""
        files: Positional[tuple[Path, ...]]
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
    from vitrail.progress import say

    classifier = load(options.run)
    # All are read before anything is printed, so that a bad file is an error and not half an answer.
    inputs = classifier.prepare([str(file) for file in options.files])
    for file, probabilities in zip(options.files, classifier.predict(inputs).tolist(), strict=True):
        ranked = sorted(zip(probabilities, classifier.class_names, strict=True), reverse=True)[: options.top]
        if options.json:
            classes = [{"class": name, "probability": probability} for probability, name in ranked]
            print(json.dumps({"file": str(file), "predictions": classes}, ensure_ascii=False))
        else:
            say(str(file))
            for probability, name in ranked:
                say(f"  {probability:7.2%}  {name}")


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
    done(path, then=f"open {_quoted(path)} in a browser")


def summary(argv: Sequence[str]) -> None:
    """What a model consists of and costs; without a name, the presets."""

    @dataclass(frozen=True)
    class Summary:
        """What a model consists of and costs, layer by layer; without a name, the presets."""

        preset: Positional[Annotated[str | None, arg(metavar="[PRESET]")]] = None
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
        """For the sheet of ten samples per class (the current directory)."""
        data_dir: Folder = None

    options = parse(Doctor, argv, "doctor")
    from vitrail.data.doctor import examine
    from vitrail.plots import sample_sheet
    from vitrail.progress import say

    diagnosis = examine(options.data, options.data_dir)
    for line in diagnosis.to_lines():
        say(line)
    if diagnosis.samples:
        folder = options.out or Path()
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file: name a directory by --out")
        folder.mkdir(parents=True, exist_ok=True)
        sheet = folder / f"{diagnosis.name}-samples.png"
        sample_sheet(diagnosis.samples).savefig(sheet, dpi=100, bbox_inches="tight")
        say(f"wrote {sheet}")
    if not diagnosis.ok:
        raise InputError(f"{options.data} cannot be trained on as it is: see above")
    say(f"next: vitrail train {_quoted(options.data)}")


VERBS: dict[str, Callable[[Sequence[str]], None]] = {
    "demo": demo,
    "train": train,
    "resume": resume,
    "evaluate": evaluate,
    "compare": compare,
    "predict": predict,
    "report": report,
    "summary": summary,
    "doctor": doctor,
}


def usage() -> str:
    lines = [
        "Train Vision Transformers on your own images, compare them fairly with a CNN, and see what they look at.",
        "",
        "usage: vitrail VERB [OPTIONS]",
        "",
        *(f"  {name:10}{(verb.__doc__ or '').splitlines()[0]}" for name, verb in VERBS.items()),
        "",
        "'vitrail VERB --help' shows a verb's options. Try 'vitrail demo' first.",
    ]
    return "\n".join(lines)


def run(argv: Sequence[str]) -> int:
    """Carry out a command line; its exit code."""
    import difflib

    if not argv or argv[0] in ("--help", "-h", "help", "--help-all"):
        print(usage())
        return 0 if argv else 2
    if argv[0] == "--version":
        from importlib.metadata import version

        print(f"vitrail {version('vitrail')}")
        return 0
    try:
        if argv[0] not in VERBS:
            near = difflib.get_close_matches(argv[0], VERBS, n=1)
            raise InputError(
                f"unknown verb {argv[0]!r}" + (f": did you mean {near[0]}?" if near else "; see 'vitrail --help'")
            )
        VERBS[argv[0]](argv[1:])
    except InputError as error:
        print(f"vitrail: {_one_line(error)}", file=sys.stderr)
        return 2
    except RunError as error:
        print(f"vitrail: {_one_line(error)}", file=sys.stderr)
        return 1
    except Interrupted as stop:
        print(f"vitrail: {stop}", file=sys.stderr)
        return 128 + stop.signum
    except KeyboardInterrupt:
        print("vitrail: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of the output has gone: that is its choice, and no error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (MemoryError, RuntimeError) as error:
        if not (isinstance(error, MemoryError) or re.search(r"out of memory|can't allocate memory", str(error))):
            raise
        print("vitrail: out of memory: try a smaller --batch-size, --image-size or --model", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"vitrail: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def main() -> None:
    # torch's threads would otherwise spin while they wait for each other. Measured on two cores: at most a fifth
    # slower on an idle machine (nothing at vit-compare's size), but eight times faster beside one busy process.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    sys.exit(run(sys.argv[1:]))
