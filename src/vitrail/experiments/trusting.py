"""How far a finished run's answers are to be trusted: fitted on its validation images, measured on its test."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numpy import ndarray

from vitrail import files
from vitrail.classifier import Classifier, features_read, predict_logits
from vitrail.data import shapes
from vitrail.data.arrays import read_digits
from vitrail.data.dataset import ImageDataset
from vitrail.data.decoding import Framing
from vitrail.data.pixels import resized
from vitrail.data.splits import spread_over
from vitrail.errors import InputError
from vitrail.estimate import wilson_interval
from vitrail.experiments.resolve import Prepared
from vitrail.files import Json
from vitrail.progress import track, warn
from vitrail.runs.directory import Run, Samples
from vitrail.runs.layout import MARGINS, SUSPECT_PICTURES, SUSPECTS
from vitrail.runs.margins import Margins
from vitrail.runs.trust import COVERAGES, LIKE_SHARE, Trust, softmax
from vitrail.runs.weights import latest_weights
from vitrail.trust.calibration import calibration_error, fit_temperature, reliability
from vitrail.trust.conformal import least_probability, probability_of_truth
from vitrail.trust.suspects import suspects
from vitrail.trust.unlike import auroc, fit_spread

_LEARNED, _TESTED, _OTHERS = 2000, 1000, 300
"""Images that say what training images are like, and test images and those of each other data to tell apart by it."""
_MEASURED = (80, 90, 95, 99)
_MOST_SUSPECTS, _PICTURED = 1000, 24
_Outputs = tuple[Float[ndarray, "n class"], Float[ndarray, "n d"]]
"""Logits and features."""


def store_trust(
    directory: Path, classifier: Classifier, prepared: Prepared, test_logits: Float[ndarray, "n class"] | None = None
) -> None:
    """`trust.json`, and the training images whose label is doubtful, of a tested run; said where there is nothing.

    The classifier is the one that is stored there, and `test_logits` are its own of all test images.
    """
    classifier.model.to(torch.device(prepared.config.train.device))
    _store_suspects(directory, classifier, prepared)
    if prepared.config.data.val_split == "test":
        warn("probabilities stay the model's own: its validation images are those of the test")
        return
    dataset, splits = prepared.dataset, prepared.splits

    def outputs(indices: Int[ndarray, " n"], of: ImageDataset = dataset) -> _Outputs:
        with features_read(classifier.model) as features:
            logits = _logits(classifier, of, indices)
        return logits, torch.cat(features).numpy()

    found = fitted(
        *outputs(splits.val),
        dataset.labels[splits.val],
        outputs(spread_over(splits.train, _LEARNED))[1],
        latest_weights(Run(directory).checkpoints),
    )
    if test_logits is None:
        test_logits = _logits(classifier, dataset, splits.test)
    measured = on_test(found, test_logits, dataset.labels[splits.test])
    if found.farthest is not None:
        others = {
            name: outputs(np.arange(len(images)), ImageDataset(images, np.zeros(len(images), np.int64)))[1]
            for name, images in _other_images(prepared).items()
        }
        measured |= beside_others(found, outputs(spread_over(splits.test, _TESTED))[1], others)
    dataclasses.replace(found, measured=measured).write(directory)


def fitted(
    logits: Float[ndarray, "n class"],
    features: Float[ndarray, "n d"],
    labels: Int[ndarray, " n"],
    learned: Float[ndarray, "m d"],
    weights: str | None = None,
) -> Trust:
    """From validation images, which the weights were not fitted on, and the features of training images."""
    temperature = fit_temperature(logits, labels)
    of_truth = probability_of_truth(softmax(logits / (temperature or 1.0)), labels)
    least = tuple(least_probability(of_truth, coverage / 100) for coverage in COVERAGES)
    spread = fit_spread(learned)
    nearness = least_probability(-spread.distance(features), LIKE_SHARE)
    return Trust(weights, len(labels), temperature, least, None if nearness is None else -nearness, spread=spread)


def on_test(trust: Trust, logits: Float[ndarray, "n class"], labels: Int[ndarray, " n"]) -> Json:
    """Calibration before and after, and what the sets cover."""
    probabilities = trust.probabilities(logits)
    return {
        "images": len(labels),
        "raw": _calibration(softmax(logits), labels),
        "calibrated": _calibration(probabilities, labels),
        "sets": [_of_sets(trust, probabilities, labels, coverage) for coverage in _MEASURED],
    }


def beside_others(trust: Trust, features: Float[ndarray, "n d"], others: Mapping[str, Float[ndarray, "m d"]]) -> Json:
    """How well test images are told from images of other data, by the names of those."""
    assert trust.spread is not None
    distances = trust.spread.distance(features)

    def marked(of: Float[ndarray, " n"]) -> list[float]:
        return _share(of > (trust.farthest or np.inf))

    found = []
    for name, of in others.items():
        apart = trust.spread.distance(of)
        found.append({"data": name, "images": len(of), "marked": marked(apart), "auroc": [*auroc(distances, apart)]})
    return {"marked": marked(distances), "others": found}


def _calibration(probabilities: Float[ndarray, "n class"], labels: Int[ndarray, " n"]) -> Json:
    images, confidence, accuracy = reliability(probabilities, labels)
    bins = zip(images.tolist(), confidence.tolist(), accuracy.tolist(), strict=True)
    return {"ece": calibration_error(probabilities, labels), "bins": [list(one) for one in bins if one[0]]}


def _of_sets(trust: Trust, probabilities: Float[ndarray, "n class"], labels: Int[ndarray, " n"], coverage: int) -> Json:
    sets = trust.sets(probabilities, coverage)
    return {
        "coverage": coverage,
        "covered": _share(sets[np.arange(len(labels)), labels]),
        "classes": float(sets.sum(axis=1).mean()),
        "single": float((sets.sum(axis=1) == 1).mean()),
    }


def _share(of: ndarray) -> list[float]:
    """And its 95 % interval."""
    share = float(of.mean())
    return [share, *wilson_interval(share, len(of))]


def _logits(classifier: Classifier, dataset: ImageDataset, indices: Int[ndarray, " n"]) -> Float[ndarray, "n class"]:
    with track("calibrating", len(indices), "images") as advance:
        return predict_logits(classifier.model, dataset, indices, classifier.preprocessing, advance=advance)


def _other_images(prepared: Prepared) -> dict[str, UInt8[ndarray, "n c h w"]]:
    """What the model has not learned, by name: two data sets that are always at hand, and its own pixels without order.

    Left out is what it was trained on.
    """
    framing, channels = prepared.preprocessing.framing, prepared.preprocessing.channels
    own = prepared.dataset.read(spread_over(prepared.splits.test, _OTHERS))
    flat = own.reshape(*own.shape[:2], -1)
    order = np.random.default_rng(0).permutation(flat.shape[2])
    digits = read_digits()[1].images[:_OTHERS]
    others = {
        "digits": lambda: resized(digits, framing, channels),
        "shapes": lambda: resized(
            shapes.render(shapes.scenes(_OTHERS), framing).images, Framing(framing.size), channels
        ),
        "its own test images with their pixels shuffled": lambda: flat[..., order].reshape(own.shape),
    }
    return {name: images() for name, images in others.items() if name != prepared.config.data.source}


def _store_suspects(directory: Path, classifier: Classifier, prepared: Prepared) -> None:
    """`suspects.csv` of the training images that the model learned against, and pictures of the first."""
    try:
        margins = Margins.read(directory / MARGINS)
    except InputError as error:
        warn(f"no images with a doubtful label are shown: {error}")
        return
    if margins is None or len(margins.last) != len(prepared.dataset):
        return
    dataset, mean = prepared.dataset, margins.mean()
    ranked = suspects(mean, _MOST_SUSPECTS)
    probabilities = softmax(_logits(classifier, dataset, ranked)) if len(ranked) else np.zeros((0, 0))
    names, classes = prepared.image_names, classifier.class_names
    written = io.StringIO(newline="")
    rows: Any = csv.writer(written)
    rows.writerow(["rank", "file", "label", "predicted", "probability_of_label", "margin"])
    for rank, (at, row) in enumerate(zip(ranked.tolist(), probabilities, strict=True), 1):
        label = int(dataset.labels[at])
        own, predicted = classes[label], classes[int(row.argmax())]
        rows.writerow([rank, names[at], own, predicted, f"{row[label]:.6g}", f"{mean[at]:.4g}"])
    first = ranked[:_PICTURED]
    pictures = Samples(
        images=dataset.read(first),
        labels=dataset.labels[first],
        probabilities=probabilities[: len(first)].astype(np.float32),
        index=first,
        mistake=np.ones(len(first), np.uint8),
        image_names=tuple(names[at] for at in first),
    )
    table = written.getvalue().encode("utf-8", errors="backslashreplace")
    files.write_together({directory / SUSPECTS: table, directory / SUSPECT_PICTURES: pictures.to_bytes()})
