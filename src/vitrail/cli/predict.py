"""`vitrail predict`: class probabilities of images."""

import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from vitrail.cli.options import parse
from vitrail.errors import InputError, RunError

if TYPE_CHECKING:
    from vitrail.classifier import Classifier

_AT_ONCE = 256


@dataclass(frozen=True)
class Predict:
    run: Positional[Path]
    """The directory of a run."""
    files: Positional[Annotated[tuple[Path, ...], arg(metavar="IMAGE [IMAGE ...]", help_behavior_hint="")]]
    """Images, folders of images, or patterns such as 'photos/*.jpg'."""
    top: Annotated[int, arg(metavar="N")] = 5
    """The most probable classes to show."""
    json: bool = False
    """Print JSON: one object per line and file."""


def predict(argv: Sequence[str]) -> None:
    """Class probabilities of images.

    An image that cannot be read is named and counted, and the others are answered; the exit code then is 1.
    """
    options = parse(Predict, argv, predict)
    if not options.files:
        raise InputError("no images were given; see 'vitrail predict --help'")
    if options.top < 1:
        raise InputError(f"--top is {options.top}: it must be at least 1")
    from vitrail.data.pictures import pictures
    from vitrail.progress import console, track, warn
    from vitrail.runs.comparison import Comparison
    from vitrail.runs.directory import Run
    from vitrail.text import plural

    # What can be wrong with the arguments is found before torch is imported, which takes seconds: reading `info` raises
    # where there is no run. Of a comparison, `load` says below that it is one.
    if not Comparison(options.run).finished:
        _ = Run(options.run).info
    files, passed_over = pictures(options.files)
    from vitrail.classifier import load

    classifier = load(options.run)
    # What a program reads is answers alone.
    tracked = track("predicting", len(files), "images") if console.is_terminal else nullcontext(lambda n: None)
    broken = 0
    with tracked as advance:
        for start in range(0, len(files), _AT_ONCE):
            some = files[start : start + _AT_ONCE]
            broken += _answer(classifier, some, options.top, options.json)
            advance(len(some))
    if passed_over:
        warn(f"vitrail: passed over {plural(passed_over, 'file that is no image', 'files that are no images')}")
    if broken:
        raise RunError(f"{broken:,} of {plural(len(files), 'image')} could not be read")


def _answer(classifier: "Classifier", files: Sequence[Path], top: int, as_json: bool) -> int:
    """Print the answers to some images in their order; how many of them could not be read."""
    import numpy as np
    import torch

    from vitrail.progress import say, warn
    from vitrail.text import shown

    read, reasons = [], {}
    for at, file in enumerate(files):
        try:
            read.append(classifier.preprocessing.read(file))
        except InputError as error:
            reasons[at] = str(error)
            warn(f"vitrail: {error}")
    normalize = classifier.preprocessing.normalize
    answers = iter(classifier.predict(normalize(torch.from_numpy(np.stack(read)))).tolist() if read else ())
    for at, file in enumerate(files):
        if at in reasons:
            if as_json:
                reason = reasons[at].removeprefix(f"{shown(str(file))}: ")
                print(json.dumps({"file": str(file), "error": reason}, ensure_ascii=False))
            continue
        ranked = sorted(zip(next(answers), classifier.class_names, strict=True), reverse=True)[:top]
        if as_json:
            classes = [{"class": name, "probability": probability} for probability, name in ranked]
            print(json.dumps({"file": str(file), "predictions": classes}, ensure_ascii=False))
        else:
            say(shown(str(file)))
            for probability, name in ranked:
                say(f"  {probability:7.2%}  {shown(name)}")
    return len(reasons)
