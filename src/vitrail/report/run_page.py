"""The page of one run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vitrail import numbers
from vitrail.configs.serialization import MODEL_KINDS
from vitrail.estimate import wilson_interval
from vitrail.metrics import EPOCH_METRICS, METRICS
from vitrail.report import answers, classes, curves, gallery, heads, settings
from vitrail.report.elements import Context, notice, render
from vitrail.report.model_section import attention_section, read_model_section, sample_overlays
from vitrail.report.verdict import unequal, verdict
from vitrail.runs.directory import Run
from vitrail.tables import Table
from vitrail.text import joined, plural, quoted, shown_name

if TYPE_CHECKING:
    from vitrail.inspection.summaries import ModelSummary


def run_page(run: Run) -> str:
    """The whole HTML text."""
    validation = "validation (test images)" if run.validates_on_test else "validation"
    evaluation = run.test
    measured = (*EPOCH_METRICS, "ece") if evaluation else EPOCH_METRICS
    stored = read_model_section(run)
    overlays = sample_overlays(run, stored.samples)
    by_sample = overlays.by_sample if overlays else ()
    measuring = f"vitrail explain {quoted(run.directory)} --faithfulness"
    return render(
        "run.html",
        {
            "title": f"{run.model_name} on {data_name(run.data.get('source'))}",
            "lede": _lede(run),
            "test_is_validation": run.validates_on_test,
            "notices": missing(run),
            "verdict": verdict(run),
            "highlights": _highlights(run),
            "final": _final_table(run, validation),
            "peak": _peak(run),
            "averaged_over": classes.averaged_over(evaluation) if evaluation else "",
            "meanings": [(METRICS[m].title, METRICS[m].meaning) for m in measured],
            "epoch_drawings": curves.epoch_drawings(run, validation),
            "undefined": curves.undefined_metrics(run) if run.metrics else [],
            "epoch_table": curves.epoch_table(run, validation) if run.metrics else None,
            "step_drawings": curves.step_drawings(run),
            "step_table": curves.step_table(run) if len(run.steps.step) else None,
            "classes": classes.class_results(evaluation) if evaluation else None,
            "confusions": classes.confusions(evaluation) if evaluation else None,
            "patches": gallery.patches(run),
            "samples": gallery.samples(run, by_sample),
            "mistakes": gallery.mistakes(run, by_sample),
            "has_samples": run.samples is not None,
            "overlays": overlays,
            "attention": attention_section(run, stored),
            "heads": heads.heads(stored.model) if stored.model else None,
            "positions": _positions(run, stored.model) if stored.model else None,
            "trust": stored.trust or ({"command": measuring} if stored.model or stored.samples else None),
            "answers": answers.answers_section(run),
            "suspects": answers.suspects_section(run),
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


def missing(run: Run) -> list[Context]:
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
        lacks.append("no sample images have been saved")
    if not lacks:
        return []
    text, cure = joined(lacks), "This continues it:"
    command = resume_command(run.directory)
    if run.samples is None and len(lacks) == 1:
        cure, command = "This saves them:", f"vitrail evaluate {quoted(run.directory)}"
    return [notice("This run is not complete", f"{text[0].upper()}{text[1:]}. {cure}", command)]


def _positions(run: Run, summary: ModelSummary) -> Context | None:
    return heads.positions_section(summary, len(run.class_names), run.cuts_patches, str(run.model.get("pos_embed")))


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


def _highlights(run: Run) -> list[tuple[str, str, str]]:
    """What each is called, its value, and a note."""
    shown = []
    evaluation = run.test
    accuracy = evaluation.metrics.get("accuracy") if evaluation else None
    if evaluation and unequal(evaluation):
        averages = (("recall", "Balanced accuracy", "mean over classes"), ("f1", "Macro F1", "mean over classes"))
        shown += [(name, numbers.percent(evaluation.metrics.get(key)), note) for key, name, note in averages]
    if evaluation and accuracy is not None:
        note = ""
        if evaluation.images > 0:
            low, high = wilson_interval(accuracy, evaluation.images)
            note = f"{100 * low:.1f} to {100 * high:.1f} % is the 95 % interval for {evaluation.images:,} images"
        shown.append(("Test accuracy", numbers.percent(accuracy), note))
    elif run.last("val_accuracy") is not None:
        note = f"after epoch {len(run.metrics)}; the test is still to come"
        shown.append(("Validation accuracy", numbers.percent(run.last("val_accuracy")), note))
    parameters, multiply_adds = run.info.get("parameters"), run.info.get("multiply_adds")
    if isinstance(parameters, int):
        shown.append(("Parameters", numbers.short_count(parameters), "numbers learned"))
    if isinstance(multiply_adds, int):
        shown.append(("Multiply-adds", numbers.short_count(multiply_adds), "to classify one image"))
    seconds = run.curve("seconds")
    if np.isfinite(seconds).any():
        epochs = plural(len(run.metrics), "epoch")
        shown.append(("Training time", numbers.duration(float(np.nansum(seconds))), f"for {epochs}"))
    speed = run.curve("images_per_second")
    if np.isfinite(speed).any():
        shown.append(("Images per second", f"{np.nanmedian(speed):,.0f}", "in training, median over epochs"))
    return shown


def _final_table(run: Run, validation: str) -> Table | None:
    evaluation = run.test
    if not run.metrics and evaluation is None:
        return None
    rows = []
    for metric in EPOCH_METRICS:
        test = evaluation.metrics.get(metric) if evaluation else None
        values = (run.last(f"train_{metric}"), run.last(f"val_{metric}"), test)
        rows.append([METRICS[metric].heading, *(numbers.metric(metric, value) for value in values)])
    if evaluation:
        rows.append(
            [METRICS["ece"].heading, numbers.NONE, numbers.NONE, numbers.metric("ece", evaluation.metrics.get("ece"))]
        )
    return Table(f"Metrics after {plural(len(run.metrics), 'epoch')}", ["metric", "training", validation, "test"], rows)


def _peak(run: Run) -> str:
    accuracy = run.curve("val_accuracy")
    if len(accuracy) < 2 or not np.isfinite(accuracy).any() or not np.isfinite(accuracy[-1]):
        return ""
    best = int(np.nanargmax(accuracy))
    highest, last = numbers.percent(float(accuracy[best])), numbers.percent(float(accuracy[-1]))
    if best == len(accuracy) - 1:
        return f"Validation accuracy was highest after the last epoch ({last})."
    return f"Validation accuracy was highest after epoch {best + 1} ({highest}) and {last} after the last."
