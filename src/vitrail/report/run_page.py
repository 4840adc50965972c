"""The page of one run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vitrail import numbers
from vitrail.configs.serialization import MODEL_KINDS
from vitrail.estimate import wilson_interval
from vitrail.metrics import EPOCH_METRICS, METRICS
from vitrail.report import classes, curves, gallery, heads, model_section, settings, trust
from vitrail.report.elements import Highlight, Notice, render
from vitrail.report.model_section import ModelSection
from vitrail.runs.directory import Run
from vitrail.tables import Table
from vitrail.text import plural, quoted, shown_name

HELD_OUT = "validation"
ON_TEST = "validation (test images)"


def run_page(run: Run) -> str:
    """The whole HTML text."""
    validation = ON_TEST if run.validates_on_test else HELD_OUT
    evaluation = run.test
    measured = (*EPOCH_METRICS, "ece") if evaluation else EPOCH_METRICS
    stored = model_section.read_model_section(run)
    overlays = model_section.sample_overlays(run, stored.samples)
    return render(
        "run.html",
        {
            "title": f"{run.model_name} on {data_name(run.data.get('source'))}",
            "lede": _lede(run),
            "test_is_validation": run.validates_on_test,
            "notices": missing(run),
            "highlights": _highlights(run),
            "final": _final_table(run, validation),
            "baseline": _baseline(run),
            "peak": _peak(run),
            "meanings": [(METRICS[m].title, METRICS[m].meaning) for m in measured],
            "epoch_drawings": curves.epoch_drawings(run, validation),
            "undefined": curves.undefined_metrics(run) if run.metrics else [],
            "epoch_table": curves.epoch_table(run, validation) if run.metrics else None,
            "step_drawings": curves.step_drawings(run),
            "step_table": curves.step_table(run) if len(run.steps.step) else None,
            "classes": classes.class_results(evaluation) if evaluation else None,
            "class_count": len(evaluation.per_class) if evaluation else 0,
            "confusions": classes.confusions(evaluation) if evaluation else None,
            "patches": gallery.patches(run),
            "samples": gallery.samples(run, overlays),
            "mistakes": gallery.mistakes(run, overlays),
            "has_samples": run.samples is not None,
            "overlays": overlays,
            "attention": model_section.attention_section(run, stored),
            "heads": heads.heads(stored.model) if stored.model else None,
            "positions": _positions(run, stored),
            "trust": _trust(run, stored),
            "settings": settings.run_tables(run),
            "choices": [str(choice) for choice in run.info.get("choices") or []],
            "command": str(run.info.get("command") or ""),
            "directory": str(run.directory),
        },
    )


def data_name(source: object) -> str:
    """A data set's name, or the last part of its path."""
    text = str(source or "images")
    return shown_name(Path(text).name or text)


def resume_command(directory: Path) -> str:
    return f"vitrail resume {quoted(directory)}"


_NO_SAMPLES = "no sample images have been saved"


def missing(run: Run) -> list[Notice]:
    """What a run lacks; one notice at most, since one command completes all of it."""
    done, planned = len(run.metrics), run.planned_epochs
    lacks = []
    if planned is not None and done < planned:
        lacks.append(f"{done} of {planned} epochs are done" if done else f"none of its {planned} epochs is done")
    elif not done:
        lacks.append("no epoch is done")
    if run.test is None:
        lacks.append("the test images have not been measured")
    if run.samples is None:
        lacks.append(_NO_SAMPLES)
    if not lacks:
        return []
    finished = lacks == [_NO_SAMPLES]
    text = f"{', '.join(lacks[:-1])} and {lacks[-1]}" if len(lacks) > 1 else lacks[0]
    return [
        Notice(
            "This run is not complete",
            f"{text[0].upper()}{text[1:]}. This {'saves them' if finished else 'continues it'}:",
            f"vitrail evaluate {quoted(run.directory)}" if finished else resume_command(run.directory),
        )
    ]


def _positions(run: Run, stored: ModelSection) -> heads.PositionsSection | None:
    if stored.model is None:
        return None
    return heads.positions_section(
        stored.model, len(run.class_names), run.cuts_patches, str(run.model.get("pos_embed"))
    )


def _trust(run: Run, stored: ModelSection) -> trust.Trust | None:
    """Nothing at all for a run of which nothing inside is stored."""
    if stored.measured is not None:
        return stored.measured
    command = f"vitrail explain {quoted(run.directory)} --faithfulness"
    return trust.Trust(command) if stored.model or stored.samples else None


