"""`vitrail predict`: class probabilities of images."""

import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from vitrail.cli.options import parse
from vitrail.errors import InputError

_AT_ONCE = 256


@dataclass(frozen=True)
class Predict:
    run: Positional[Path]
    """The directory of a run."""
    files: Positional[Annotated[tuple[Path, ...], arg(metavar="IMAGE [IMAGE ...]", help_behavior_hint="")]]
    """Images."""
    top: Annotated[int, arg(metavar="N")] = 5
    """The most probable classes to show."""
    json: bool = False
    """Print JSON: one object per line and file."""


def predict(argv: Sequence[str]) -> None:
    """Class probabilities of images."""
    options = parse(Predict, argv, predict)
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
