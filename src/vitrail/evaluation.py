"""Measuring a trained model again: on its own test images, or on other data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from vitrail import files
from vitrail.classifier import load, predict_logits
from vitrail.data.dataset import ImageDataset
from vitrail.data.layout import TEST
from vitrail.data.sources import KNOWN, open_source
from vitrail.errors import InputError
from vitrail.progress import track
from vitrail.runs import hold_test, reopen
from vitrail.training import metrics
from vitrail.training.hardware import choose_device


def evaluate_run(directory: Path) -> tuple[Path, dict[str, Any]]:
    """The run's own test, measured again: the file written and its content. Raises InputError for an unfinished run."""
    path = directory / "evaluation.json"
    prepared = reopen(directory, to_train=False)
    if not path.is_file():
        raise InputError(f"{directory} is not finished: 'vitrail resume {directory}' trains it to its end and tests it")
    hold_test(prepared, directory)
    return path, dict(files.read_json(path))


def evaluate_on(directory: Path, data: str, data_dir: Path | None = None) -> tuple[Path, dict[str, Any]]:
    """Other images: the test split of `data` where it has one, else all of it.

    Raises InputError where `data` has a class that the model does not know.
    """
    classifier = load(directory)
    source = open_source(data, data_dir)
    unknown = [name for name in source.class_names if name not in classifier.class_names]
    if unknown:
        raise InputError(
            f"{data} has the class {unknown[0]!r}, which the model of {directory} does not know: "
            f"it knows {', '.join(classifier.class_names[:10])}"
        )
    place = np.array([classifier.class_names.index(name) for name in source.class_names])
    loaded = source.load(classifier.preprocessing.image_size, classifier.preprocessing.channels)
    dataset = ImageDataset(loaded.images, place[loaded.labels])
    has_test = source.split is not None and bool((source.split == TEST).any())
    indices = np.flatnonzero(source.split == TEST) if has_test else np.arange(len(dataset))
    model = classifier.model.to(choose_device("auto"))
    with track("evaluating", len(indices), "images") as advance:
        logits = predict_logits(model, dataset, indices, classifier.preprocessing, advance=advance)
    result = {
        "split": "test" if has_test else "all",
        "data": data if data in KNOWN else str(Path(data).resolve()),
        **metrics.evaluate(logits, dataset.labels[indices], classifier.class_names),
    }
    path, number = directory / f"evaluation-{source.name}.json", 1
    while path.is_file() and files.read_json(path).get("data") != result["data"]:
        number += 1
        path = directory / f"evaluation-{source.name}-{number}.json"
    files.write_json(path, result)
    return path, result
