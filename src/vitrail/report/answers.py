"""How far to trust a run's answers: calibration, sets of classes, unlike images; and labels that are likely wrong."""

from __future__ import annotations

import numpy as np

from vitrail import numbers, plots
from vitrail.files import Json, checked
from vitrail.report.elements import Context
from vitrail.report.embedding import draw
from vitrail.report.gallery import pictures_of
from vitrail.runs.directory import Run
from vitrail.runs.layout import MARGINS, SUSPECTS, TRUST
from vitrail.runs.trust import COVERAGE, Trust
from vitrail.tables import Table
from vitrail.text import plural, quoted, shown_name


def answers_section(run: Run) -> Context | None:
    """None for a run that is not finished."""
    if run.test is None:
        return None
    if run.trust is None and run.validates_on_test:
        return {"lacks": "Its validation images are those of the test: there are none left to calibrate it on."}
    if run.trust is None:
        command = f"vitrail resume {quoted(run.directory)}"
        return {"lacks": "This measures how far its answers can be trusted:", "command": command}
    trust = run.trust
    return checked(run.directory / TRUST, lambda: _measured(trust))


def suspects_section(run: Run) -> Context | None:
    """None where no margins were kept."""
    if run.suspects is None or not (run.directory / MARGINS).is_file():
        return None
    return {"pictures": pictures_of(run, run.suspects), "file": SUSPECTS}


def _measured(trust: Trust) -> Context:
    found = trust.measured
    raw, calibrated = found["raw"], found["calibrated"]
    before, after = numbers.percent(raw["ece"]), numbers.percent(calibrated["ece"])
    lines = {"the model's own": _bins(raw)}
    calibration = f"The model's own probabilities miss by {before} on average (calibration error)"
    if trust.temperature is None:
        calibration += (
            f". They are not calibrated: its {plural(trust.images, 'validation image')} are too few, or all are right."
        )
    else:
        lines["calibrated"] = _bins(calibrated)
        calibration += (
            f", calibrated ones by {after}: logits are divided by {trust.temperature:.2f}, which makes the labels of "
            f"{plural(trust.images, 'validation image')} most likely. 'vitrail predict' gives calibrated ones, and so "
            "do the pictures of this report."
        )
    alt = f"Accuracy over confidence in bins. Calibration error {before}, calibrated {after}."
    return {
        "facts": [calibration, *_sets_in_words(found), *_unlike_in_words(found)],
        "drawing": draw(plots.reliability_diagram(lines), "reliability", alt),
        "sets": _sets_table(found),
        "images": found["images"],
    }


def _bins(calibration: Json) -> np.ndarray:
    return np.array(calibration["bins"], np.float64).reshape(-1, 3)


def _sets_in_words(found: Json) -> list[str]:
    of = next((row for row in found["sets"] if row["coverage"] == COVERAGE), None)
    if of is None:
        return []
    return [
        f"Asked for the set of classes that has the true one for {COVERAGE} % of images, it has it for "
        f"{_interval(of['covered'])} of the test images, with {numbers.number(of['classes'])} classes on average. "
        "The most probable class is always in the set, so a model that is right more often than that covers more."
    ]


def _sets_table(found: Json) -> Table:
    rows = [
        [
            f"{row['coverage']} %",
            _interval(row["covered"]),
            numbers.number(row["classes"]),
            numbers.percent(row["single"]),
        ]
        for row in found["sets"]
    ]
    head = ["asked for", "covered (95 % interval)", "classes in a set", "sets of one class"]
    return Table(f"Sets of classes on {plural(found['images'], 'test image')}", head, rows)


def _unlike_in_words(found: Json) -> list[str]:
    if not found.get("others"):
        return []
    facts = [
        "Images that are farther from the training images than nearly all of validation, in what the model reads of "
        f"them, are marked as unlike: of the test {_interval(found['marked'])}."
    ]
    for row in found["others"]:
        area, low, high = (numbers.number(value, digits=3) for value in row["auroc"])
        facts.append(
            f"Beside {shown_name(row['data'])}, this tells images of the two kinds apart with an AUROC of {area} "
            f"({low} to {high}; 0.5 is guessing, 1 perfect), and marks {_interval(row['marked'])} of the others."
        )
    return facts


def _interval(share: list[float]) -> str:
    value, low, high = share
    return f"{numbers.percent(value)} ({100 * low:.1f} to {100 * high:.1f})"
