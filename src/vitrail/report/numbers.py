"""Numbers as a person reads them, with their units."""

from __future__ import annotations

import math

from vitrail.runs.comparison import Spread

NONE = "–"
_FRACTIONS = {"accuracy", "top5", "f1", "precision", "recall", "ece"}

METRIC_NAMES = {
    "loss": "loss",
    "accuracy": "accuracy",
    "top5": "top-5 accuracy",
    "auroc": "AUROC",
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
    "ece": "calibration error",
}
METRIC_MEANINGS = {
    "loss": "Cross-entropy in nats: how surprised the model is by the true class. Lower is better.",
    "accuracy": "The share of images whose most probable class is the true one.",
    "top5": "The share of images whose true class is among the five most probable.",
    "auroc": "How well probabilities rank images of a class above the others: 0.5 is guessing, 1 is perfect.",
    "f1": "The harmonic mean of precision and recall, averaged over classes.",
    "precision": "Of the images given a class, the share that belongs to it, averaged over classes.",
    "recall": "Of the images of a class, the share that was found, averaged over classes.",
    "ece": "How far confidence is from accuracy on average (ECE). Lower is better.",
}


def is_fraction(metric: str) -> bool:
    """Whether a metric is a share, written in per cent."""
    return metric in _FRACTIONS


def unit(metric: str) -> str:
    return "%" if is_fraction(metric) else "nats" if metric == "loss" else "0 to 1"


def metric(name: str, value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return NONE
    return percent(value) if is_fraction(name) else f"{value:.3f}" if value < 1000 else f"{value:.3g}"


def metric_spread(name: str, spread: Spread | None) -> str:
    """Mean and standard deviation, without their unit: shares in per cent."""
    if spread is None or spread.mean is None:
        return NONE
    scale, digits = (100, 2) if is_fraction(name) else (1, 3)
    mean = f"{scale * spread.mean:.{digits}f}"
    return mean if spread.std is None else f"{mean} ± {scale * spread.std:.{digits}f}"


def percent(fraction: float | None) -> str:
    if fraction is None or not math.isfinite(fraction):
        return NONE
    # What is almost nothing or almost everything must not read as exactly that.
    if 0 < fraction < 0.0005:
        return "<0.1 %"
    if 0.9995 <= fraction < 1:
        return ">99.9 %"
    return f"{100 * fraction:.1f} %"


def count(number: float | None) -> str:
    return NONE if number is None else f"{number:,.0f}"


def short_count(number: float | None) -> str:
    """3 significant digits and a word from a million on: `3.19 million`."""
    if number is None:
        return NONE
    rounded = float(f"{number:.3g}")
    for size, word in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if rounded >= size:
            return f"{rounded / size:.3g} {word}"
    return f"{number:,.0f}"


def duration(seconds: float | None) -> str:
    if seconds is None or not math.isfinite(seconds):
        return NONE
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def wilson_interval(fraction: float, images: int) -> tuple[float, float]:
    """The 95 % interval of a share measured on `images` images (Wilson 1927), as two fractions."""
    z2 = 1.959964**2
    middle = (fraction + z2 / (2 * images)) / (1 + z2 / images)
    half = math.sqrt(z2 * (fraction * (1 - fraction) / images + z2 / (4 * images**2))) / (1 + z2 / images)
    return max(0.0, middle - half), min(1.0, middle + half)
