"""Options: made of the configurations' fields, parsed once, and laid over what they change."""

import ast
import contextlib
import inspect
import io
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Required, TypedDict, TypeVar, get_args, get_origin, get_type_hints

import tyro
from tyro.conf import Positional, PositionalMetavarFromFieldName, Suppress, arg

from vitrail.cli.mistakes import explained
from vitrail.configs import NO_AUGMENTATION, RECOMMENDED, DataConfig, LayoutKind, Size, TrainConfig
from vitrail.configs.offered import EVERYDAY, FLAT
from vitrail.errors import InputError

T = TypeVar("T")
Verb = Callable[[Sequence[str]], None]
Given = dict[str, Any]
"""What was given on a command line, and nothing for what was not; a group of options is a dict of its own."""

OPTIONS_ALONE = "--options-alone"
"""A verb that is given this very object raises `OptionsOf`, and does nothing; typed, it is an unknown option."""


class OptionsOf(Exception):  # noqa: N818 (it is an answer)
    """What the arguments of a verb are parsed into."""

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.kind = kind


_METAVARS: dict[Any, str] = {
    **dict.fromkeys((str, str | None), "NAME"),
    **dict.fromkeys((int, int | None), "N"),
    **dict.fromkeys((float, float | None), "X"),
    **dict.fromkeys((int | Size, int | Size | None), "PIXELS"),
    **{tuple[str, ...]: "NAME ...", tuple[int, ...]: "N ...", tuple[float, ...] | None: "X ..."},
    tuple[float, float] | None: "LOW HIGH",
}


def field_docs(kind: type) -> dict[str, str]:
    """The docstrings of a configuration's fields, each in one line."""
    docs = {}
    for pair in pairwise(getattr(ast.parse(inspect.getsource(kind)).body[0], "body", ())):
        match pair:
            case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(text))):
                docs[name] = " ".join(text.split())
    return docs


# What is chosen without the option stands in the help text, not as "default: None".
Count = Annotated[int | None, arg(metavar="N", help_behavior_hint="")]
Name = Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")]
Pixels = Annotated[int | Size | None, arg(metavar="PIXELS", help_behavior_hint="")]
Folder = Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")]
_OUT = "A new or empty directory [the first free one in runs/]"
Out = Annotated[Path | None, arg(metavar="DIR", help=_OUT, help_behavior_hint="")]
_DATA_DIR = "For downloads and decoded images [VITRAIL_DATA_DIR, or the user's cache]"
DataDir = Annotated[Path | None, arg(metavar="DIR", help=_DATA_DIR, help_behavior_hint="")]
Data = Positional[Annotated[str, arg(metavar="DATA", help=field_docs(DataConfig)["source"], help_behavior_hint="")]]

Layout = Annotated[LayoutKind, arg(help=field_docs(DataConfig)["layout"], help_behavior_hint="")]


def option(kind: Any, text: str, value: Any = None) -> Any:
    """An option whose help ends with what is chosen without it: this value, or else what the text has in brackets."""
    words, _, chosen = text.removesuffix("]").partition(" [")
    if isinstance(value, bool):
        chosen = "on" if value else "off"
    elif value is not None:
        chosen = (" ".join(map(str, value)) or "none") if isinstance(value, tuple) else str(value)
    bare = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    hint = f"[{chosen}]" if chosen else ""
    return Annotated[kind, arg(help=words.removesuffix("."), metavar=_METAVARS.get(bare), help_behavior_hint=hint)]


def offered(kind: type, config: Any = None) -> dict[str, Any]:
    """An option for each field of a configuration; help shows the values of `config`, which is of that kind."""
    docs, hints, options = field_docs(kind), get_type_hints(kind, include_extras=True), {}
    for f in fields(kind):
        value = getattr(config, f.name, None)
        if is_dataclass(value) and not isinstance(value, type):
            made = group(offered(type(value), value), type(value).__doc__)
            for mark in getattr(hints[f.name], "__metadata__", ()):
                made = Annotated[made, mark]
            options[f.name] = Required[made]
        else:
            options[f.name] = option(hints[f.name], docs.get(f.name, ""), value)
    return options


def group(options: dict[str, Any], text: str | None = None) -> Any:
    """Options that parsing makes a dict of."""
    make: Any = TypedDict
    made = make("Options", options, total=False)
    made.__doc__ = text
    return made


