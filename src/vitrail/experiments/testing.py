"""Measuring a trained model: once on the test images that were held out, or on other data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vitrail import files
from vitrail.classifier import Classifier, load, predict_logits
from vitrail.configs import LayoutKind
from vitrail.data.argument import lasting
from vitrail.data.dataset import ImageDataset
from vitrail.data.layout import TEST
from vitrail.data.sources import open_source
from vitrail.data.splits import spread_over
from vitrail.data.tones import misfit
from vitrail.errors import InputError
from vitrail.experiments.resolve import Prepared
from vitrail.hardware import choose_device
from vitrail.inspection import summaries
from vitrail.progress import track, warn
from vitrail.runs.directory import Run, Samples
from vitrail.runs.layout import EVALUATION, INSPECTION, SAMPLES, on_other_data
from vitrail.text import one_form, quoted
from vitrail.training import metrics

_SAMPLES = 12
_MISTAKES = 16
_SUMMARIZED = 200
_SUMMARIZED_OF_PAIR = 512


def run_test(
    directory: Path, classifier: Classifier, prepared: Prepared, check: Callable[[], None] = lambda: None
) -> None:
    """The held-out test, in float32: `evaluation.json`, and the pictures that the report shows.

    The classifier is the one that is stored there; `check` is asked after every batch whether to go on.
    """
    config, dataset, test = prepared.config, prepared.dataset, prepared.splits.test
    torch.set_num_threads(config.train.threads or torch.get_num_threads())
    model = classifier.model.to(torch.device(config.train.device))
    with track("testing", len(test), "images") as advance:

        def advance_and_check(n: int) -> None:
            advance(n)
            check()

        logits = predict_logits(model, dataset, test, classifier.preprocessing, advance=advance_and_check)
    labels = dataset.labels[test]
    _samples(dataset, test, prepared.image_names, logits).write(directory)
    files.write_json(
        directory / EVALUATION,
        {
            "split": "test",
            "val_split": config.data.val_split,
            **metrics.evaluate(logits, labels, classifier.class_names),
        },
    )


def store_summary(directory: Path, classifier: Classifier, prepared: Prepared) -> None:
    """What the report's model section shows of a tested model, from a spread of its test images: `INSPECTION`."""
    classifier.model.to(torch.device(prepared.config.train.device))
    dataset, chosen = prepared.dataset, spread_over(prepared.splits.test, _SUMMARIZED)
    samples = _stored_samples(directory).images
    summaries.store(
        directory / INSPECTION,
        summaries.summarize_model(classifier, dataset.read(chosen), dataset.labels[chosen]),
        summaries.summarize_samples(classifier, samples),
    )


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


def evaluate_on(directory: Path, data: str, data_dir: Path | None = None, layout: LayoutKind = "auto") -> Path:
    """Other images: the test split of `data` where it has one, else all of it. Returns the file written.

    Raises InputError where `data` has a class that the model does not know, or is what it was trained on.
    """
    classifier = load(directory)
    files.check_writable(directory)
    dataset, indices, name = labelled(classifier, directory, data, data_dir, layout)
    model = classifier.model.to(choose_device("auto"))
    with track("evaluating", len(indices), "images") as advance:
        logits = predict_logits(model, dataset, indices, classifier.preprocessing, advance=advance)
    result = {
        "split": "test" if len(indices) < len(dataset) else "all",
        "data": lasting(data),
        **metrics.evaluate(logits, dataset.labels[indices], classifier.class_names),
    }
    path = on_other_data(directory / EVALUATION, name, lasting(data))
    files.write_json(path, result)
    return path


def labelled(
    classifier: Classifier, directory: Path, data: str, data_dir: Path | None, layout: LayoutKind = "auto"
) -> tuple[ImageDataset, NDArray[np.int64], str]:
    """Images with the classifier's labels, which to measure it on (the test split, or without one all), their name.

    Folders that the run was trained on are read as they were then, unless `layout` says otherwise.

    Raises InputError where the data has a class that the classifier does not know, or the run of the directory was
    trained on some of all its images.
    """
    own = Run(directory).data if lasting(data) == Run(directory).data.get("source") else {}
    source = open_source(data, data_dir, own.get("layout", layout) if layout == "auto" else layout)
    if source.split is None and own:
        raise InputError(
            f"{directory} was trained on images of {source.name}: leave out --data to measure on those held out"
        )
    known = [one_form(name) for name in classifier.class_names]
    unknown = [name for name in source.class_names if one_form(name) not in known]
    if unknown:
        raise InputError(
            f"{source.name} has the class {unknown[0]!r}, which the model does not know: "
            f"it knows {'; '.join(classifier.class_names[:10])}"
        )
    if said := misfit(source.headers, classifier.preprocessing.tones):
        warn(f"{source.name}: {said}")
    place = np.array([known.index(one_form(name)) for name in source.class_names])
    loaded = source.load(classifier.preprocessing.framing, classifier.preprocessing.channels)
    is_test = np.zeros(len(loaded), bool) if source.split is None else source.split == TEST
    indices = np.flatnonzero(is_test) if is_test.any() else np.arange(len(loaded))
    return ImageDataset(loaded.images, place[loaded.labels]), indices, source.name


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
