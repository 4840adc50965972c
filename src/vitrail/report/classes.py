"""Per-class results and confusions of the held-out test."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vitrail import numbers, plots
from vitrail.report.elements import Drawing
from vitrail.report.embedding import inline_svg
from vitrail.runs.directory import ClassResult, Evaluation
from vitrail.tables import Table
from vitrail.text import plural

_MOST_DRAWN = 20
_MOST_PAIRS = 10
_LARGEST_TABLE = 30


@dataclass(frozen=True)
class Classes:
    drawing: Drawing
    drawn: int
    """How many of the classes are drawn: the hardest ones."""
    table: Table


@dataclass(frozen=True)
class Confusions:
    drawing: Drawing
    pairs: Table | None
    matrix: Table | None
    """None where it would be too large to read as a table."""


def class_results(evaluation: Evaluation) -> Classes:
    """Hardest class first: by F1, undefined ones last."""
    ranked = sorted(evaluation.per_class, key=lambda c: (c.f1 is None, c.f1 or 0.0))
    shown = ranked[:_MOST_DRAWN]
    figure = plots.per_class(
        [c.name for c in shown], np.array([_nan(c.precision) for c in shown]), np.array([_nan(c.recall) for c in shown])
    )
    alt = f"Precision and recall of {len(shown)} classes, hardest first."
    if shown and shown[0].f1 is not None:
        alt += f" Lowest F1: {shown[0].name}, {numbers.percent(shown[0].f1)}."
    rows = [
        [
            c.name,
            numbers.count(c.images),
            numbers.percent(c.precision),
            numbers.percent(c.recall),
            numbers.percent(c.f1),
        ]
        for c in ranked
    ]
    table = Table(
        "Test results of each class, hardest first", ["class", "test images", "precision", "recall", "F1"], rows
    )
    return Classes(Drawing(inline_svg(figure, "classes", alt)), len(shown), table)


def confusions(evaluation: Evaluation) -> Confusions:
    """The matrix, its most frequent confusions, and all of it as a table for up to 30 classes."""
    names = [c.name for c in evaluation.per_class]
    matrix = evaluation.confusion
    right = int(np.trace(matrix))
    alt = f"Confusion matrix of {len(names)} classes: {right:,} of {int(matrix.sum()):,} images on the diagonal."
    pairs = _pairs(matrix)
    if pairs:
        true, predicted = pairs[0]
        often = plural(int(matrix[true, predicted]), "time")
        alt += f" Most frequent confusion: {names[true]} taken for {names[predicted]}, {often}."
    drawing = Drawing(inline_svg(plots.confusion_matrix(matrix, names), "confusion", alt), wide=len(names) > 12)
    return Confusions(drawing, _pair_table(evaluation.per_class, matrix, pairs), _matrix_table(names, matrix))


def _pairs(matrix: np.ndarray) -> list[tuple[int, int]]:
    wrong = matrix * (1 - np.eye(len(matrix), dtype=np.int64))
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_PAIRS]
    at = [divmod(int(flat), len(matrix)) for flat in order]
    return [(true, predicted) for true, predicted in at if wrong[true, predicted] > 0]


def _pair_table(per_class: tuple[ClassResult, ...], matrix: np.ndarray, pairs: list[tuple[int, int]]) -> Table | None:
    if not pairs:
        return None
    totals = matrix.sum(axis=1)
    rows = [
        [
            per_class[true].name,
            per_class[predicted].name,
            numbers.count(int(matrix[true, predicted])),
            numbers.percent(matrix[true, predicted] / totals[true]),
        ]
        for true, predicted in pairs
    ]
    return Table("The most frequent confusions", ["true class", "taken for", "images", "share of the class"], rows)


def _matrix_table(names: list[str], matrix: np.ndarray) -> Table | None:
    if len(names) > _LARGEST_TABLE:
        return None
    rows = [[name, *(numbers.count(int(cell)) for cell in row)] for name, row in zip(names, matrix, strict=True)]
    return Table("Test images by true class (rows) and prediction (columns)", ["true \\ predicted", *names], rows)


def _nan(value: float | None) -> float:
    return math.nan if value is None else value
