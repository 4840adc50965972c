"""The metrics: what each is called, what it means, its unit, and which way is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    title: str
    meaning: str
    unit: Literal["%", "nats", "0 to 1", "s"]
    digits: int
    """After the decimal point, in its unit."""
    lower_is_better: bool = False
    published_in_percent: bool = True
    """Of one in per cent: False where papers give it as a fraction, and so do we beside theirs."""

    @property
    def scale(self) -> float:
        """From what is stored to the unit."""
        return 100.0 if self.unit == "%" else 1.0

    @property
    def label(self) -> str:
        """The title with its unit, for an axis or a row; AUROC has none to name."""
        return self.title if self.unit == "0 to 1" else f"{self.title} ({self.unit})"

    @property
    def heading(self) -> str:
        """The title of a column or row of a table, with the unit where the cells do not show it."""
        return self.title if self.unit == "%" else self.label


METRICS: dict[str, Metric] = {
    "loss": Metric(
        "loss",
        "Cross-entropy in nats: how surprised the model is by the true class. Lower is better.",
        "nats",
        3,
        lower_is_better=True,
    ),
    "accuracy": Metric("accuracy", "The share of images whose most probable class is the true one.", "%", 1),
    "top5": Metric("top-5 accuracy", "The share of images whose true class is among the five most probable.", "%", 1),
    "auroc": Metric(
        "AUROC",
        "How well probabilities rank images of a class above the others: 0.5 is guessing, 1 is perfect.",
        "0 to 1",
        3,
    ),
    "f1": Metric(
        "F1",
        "The harmonic mean of precision and recall, averaged over the classes that have images.",
        "%",
        1,
        published_in_percent=False,
    ),
    "precision": Metric(
        "precision",
        "Of the images given a class, the share that belongs to it, averaged over the classes that have images.",
        "%",
        1,
        published_in_percent=False,
    ),
    "recall": Metric(
        "recall",
        "Of the images of a class, the share that was found, averaged over the classes that have images.",
        "%",
        1,
        published_in_percent=False,
    ),
    "ece": Metric(
        "calibration error",
        "How far confidence is from accuracy on average (ECE). Lower is better.",
        "%",
        1,
        lower_is_better=True,
    ),
    "seconds": Metric("training time", "Of the training passes, in seconds.", "s", 0, lower_is_better=True),
}
EPOCH_METRICS = ("loss", "accuracy", "top5", "auroc", "f1", "precision", "recall")
"""Measured after every epoch, of training and validation images, and in the test."""
