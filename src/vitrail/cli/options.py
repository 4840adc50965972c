"""The options that verbs share, and how a command line becomes them."""

import contextlib
import difflib
import inspect
import io
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import tyro
from tyro.conf import Positional, PositionalMetavarFromFieldName, Suppress, arg

from vitrail.configs import NO_AUGMENTATION, AugmentConfig, DataConfig, TrainConfig
from vitrail.errors import InputError

RARE = "shown by --help-all"
"""Marks an option that --help leaves out."""

# What is chosen without the option stands in the help text, not as "default: None".
Count = Annotated[int | None, arg(metavar="N", help_behavior_hint="")]
Number = Annotated[float | None, arg(metavar="X", help_behavior_hint="")]
Numbers = Annotated[tuple[float, ...] | None, arg(metavar="X ...", help_behavior_hint="")]
Name = Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")]
Folder = Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")]
DataDir = Annotated[
    Path | None,
    arg(
        metavar="DIR",
        help="For downloads and decoded images [VITRAIL_DATA_DIR, or the user's cache]",
        help_behavior_hint="",
    ),
]
Pixels = Annotated[int | tuple[int, int] | None, arg(metavar="PIXELS", help_behavior_hint="")]
T = TypeVar("T")

TRAIN_DEFAULTS = TrainConfig()

DATA_HELP = (
    "digits, shapes, mnist, fashion-mnist, cifar10, cifar100, or a folder, .zip or .tar with a folder of images per "
    "class. Images of several sizes: shorter side resized, then centre crop."
)


@dataclass(frozen=True)
class DataOptions:
    """What `train` and `compare` share."""

    data: Positional[Annotated[str, arg(help=DATA_HELP, help_behavior_hint="")]]
    epochs: Count = None
    """Passes over the training images [from their number]"""
    batch_size: Count = None
    """Images per step [from their number]"""
    lr: Number = None
    """Peak learning rate [from optimizer and model]"""
    train_subset: Count = None
    """Train on N images, every class in proportion [all]"""
    test_subset: Count = None
    """Test on N images [all]"""
    image_size: Pixels = None
    """One number, or height and width [from images and model]"""
    seed: Count = None
    """Of initialisation and order, not of the split [0]"""
    out: Folder = None
    """A new or empty directory [the first free one in runs/]"""
    data_dir: DataDir = None
    optimizer: Annotated[Literal["adam", "adamw", "sgd", "muon"] | None, arg(help_behavior_hint=""), RARE] = None
    """[muon for a ViT of width 128 or more, else adamw]"""
    subset_order: Annotated[Literal["stratified", "first"], RARE] = "stratified"
    """A subset is a seeded sample with every class in proportion, or simply the first N"""
    val_split: Annotated[Literal["train", "test"], RARE] = "train"
    """Validate on held-out training images, or on the test images, as some papers do"""
    val_fraction: Annotated[float, arg(metavar="X"), RARE] = 0.1
    """The share of the training images that validates; of all images where there is no split yet"""
    split_seed: Annotated[int, arg(metavar="N"), RARE] = 0
    """Of subsets and splits"""
    mean: Annotated[Numbers, RARE] = None
    """Per channel, of pixels in 0..1 [measured]"""
    std: Annotated[Numbers, RARE] = None
    """Likewise [measured]"""
    augment: Annotated[bool, RARE] = True
    """Random crops, and mirroring of colour images, from 5 epochs on; or nothing of the kind"""
    track: Annotated[Literal["none", "tensorboard"] | None, arg(help_behavior_hint=""), RARE] = None
    """Also write TensorBoard's files [none]"""

    def configs(self, train: TrainConfig) -> tuple[DataConfig, TrainConfig]:
        """The data's configuration, and `train` with the flat options laid over it."""
        data = {f.name: getattr(self, f.name) for f in fields(DataConfig) if f.name != "source"}
        flat = {name: getattr(self, name) for name in ("epochs", "batch_size", "lr", "optimizer", "seed", "track")}
        train = replace(train, **{name: value for name, value in flat.items() if value is not None})
        return DataConfig(self.data, **data), train


def is_augmented(train: TrainConfig) -> bool:
    return train.augment != NO_AUGMENTATION


