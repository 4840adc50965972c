"""What a model says of many images, and how far that is to be trusted: in fixed memory, decoding on all cores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vitrail.classifier import Classifier, features_read
from vitrail.data.pictures import decoded
from vitrail.errors import InputError
from vitrail.runs.directory import Run
from vitrail.runs.trust import softmax
from vitrail.text import quoted, shown

_AT_ONCE = 256


@dataclass(frozen=True)
class Answer:
    """To one image."""

    file: Path
    error: str = ""
    """Why it cannot be read; then there is nothing else."""
    ranked: tuple[tuple[str, float], ...] = ()
    """The most probable classes with their probabilities."""
    among: tuple[str, ...] | None = None
    """The set of classes that has the true one, the most probable first; None where no set is known."""
    unlike: bool | None = None
    """Whether it is unlike the training images; None where that is not known."""


def answers(classifier: Classifier, files: Sequence[Path], top: int, coverage: int, raw: bool) -> Iterator[Answer]:
    """To images in their order, of each the `top` classes; for `coverage` and `raw` see `Trust.sets` and `predict`."""
    names, trust, at = classifier.class_names, classifier.trust, 0
    for pictures in decoded(files, classifier.preprocessing, _AT_ONCE):
        read = [picture for picture in pictures if not isinstance(picture, InputError)]
        if read:
            # A model that is adopted without a head has no last layer.
            reading: AbstractContextManager[list[torch.Tensor]] = nullcontext([])
            with features_read(classifier.model) if trust else reading as features:
                inputs = classifier.preprocessing.normalize(torch.from_numpy(np.stack(read)))
                logits = classifier.logits(inputs).numpy()
            probabilities = trust.probabilities(logits) if trust else softmax(logits)
            sets = trust.sets(probabilities, coverage) if trust else None
            unlike = trust.unlike(torch.cat(features).numpy()) if trust else None
            shares = softmax(logits) if raw else probabilities
        place = 0
        for picture in pictures:
            file, at = files[at], at + 1
            if isinstance(picture, InputError):
                yield Answer(file, str(picture).removeprefix(f"{shown(str(file))}: "))
                continue
            order = np.argsort(-shares[place], kind="stable").tolist()
            yield Answer(
                file,
                ranked=tuple((names[k], float(shares[place, k])) for k in order[:top]),
                among=None if sets is None else tuple(names[k] for k in order if sets[place, k]),
                unlike=None if unlike is None else bool(unlike[place]),
            )
            place += 1


def lacking(run: Run, classifier: Classifier) -> str:
    """What cannot be said of the answers of a model, why, and how to mend it; empty where nothing lacks."""
    trust = classifier.trust
    if trust is None:
        why = "it was not trained here, and there are no validation images to calibrate it on"
        if run.trained_here:
            why = f"'vitrail resume {quoted(run.directory)}' calibrates it"
        if run.trained_here and run.validates_on_test:
            why = "its validation images are those of the test"
        return f"the probabilities are the model's own, without a set of classes: {why}"
    if trust.temperature is None:
        return f"the probabilities are the model's own: too few mistakes on {trust.images:,} validation images"
    return ""