def training_options(train: TrainConfig, data_is_required: bool = True) -> dict[str, Any]:
    """What `train` and `compare` share; help shows the values of `train`."""
    of_train = offered(TrainConfig, train)
    crops = option(
        bool, "Random crops, and what else keeps the class of these images, from 5 epochs on", _is_augmented(train)
    )
    return {
        **{name: made for name, made in of_train.items() if _marks(made)},
        **offered(DataConfig, DataConfig("")),
        "source": Required[Annotated[Data, EVERYDAY]] if data_is_required else Annotated[Data, EVERYDAY],
        "out": Annotated[Out, EVERYDAY],
        "data_dir": Annotated[DataDir, EVERYDAY],
        "augmented": Annotated[crops, arg(name="augment")],
        "train": Required[group(of_train, TrainConfig.__doc__)],
    }


def _is_augmented(train: TrainConfig) -> bool:
    return train.augment != NO_AUGMENTATION


def augmented(train: TrainConfig, given: Given) -> TrainConfig:
    """`train` as --augment or --no-augment has it: all of --train.augment is laid over that."""
    wanted = given.get("augmented", _is_augmented(train))
    if wanted == _is_augmented(train):
        return train
    return replace(train, augment=RECOMMENDED.augment if wanted else NO_AUGMENTATION)


def laid_over(config: T, given: Given) -> T:
    """`config` with what was given of its fields, and of those of the configurations in it."""
    changes = {f.name: given[f.name] for f in fields(config) if f.name in given}  # type: ignore[arg-type]
    nested = {name: laid_over(getattr(config, name), new) for name, new in changes.items() if isinstance(new, dict)}
    return replace(config, **{**changes, **nested})  # type: ignore[type-var]


def _marks(made: Any) -> set[str]:
    bare = get_args(made)[0] if get_origin(made) is Required else made
    return {mark for mark in getattr(bare, "__metadata__", ()) if mark in (EVERYDAY, FLAT)}


def parse_given(options: dict[str, Any], argv: Sequence[str], verb: Verb) -> Given:
    """What is given of these options. --help shows the everyday ones, --help-all all."""
    if "--help" in argv or "-h" in argv:
        options = {n: made if EVERYDAY in _marks(made) else Annotated[made, Suppress] for n, made in options.items()}
    return dict(parse(group(options), argv, verb))


def parse_known(kind: type[T], argv: Sequence[str], verb: Verb) -> T:
    """The arguments of that kind, whatever else is given: what decides how the other options start."""
    known: T = _read(kind, argv, verb, return_unknown_args=True, add_help=False)[0]
    return known


def parse(kind: type[T], argv: Sequence[str], verb: Verb) -> T:
    """The arguments of a verb, whose docstring is its help. Help exits 0; raises InputError for anything wrong."""
    if any(argument is OPTIONS_ALONE for argument in argv):
        raise OptionsOf(kind)
    found: T = _read(kind, argv, verb)
    return found


def _read(kind: Any, argv: Sequence[str], verb: Verb, **how: Any) -> Any:
    errors, shown, name = io.StringIO(), _Screen(), verb.__name__
    argv = ["--help" if argument in ("--help-all", "--help_all") else argument for argument in argv]
    read = partial(tyro.cli, kind, prog=f"vitrail {name}", config=(PositionalMetavarFromFieldName,))
    try:
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(shown):
            return read(args=argv, description=inspect.getdoc(verb), **how)
    except SystemExit as stop:
        if stop.code == 0:
            print(_folded(shown.getvalue()))
            raise
        said, known, see = _first_sentence(errors.getvalue()), [], f"vitrail {name} --help"
        if said.startswith(("Unrecognized", "Missing")):
            with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
                read(args=["--help"], description="")
            known = re.findall(r"--[a-z][\w.-]*", shown.getvalue())
            given = [argument.partition("=")[0].replace("_", "-") for argument in argv if argument.startswith("--")]
            if unknown := [option for option in given if option not in known]:
                # What follows an unknown option was taken for its value, and may be what is missing.
                said, see = f"Unrecognized options: {unknown[0]}", f"{see}-all"
        raise InputError(f"{explained(said, known)}; see '{see}'".replace("?;", "?")) from None


class _Screen(io.StringIO):
    """Keeps what is printed, in the colours and letters of the terminal that it is for."""

    encoding = property(lambda self: sys.__stdout__ and sys.__stdout__.encoding)

    def isatty(self) -> bool:
        return sys.__stdout__ is not None and sys.__stdout__.isatty()


def _folded(shown: str) -> str:
    """Help with its sentences in lines of the terminal's width, as its boxes are."""
    width, lines = shutil.get_terminal_size().columns, re.sub(r"\n{3,}", "\n\n", shown).splitlines()
    for i, line in enumerate(lines):
        plain = re.sub(r"\x1b\[[\d;]*m", "", line)
        if len(plain) > width:
            lines[i] = textwrap.fill(plain, width, break_on_hyphens=False)
    return "\n".join(lines)


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
