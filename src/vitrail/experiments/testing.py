"""Measuring a trained model on the test images that were held out, and what the report shows of it on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vitrail import files
from vitrail.classifier import Classifier, load, predict_logits
from vitrail.data.dataset import ImageDataset
from vitrail.data.splits import spread_over
from vitrail.errors import InputError
from vitrail.experiments.resolve import Prepared
from vitrail.hardware import choose_device
from vitrail.inspection import summaries
from vitrail.progress import track
from vitrail.runs.directory import Run, Samples
from vitrail.runs.layout import INSPECTION, SAMPLES
from vitrail.text import quoted
from vitrail.training import metrics

_SAMPLES = 12
_MISTAKES = 16
_SUMMARIZED = 200
_SUMMARIZED_OF_PAIR = 512


def run_test(
    classifier: Classifier, prepared: Prepared, check: Callable[[], None] = lambda: None
) -> tuple[Samples, dict[str, Any]]:
    """The held-out test, in float32: the pictures that the report shows, and what `evaluation.json` holds.

    `check` is asked after every batch whether to go on.
    """
    config, dataset, test = prepared.config, prepared.dataset, prepared.splits.test
    torch.set_num_threads(config.train.threads or torch.get_num_threads())
    model = classifier.model.to(torch.device(config.train.device))
    with track("testing", len(test), "images") as advance:

        def advance_and_check(n: int) -> None:
            advance(n)
            check()

        logits = predict_logits(model, dataset, test, classifier.preprocessing, advance=advance_and_check)
    return _samples(dataset, test, prepared.image_names, logits), {
        "split": "test",
        "val_split": config.data.val_split,
        **metrics.evaluate(logits, dataset.labels[test], classifier.class_names),
    }


def summary(classifier: Classifier, prepared: Prepared, samples: Samples) -> bytes:
    """What the report's model section shows of a tested model, from a spread of its test images: `INSPECTION`."""
    classifier.model.to(torch.device(prepared.config.train.device))
    dataset, chosen = prepared.dataset, spread_over(prepared.splits.test, _SUMMARIZED)
    return summaries.to_bytes(
        summaries.summarize_model(classifier, dataset.read(chosen), dataset.labels[chosen]),
        summaries.summarize_samples(classifier, samples.images),
    )


def store_summary(directory: Path, classifier: Classifier, prepared: Prepared) -> None:
    """`summary` of a run whose test is stored."""
    files.write_bytes(directory / INSPECTION, summary(classifier, prepared, _stored_samples(directory)))


def store_pair_summary(path: Path, names: tuple[str, str], directories: tuple[Path, Path], prepared: Prepared) -> None:
    """What a comparison's report shows of two models side by side, over test images of both; the file is `path`."""
    pair = load(directories[0]), load(directories[1])
    for classifier in pair:
        classifier.model.to(choose_device("auto"))
    samples = _stored_samples(directories[0])
    first = samples.mistake == 0
    images = prepared.dataset.read(spread_over(prepared.splits.test, _SUMMARIZED_OF_PAIR))
    summaries.store(path, summaries.summarize_pair(names, pair, images, samples.images[first], samples.labels[first]))


def _stored_samples(directory: Path) -> Samples:
    with suppress(InputError):
        if samples := Run(directory).samples:
            return samples
    raise InputError(
        f"{directory / SAMPLES} is missing or damaged: 'vitrail evaluate {quoted(directory)}' makes it again"
    )


def _samples(
    dataset: ImageDataset, test: NDArray[np.int64], image_names: Sequence[str], logits: NDArray[np.float32]
) -> Samples:
    """A few test images, one class after another, and the surest mistakes, with their probabilities."""
    labels = dataset.labels[test]
    probabilities = metrics.softmax(logits)
    predicted = probabilities.argmax(axis=1)
    by_class = np.argsort(labels, kind="stable")
    _, starts = np.unique(labels[by_class], return_index=True)
    turn = np.arange(len(labels)) - np.repeat(starts, np.diff([*starts, len(labels)]))
    by_turn = by_class[np.argsort(turn, kind="stable")]
    wrong = np.flatnonzero(predicted != labels)
    surest = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")][:_MISTAKES]
    chosen = np.array([*by_turn[:_SAMPLES], *surest], dtype=np.int64)
    indices = test[chosen]
    return Samples(
        images=dataset.read(indices),
        labels=labels[chosen],
        probabilities=probabilities[chosen].astype(np.float32),
        index=indices,
        mistake=np.array([0] * min(_SAMPLES, len(by_turn)) + [1] * len(surest), dtype=np.uint8),
        image_names=tuple(image_names[i] for i in indices),
    )
