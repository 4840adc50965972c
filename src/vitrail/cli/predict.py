"""`vitrail predict`: class probabilities of images, and how far to trust them."""

import csv
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from vitrail.cli.options import parse
from vitrail.errors import InputError, RunError
from vitrail.text import listed, plural, shown

if TYPE_CHECKING:
    from vitrail.experiments.answering import Answer

_NAMES_SHOWN = 10


@dataclass(frozen=True)
class Predict:
    run: Positional[Path]
    """The directory of a run."""
    files: Positional[Annotated[tuple[Path, ...], arg(metavar="IMAGE [IMAGE ...]", help_behavior_hint="")]]
    """Images, folders of images, or patterns such as 'photos/*.jpg'."""
    top: Annotated[int, arg(metavar="N")] = 5
    """The most probable classes to show."""
    coverage: Annotated[int, arg(metavar="PERCENT")] = 90
    """How often the true class is in the set of classes, in whole per cent."""
    raw: bool = False
    """The model's own probabilities, not calibrated."""
    json: bool = False
    """Print JSON: one object per line and file."""
    out: Annotated[Path | None, arg(metavar="FILE.csv", help_behavior_hint="")] = None
    """Write a table of all images instead; the file must be new."""


def predict(argv: Sequence[str]) -> None:
    """Class probabilities of images, the set of classes that has the true one, and images unlike the training images.

    An image that cannot be read is named and counted, and the others are answered; the exit code then is 1.
    """
    options = parse(Predict, argv, predict)
    if not options.files:
        raise InputError("no images were given; see 'vitrail predict --help'")
    if options.top < 1:
        raise InputError(f"--top is {options.top}: it must be at least 1")
    if not 1 <= options.coverage <= 99:
        raise InputError(f"--coverage is {options.coverage}: it must be from 1 to 99 per cent")
    if options.json and options.out:
        raise InputError("--json prints, and --out writes a table: name one of them")
    from vitrail.data.pictures import pictures
    from vitrail.progress import console, say, track, warn
    from vitrail.runs.comparison import Comparison
    from vitrail.runs.directory import Run

    # What can be wrong with the arguments is found before torch is imported, which takes seconds: reading `info` raises
    # where there is no run. Of a comparison, `load` says below that it is one.
    if not Comparison(options.run).finished:
        _ = Run(options.run).info
    if options.out and (options.out.exists() or not options.out.parent.is_dir()):
        reason = "is there already" if options.out.exists() else "lies in no folder that is there"
        raise InputError(f"{shown(str(options.out))} {reason}: name another --out")
    files, passed_over = pictures(options.files)
    from vitrail.classifier import load
    from vitrail.experiments.answering import answers, lacking

    classifier = load(options.run)
    if lacks := lacking(Run(options.run), classifier):
        warn(f"vitrail: {lacks}")
    # What a program reads is answers alone.
    tracked = track("predicting", len(files), "images") if options.out or console.is_terminal else nullcontext(_nothing)
    broken = unlike = 0
    with _written(options) as write, tracked as advance:
        for answer in answers(classifier, files, options.top, options.coverage, options.raw):
            if answer.error:
                warn(f"vitrail: {shown(str(answer.file))}: {answer.error}")
            broken, unlike = broken + bool(answer.error), unlike + bool(answer.unlike)
            write(answer)
            advance()
    if options.out:
        few = f", {unlike:,} of them unlike the training images" if classifier.trust else ""
        say(f"answered {plural(len(files) - broken, 'image')}{few}")
        say(f"wrote {options.out}")
    if passed_over:
        warn(f"vitrail: passed over {plural(passed_over, 'file that is no image', 'files that are no images')}")
    if broken:
        raise RunError(f"{broken:,} of {plural(len(files), 'image')} could not be read")


def _nothing(n: int = 1, note: str = "") -> None:
    pass


@contextmanager
def _written(options: Predict) -> Iterator[Callable[["Answer"], None]]:
    """Where answers go: to the screen, as JSON, or into a table that is there when it is whole."""
    if options.out is None:
        yield lambda answer: _print_json(answer, options) if options.json else _print(answer, options)
        return
    from vitrail.files import TEMPORARY

    temporary = options.out.with_name(f"{TEMPORARY}{options.out.name}-{os.getpid()}")
    try:
        with temporary.open("x", encoding="utf-8", errors="backslashreplace", newline="") as file:
            rows = csv.writer(file)
            more = [f"{column}_{k}" for k in range(2, options.top + 1) for column in ("class", "probability")]
            rows.writerow(["file", "class", "probability", "set", "unlike", "error", *more])
            yield lambda answer: rows.writerow(_row(answer))
        os.replace(temporary, options.out)
    except OSError as error:
        raise RunError(f"{shown(str(options.out))} could not be written: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _row(answer: "Answer") -> list[str]:
    if answer.error:
        return [str(answer.file), "", "", "", "", answer.error]
    (name, probability), *more = answer.ranked
    among = "" if answer.among is None else "|".join(name.replace("|", "\\|") for name in answer.among)
    unlike = "" if answer.unlike is None else "yes" if answer.unlike else "no"
    rest = [cell for name, probability in more for cell in (name, f"{probability:.6g}")]
    return [str(answer.file), name, f"{probability:.6g}", among, unlike, "", *rest]


def _print_json(answer: "Answer", options: Predict) -> None:
    content: dict[str, object] = {"file": str(answer.file)}
    if answer.error:
        content["error"] = answer.error
    else:
        content["predictions"] = [{"class": name, "probability": share} for name, share in answer.ranked]
        content |= {"set": answer.among, "coverage": options.coverage, "unlike": answer.unlike}
    print(json.dumps(content, ensure_ascii=False))


def _print(answer: "Answer", options: Predict) -> None:
    from vitrail.progress import say

    if answer.error:
        return
    say(shown(str(answer.file)))
    for name, probability in answer.ranked:
        say(f"  {probability:7.2%}  {shown(name)}")
    if answer.unlike:
        say("  unlike the training images: how often such answers are right is not known")
    elif answer.among is not None:
        say(f"  in {options.coverage} % of such images the truth is among: {listed(answer.among, _NAMES_SHOWN)}")
