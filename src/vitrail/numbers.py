"""Numbers as a person reads them, with their units; where a spread is given, as `mean ± spread`."""

from __future__ import annotations

import math

from vitrail.estimate import Estimate
from vitrail.metrics import METRICS

NONE = "–"


def number(value: float | None, spread: float | None = None, digits: int = 2, scale: float = 1.0) -> str:
    """`0.42 ± 0.03`, in multiples of 1 / `scale`; a dash where there is no finite value."""
    if value is None or not math.isfinite(value):
        return NONE
    # Adding zero makes of a negative zero a plain one.
    shown = f"{round(scale * value, digits) + 0.0:,.{digits}f}".replace("-", "−")
    return shown if spread is None else f"{shown} ± {scale * spread:,.{digits}f}"


def signed(value: float, spread: float | None = None) -> str:
    """`+0.31 ± 0.05`."""
    return ("+" if round(value, 2) > 0 else "") + number(value, spread)


def percent(fraction: float | None, spread: float | None = None) -> str:
    """`71.2 ± 0.8 %` of a share."""
    # What is almost nothing or almost everything must not read as exactly that.
    if fraction is not None and spread is None and 0 < fraction < 0.0005:
        return "<0.1 %"
    if fraction is not None and spread is None and 0.9995 <= fraction < 1:
        return ">99.9 %"
    return _with_unit(number(fraction, spread, 1, 100), " %")


def points(difference: float | None, spread: float | None = None) -> str:
    """`4.1 ± 0.9 points` of a difference of shares."""
    return _with_unit(number(difference, spread, 1, 100), " points")


def metric(name: str, value: float | None) -> str:
    """One value of a metric, with a percent sign where it is a share; other units are left to the heading."""
    known = METRICS[name]
    if known.unit == "%":
        return percent(value)
    large = value is not None and math.isfinite(value) and value >= 1000
    return f"{value:.3g}" if large else number(value, digits=known.digits)


def metric_spread(name: str, found: Estimate | None) -> str:
    """Mean ± standard deviation, without the unit, for a column of models: of shares to a hundredth of a per cent."""
    if found is None:
        return NONE
    known = METRICS[name]
    return number(found.mean, found.std, known.digits + (known.unit == "%"), known.scale)


def metric_with_unit(name: str, value: float, std: float | None = None) -> str:
    """As a table of results has it: `77.1 ± 0.3 %`, `14 ± 1 s` or `9.2 ± 0.1 min`, and `2.079 ± 0.010` of others.

    `name` is one of `METRICS`, or `train_`, `val_` or `test_` before it.
    """
    known = METRICS[name.rpartition("_")[2]]
    if known.unit == "s":
        return f"{number(value, std, 0)} s" if value < 100 else f"{number(value, std, 1, 1 / 60)} min"
    if known.unit == "%" and known.published_in_percent:
        return f"{number(value, std, known.digits, known.scale)} %"
    return number(value, std, 3)


def count(number: float | None) -> str:
    return NONE if number is None or not math.isfinite(number) else f"{number:,.0f}"


def short_count(number: float | None) -> str:
    """3 significant digits and a word from a million on: `3.19 million`."""
    if number is None:
        return NONE
    rounded = float(f"{number:.3g}")
    for size, word in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if rounded >= size:
            return f"{rounded / size:.3g} {word}"
    return f"{number:,.0f}"


def duration(seconds: float | None, spread: float | None = None) -> str:
    """`24 min 03 s ± 11.0 s`."""
    if spread is not None:
        return f"{duration(seconds)} ± {duration(spread)}"
    if seconds is None or not math.isfinite(seconds):
        return NONE
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def _with_unit(shown: str, unit: str) -> str:
    return shown if shown == NONE else shown + unit
