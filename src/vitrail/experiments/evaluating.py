"""A trained model measured again: on the test of its own run, or on other images, but on none that it has seen."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt64
from numpy import ndarray

from vitrail import files, hardware
from vitrail.classifier import Classifier, load, predict_logits
from vitrail.configs import LayoutKind
from vitrail.configs.serialization import run_from_json
from vitrail.data.argument import lasting, refuse_below_data
from vitrail.data.dataset import ImageDataset
from vitrail.data.layout import TEST
from vitrail.data.sources import Source, open_source
from vitrail.data.tones import misfit
from vitrail.errors import InputError
from vitrail.experiments.resolve import Prepared, hashes, is_data_of
from vitrail.experiments.run import reopen, require_finished, resolve_again
from vitrail.experiments.testing import run_test, summary
from vitrail.experiments.trusting import store_trust
from vitrail.progress import say, track, warn
from vitrail.runs.directory import Run
from vitrail.runs.layout import EVALUATION, INSPECTION, SAMPLES, on_other_data
from vitrail.text import one_form, plural
from vitrail.training import metrics


@dataclass(frozen=True, eq=False)
class Measured:
    """Images to measure a model on, with labels in its classes."""

    dataset: ImageDataset
    indices: Int[ndarray, " n"]
    """Of those that are measured."""
    split: str
    """"test" where the data has test images, else "all"."""
    left_out: int | None
    """How many the model has seen; None where that is not known."""


def evaluate(
    directory: Path,
    data: str | None = None,
    data_dir: Path | None = None,
    out: Path | None = None,
    layout: LayoutKind = "auto",
) -> Path:
    """Measure a model, and write what `evaluation.json` holds; the file written.

    Args:
        directory: of a run, or of a saved or adopted model.
        data: other images, of which those that the model has seen are left out; or where the run's own are now.
        data_dir: where downloads and decoded images are kept.
        out: a new or empty directory for the file; nothing then is written into `directory`.
        layout: what the folders of `data` are, where they can be meant several ways.

    Raises:
        InputError: `directory` is an unfinished run whose test is to come, or has no data of its own and none is
            given; the data cannot be used, has classes that the model does not know, or only images that it has seen.
    """
    run = Run(directory)
    refuse_below_data(out, run.data.get("source"))
    if out is None:
        files.check_writable(directory, "; write elsewhere by --out DIR")
    files.refuse_taken(out, "name another --out")
    source = other_source(run, data, data_dir, layout)
    if data is None or source is None:
        return _again(run, reopen(directory, to_train=False, data=data, data_dir=data_dir), out)
    classifier = load(directory)
    measured = measured_on(classifier, run, source, data)
    path = on_other_data(directory / EVALUATION, source.name, lasting(data))
    model = classifier.model.to(hardware.choose_device("auto"))
    with track("evaluating", len(measured.indices), "images") as advance:
        logits = predict_logits(model, measured.dataset, measured.indices, classifier.preprocessing, advance=advance)
    result = {
        "split": measured.split,
        "data": lasting(data),
        "left_out": measured.left_out,
        **metrics.evaluate(logits, measured.dataset.labels[measured.indices], classifier.class_names),
    }
    path = _place(directory, out) / (EVALUATION if out else path.name)
    files.write_json(path, result)
    return path


def _place(directory: Path, out: Path | None) -> Path:
    return files.claim(out, "name another --out") if out else directory


def _again(run: Run, prepared: Prepared, out: Path | None) -> Path:
    """The run's own test; in its directory, what the report shows of the test is renewed with it."""
    require_finished(run)
    with files.locked(run.directory) if out is None else nullcontext(), hardware.settings_kept():
        classifier = load(run.directory)
        samples, evaluation, logits = run_test(classifier, prepared)
        contents = {EVALUATION: files.json_bytes(evaluation)}
        if out is None:
            contents[SAMPLES] = samples.to_bytes()
            if (run.directory / INSPECTION).is_file():
                contents[INSPECTION] = summary(classifier, prepared, samples)
        place = _place(run.directory, out)
        files.write_together({place / name: content for name, content in contents.items()})
        if out is None:
            store_trust(run.directory, classifier, prepared, logits)
    return place / EVALUATION


def other_source(run: Run, data: str | None, data_dir: Path | None, layout: LayoutKind = "auto") -> Source | None:
    """What `data` holds; None where there is none, or it holds the images that the run began with."""
    if data is None:
        return None
    if not run.trained_here:
        return open_source(data, data_dir, layout, to_train=False)
    own, info = run_from_json(run.config).data, run.info
    if layout == "auto" and own.layout != "auto":
        # Folders that the run was told how to read are read so again.
        with suppress(InputError):
            source = open_source(data, data_dir, own.layout, to_train=False)
            if is_data_of(source, own, info["fingerprint"], info.get("content")):
                return None
            if lasting(data) == own.source:
                return source
    source = open_source(data, data_dir, layout, to_train=False)
    return None if is_data_of(source, own, info["fingerprint"], info.get("content")) else source


def measured_on(classifier: Classifier, run: Run, source: Source, data: str) -> Measured:
    """The test images of a source, or without any all of its images, but for those that the model has seen.

    What is left out, or not known, is said. Raises InputError where the source has a class that the classifier does
    not know, or nothing but images that it has seen.
    """
    known = [one_form(name) for name in classifier.class_names]
    unknown = [name for name in source.class_names if one_form(name) not in known]
    if unknown:
        raise InputError(
            f"{source.name} has the class {unknown[0]!r}, which the model does not know: "
            f"it knows {'; '.join(classifier.class_names[:10])}"
        )
    for note in source.notes:
        say(f"  {note}")
    if said := misfit(source.headers, classifier.preprocessing.tones):
        warn(f"{source.name}: {said}")
    if source.channels > classifier.preprocessing.channels:
        say("  colour images are read as grey ones: the model takes those")
    is_test = np.zeros(len(source.labels), bool) if source.split is None else source.split == TEST
    indices = np.flatnonzero(is_test) if is_test.any() else np.arange(len(source.labels))
    seen, left_out = _seen(run), None
    if seen is not None:
        new = indices[~np.isin(hashes(source)[indices], seen)]
        left_out, indices = len(indices) - len(new), new
        if not len(new):
            raise InputError(
                f"all {plural(left_out, 'image')} of {source.name} trained or validated the model: there is none left "
                "to measure it on; leave out --data to measure on those held out"
            )
        if left_out:
            say(f"  left out {plural(left_out, 'image')} that trained or validated the model")
    elif source.split is None and lasting(data) == run.data.get("source"):
        raise InputError(
            f"{run.directory} was trained on images of {source.name}, and it is not known on which: measure on others"
        )
    else:
        say("  which images trained the model is not known: any of them among these count too")
    place = np.array([known.index(one_form(name)) for name in source.class_names])
    loaded = source.load(classifier.preprocessing.framing, classifier.preprocessing.channels)
    dataset = ImageDataset(loaded.images, place[loaded.labels])
    return Measured(dataset, indices, "test" if is_test.any() else "all", left_out)


def _seen(run: Run) -> UInt64[ndarray, " n"] | None:
    """What the run kept, or else what its own data says, where that is still there; None where nobody knows."""
    if run.seen is None and run.trained_here:
        with suppress(InputError):
            return resolve_again(run.directory, to_train=False).seen
    return run.seen
