"""Numbers as they are printed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta

from vitrail import numbers
from vitrail.estimate import Estimate, balanced_interval, wilson_interval


@pytest.mark.parametrize(
    ("fraction", "shown"),
    [(0.8314, "83.1 %"), (0.0, "0.0 %"), (1.0, "100.0 %"), (0.99999, ">99.9 %"), (1e-6, "<0.1 %"), (None, "–")],
)
def test_percent(fraction: float | None, shown: str) -> None:
    assert numbers.percent(fraction) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(3.21, "3.2 s"), (59.97, "1 min 00 s"), (61, "1 min 01 s"), (7384, "2 h 03 min"), (None, "–")],
)
def test_duration(seconds: float | None, shown: str) -> None:
    assert numbers.duration(seconds) == shown


@pytest.mark.parametrize(
    ("number", "shown"),
    [(136_074, "136,074"), (3_190_794, "3.19 million"), (1.55e10, "15.5 billion"), (999_999, "1 million")],
)
def test_short_count(number: float, shown: str) -> None:
    assert numbers.short_count(number) == shown


def test_spread() -> None:
    assert numbers.metric_spread("accuracy", Estimate(0.8123, 0.0045)) == "81.23 ± 0.45"
    assert numbers.metric_spread("loss", Estimate(0.5)) == "0.500"
    assert numbers.metric_spread("auroc", None) == "–"


def test_wilson_interval() -> None:
    """Wilson (1927): 8 of 10 give 0.490 to 0.943."""
    assert wilson_interval(0.8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    low, high = wilson_interval(1.0, 50)
    assert high == pytest.approx(1)
    assert 0.92 < low < 0.94


def test_the_interval_of_balanced_accuracy() -> None:
    """Of one class it is the interval of Jeffreys, of many the one that the normal distribution gives."""
    exact = beta.ppf([0.025, 0.975], 8.5, 2.5)
    assert balanced_interval(np.array([8]), np.array([10])) == pytest.approx(exact, abs=0.02)
    classes = 200
    spread = 1.96 * np.sqrt(beta.var(8.5, 2.5) / classes)
    found = balanced_interval(np.full(classes, 8), np.full(classes, 10))
    assert found == pytest.approx((8.5 / 11 - spread, 8.5 / 11 + spread), abs=0.002)
    low, high = balanced_interval(np.array([90, 0]), np.array([90, 10]))
    assert low < 0.5 < high
