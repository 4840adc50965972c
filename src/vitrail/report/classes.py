"""Per-class results and confusions of the held-out test."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from vitrail import numbers, plots
from vitrail.report.elements import Context
from vitrail.report.embedding import draw
from vitrail.runs.directory import Evaluation
from vitrail.tables import Table
from vitrail.text import listed, plural

_MOST_DRAWN = 20
_MOST_PAIRS = 10
_LARGEST_TABLE = 30


def class_results(evaluation: Evaluation) -> Context:
    """Hardest class first: by F1, undefined ones last. The chart has no more than the 20 hardest."""
    ranked = sorted(evaluation.per_class, key=lambda c: (c.f1 is None, c.f1 or 0.0))
    shown = ranked[:_MOST_DRAWN]
    # None becomes NaN.
    scores = np.array([[c.precision, c.recall] for c in shown], dtype=np.float64).reshape(-1, 2)
    alt = f"Precision and recall of {len(shown)} classes, hardest first."
    if shown and shown[0].f1 is not None:
        alt += f" Lowest F1: {shown[0].name}, {numbers.percent(shown[0].f1)}."
    rows = [
        [c.name, numbers.count(c.images), *(numbers.percent(score) for score in (c.precision, c.recall, c.f1))]
        for c in ranked
    ]
    head = ["class", "test images", "precision", "recall", "F1"]
    return {
        "count": len(ranked),
        "drawn": len(shown),
        "drawing": draw(plots.per_class([c.name for c in shown], *scores.T), "classes", alt),
        "table": Table("Test results of each class, hardest first", head, rows),
    }


def averaged_over(evaluation: Evaluation) -> str:
    """Which classes count in the averages, where not all of them have test images."""
    absent = [c.name for c in evaluation.per_class if not c.images]
    counted, known = len(evaluation.per_class) - len(absent), len(evaluation.per_class)
    if not absent or not counted:
        return ""
    return (
        f"Without test images: {listed(absent)}. F1, precision, recall and AUROC of the test are averages over the "
        f"{counted} of {plural(known, 'class', 'classes')} that have some. By default scikit-learn's F1, precision and "
        "recall also count, as 0, a class without images that was predicted."
    )


def confusions(evaluation: Evaluation) -> Context:
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
    figure = plots.confusion_matrix(matrix, names)
    return {
        "drawing": draw(figure, "confusion", alt, wide=len(names) > 12),
        "pairs": _pair_table(names, matrix, pairs) if pairs else None,
        "matrix": _matrix_table(names, matrix) if len(names) <= _LARGEST_TABLE else None,
    }


def _pairs(matrix: Int[ndarray, "true predicted"]) -> list[tuple[int, int]]:
    wrong = matrix * (1 - np.eye(len(matrix), dtype=np.int64))
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_PAIRS]
    at = [divmod(int(flat), len(matrix)) for flat in order]
    return [(true, predicted) for true, predicted in at if wrong[true, predicted] > 0]


def _pair_table(names: list[str], matrix: Int[ndarray, "true predicted"], pairs: list[tuple[int, int]]) -> Table:
    counts = [(true, predicted, int(matrix[true, predicted])) for true, predicted in pairs]
    rows = [
        [names[true], names[predicted], numbers.count(count), numbers.percent(count / matrix[true].sum())]
        for true, predicted, count in counts
    ]
    return Table("The most frequent confusions", ["true class", "taken for", "images", "share of the class"], rows)


def _matrix_table(names: list[str], matrix: Int[ndarray, "true predicted"]) -> Table:
    rows = [[name, *(numbers.count(int(cell)) for cell in row)] for name, row in zip(names, matrix, strict=True)]
    return Table("Test images by true class (rows) and prediction (columns)", ["true \\ predicted", *names], rows)
