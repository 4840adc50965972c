"""What runs over several seeds say of a claim: a verdict, and numbers with half of their 95 % interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vitrail import numbers
from vitrail.estimate import Estimate, estimate
from vitrail.plots.style import save_svg

Verdict = Literal["supported", "contradicted", "undecided"]
Measured = dict[str, Any]
"""Of one run, as plain JSON: numbers, or nested lists of them with the same shape for every seed."""
Seeds = NDArray[np.float64]
"""(seed, ...); what is printed or concluded from is (seed,)."""


@dataclass(frozen=True, eq=False)
class Finding:
    """What the runs say of the claim."""

    verdict: Verdict
    sentence: str
    """The outcome with its numbers, and the range in which they were measured."""
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    figure: Figure

    def on(self, where: str, scope: str) -> Finding:
        """With the verdict in front of its sentence, and what was measured: it says nothing of more than that."""
        return replace(self, sentence=f"{self.verdict.capitalize()} {where} ({scope}): {self.sentence}")

    def as_json(self) -> dict[str, Any]:
        rows = [list(row) for row in self.rows]
        return {"verdict": self.verdict, "sentence": self.sentence, "head": list(self.head), "rows": rows}

    def save_figure(self, path: Path, name: str) -> None:
        """Write `<path>.png` and `<path>.svg`; the same finding of that name gives the same file."""
        self.figure.savefig(path.with_suffix(".png"), dpi=150, facecolor="white", bbox_inches="tight")
        save_svg(self.figure, path.with_suffix(".svg"), name)


def verdict(*differences: Estimate | Seeds) -> Verdict:
    """A claim that these are all positive: supported where every interval is, contradicted where one is negative.

    The more there are, the likelier one of them is negative by chance: to contradict, intervals are widened for it.
    """
    found = [_estimated(difference) for difference in differences]
    if any(d.half is None or not d.known for d in found):
        return "undecided"
    if all(d.low > 0 for d in found):
        return "supported"
    return "contradicted" if any(d.among(len(found)).high < 0 for d in found) else "undecided"


def percent(share: Estimate | Seeds) -> str:
    """`71.2 ± 0.8 %`."""
    of = _estimated(share)
    return numbers.percent(of.mean, of.half)


def points(difference: Estimate | Seeds) -> str:
    """`4.1 ± 0.9 points` of a difference of shares."""
    of = _estimated(difference)
    return numbers.points(of.mean, of.half)


def number(values: Estimate | Seeds, digits: int = 2) -> str:
    """`0.42 ± 0.03`."""
    of = _estimated(values)
    return numbers.number(of.mean, of.half, digits)


def _estimated(of: Estimate | Seeds) -> Estimate:
    return of if isinstance(of, Estimate) else estimate(of)