def training_seconds(run: Run) -> float | None:
    """Wall time of all finished epochs."""
    seconds = run.curve("seconds")
    return float(np.nansum(seconds)) if np.isfinite(seconds).any() else None


def _lede(run: Run) -> str:
    kind = MODEL_KINDS.get(str(run.model.get("kind")))
    splits = run.info.get("splits")
    images = splits.get("train") if isinstance(splits, dict) else None
    parts = [f"{kind.description if kind else 'A model'} trained for {plural(len(run.metrics), 'epoch')}"]
    if isinstance(images, int):
        parts.append(f"on {plural(images, 'image')}")
    if run.class_names:
        parts.append(f"of {len(run.class_names):,} classes")
    seed, device = run.info.get("seed"), run.info.get("device")
    after = [f"seed {seed}"] if seed is not None else []
    after += [f"on {run.info.get('hardware') or device}"] if device else []
    sentence = ", ".join(after)
    return " ".join(parts) + "." + (f" {sentence[0].upper()}{sentence[1:]}." if sentence else "")


def _highlights(run: Run) -> list[Highlight]:
    shown = []
    evaluation = run.test
    accuracy = evaluation.metrics.get("accuracy") if evaluation else None
    if evaluation and accuracy is not None:
        note = ""
        if evaluation.images > 0:
            low, high = wilson_interval(accuracy, evaluation.images)
            note = f"{100 * low:.1f} to {100 * high:.1f} % is the 95 % interval for {evaluation.images:,} images"
        shown.append(Highlight("Test accuracy", numbers.percent(accuracy), note))
    elif run.last("val_accuracy") is not None:
        note = f"after epoch {len(run.metrics)}; the test is still to come"
        shown.append(Highlight("Validation accuracy", numbers.percent(run.last("val_accuracy")), note))
    parameters, multiply_adds = run.info.get("parameters"), run.info.get("multiply_adds")
    if isinstance(parameters, int):
        shown.append(Highlight("Parameters", numbers.short_count(parameters), "numbers learned"))
    if isinstance(multiply_adds, int):
        shown.append(Highlight("Multiply-adds", numbers.short_count(multiply_adds), "to classify one image"))
    seconds = training_seconds(run)
    if seconds is not None:
        shown.append(Highlight("Training time", numbers.duration(seconds), f"for {plural(len(run.metrics), 'epoch')}"))
    speed = run.curve("images_per_second")
    if np.isfinite(speed).any():
        shown.append(Highlight("Images per second", f"{np.nanmedian(speed):,.0f}", "in training, median over epochs"))
    return shown


def _final_table(run: Run, validation: str) -> Table | None:
    evaluation = run.test
    if not run.metrics and evaluation is None:
        return None
    rows = []
    for metric in EPOCH_METRICS:
        test = evaluation.metrics.get(metric) if evaluation else None
        values = (run.last(f"train_{metric}"), run.last(f"val_{metric}"), test)
        rows.append([_named(metric), *(numbers.metric(metric, value) for value in values)])
    if evaluation:
        rows.append([_named("ece"), numbers.NONE, numbers.NONE, numbers.metric("ece", evaluation.metrics.get("ece"))])
    return Table(f"Metrics after {plural(len(run.metrics), 'epoch')}", ["metric", "training", validation, "test"], rows)


def _named(metric: str) -> str:
    """With its unit, where the cells do not show it."""
    known = METRICS[metric]
    return known.title if known.unit == "%" else known.label


def _baseline(run: Run) -> str:
    if run.test is None or not run.test.confusion.sum():
        return ""
    per_class = run.test.confusion.sum(axis=1)
    share = numbers.percent(float(per_class.max() / per_class.sum()))
    return f"For scale: always answering the most frequent class would reach a test accuracy of {share}."


def _peak(run: Run) -> str:
    accuracy = run.curve("val_accuracy")
    if len(accuracy) < 2 or not np.isfinite(accuracy).any() or not np.isfinite(accuracy[-1]):
        return ""
    best = int(np.nanargmax(accuracy))
    highest, last = numbers.percent(float(accuracy[best])), numbers.percent(float(accuracy[-1]))
    if best == len(accuracy) - 1:
        return f"Validation accuracy was highest after the last epoch ({last})."
    return f"Validation accuracy was highest after epoch {best + 1} ({highest}) and {last} after the last."