def augmented(argv: Sequence[str], train: TrainConfig) -> TrainConfig:
    """`train` as `--augment` or `--no-augment` has it, before parsing: all of `--train.augment` is laid over that."""
    wanted = [argument == "--augment" for argument in argv if argument in ("--augment", "--no-augment")]
    if not wanted or wanted[-1] == is_augmented(train):
        return train
    return replace(train, augment=AugmentConfig() if wanted[-1] else NO_AUGMENTATION)


def parse(kind: type[T], argv: Sequence[str], verb: str, default: T | None = None) -> T:
    """Arguments of a verb, laid over `default`. Help exits 0; raises InputError in one line for anything wrong."""
    errors = io.StringIO()
    if "--help" in argv or "-h" in argv:
        kind = _without_rare(kind)
    argv = ["--help" if argument == "--help-all" else argument for argument in argv]
    given = tyro.MISSING_NONPROP if default is None else default
    read = partial(tyro.cli, kind, prog=f"vitrail {verb}", default=given, config=(PositionalMetavarFromFieldName,))
    try:
        with contextlib.redirect_stderr(errors):
            return read(args=argv)
    except SystemExit as stop:
        if stop.code == 0:
            raise
        said = _first_sentence(errors.getvalue())
        if unknown := re.match(r"Unrecognized options: (--[\w.-]+)", said):
            with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):
                read(args=["--help"])
            known = re.findall(r"--[a-z][\w.-]*", shown.getvalue())
            raise InputError(f"{said}{_meant(unknown[1], known)}; see 'vitrail {verb} --help-all'") from None
        raise InputError(f"{said}; see 'vitrail {verb} --help'") from None


def _meant(unknown: str, known: Sequence[str]) -> str:
    """An option that is called so in a group, or else one that is spelled alike."""
    grouped = [name for name in known if name.rpartition(".")[2] == unknown.removeprefix("--")]
    near = grouped or difflib.get_close_matches(unknown, known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _first_sentence(box: str) -> str:
    """What tyro's box of several lines says, in one line."""
    lines = [line.strip("│ ").strip() for line in box.splitlines()]
    lines = [line for line in lines if line and line[0] not in "╭╰"]
    if len(lines) > 1 and set(lines[1]) == {"-"}:
        # Where the terminal has no lines to draw a box with, its title comes first.
        lines = lines[2:]
    said: list[str] = []
    for line in lines:
        if set(line) <= set("-─") or line.startswith(("Got errors", "Argument helptext")):
            break
        said.append(line)
    # What is missing is named; its help would fill the line.
    return re.sub(r"^(Missing from [^:]+: \S+) .*", r"\1", " ".join(said)).rstrip(".")


def _without_rare(kind: type[T]) -> type[T]:
    """A class of its own: the given one must go on to have its options, for whoever parses after help was shown."""
    rare = {
        name: Annotated[annotation, Suppress]
        for base in kind.__mro__
        for name, annotation in inspect.get_annotations(base).items()
        if RARE in getattr(annotation, "__metadata__", ())
    }
    return type(kind.__name__, (kind,), {"__annotations__": rare, "__doc__": kind.__doc__})


def hyphenated(argv: Sequence[str]) -> list[str]:
    """Options with hyphens where they were written with underscores, which tyro takes as well."""
    return [re.sub(r"^--[^=]+", lambda name: name[0].replace("_", "-"), argument) for argument in argv]


def option(argv: Sequence[str], name: str) -> str | None:
    """The last value of `--name value` or `--name=value`, before parsing: it decides what the other options are."""
    found = None
    for i, argument in enumerate(argv):
        if argument == name and i + 1 < len(argv):
            found = argv[i + 1]
        if argument.startswith(f"{name}="):
            found = argument.split("=", 1)[1]
    return found


def renamed(argv: Sequence[str], name: str, new: str) -> list[str]:
    """The last `name` with the numbers that follow it, under a new name; nothing where no number does."""
    found: list[str] = []
    for i, argument in enumerate(argv):
        if argument == name:
            found = list(itertools.takewhile(str.isdecimal, argv[i + 1 :]))
        if argument.startswith(f"{name}="):
            found = [argument.split("=", 1)[1]]
    return [new, *found] if all(map(str.isdecimal, found)) and found else []
