"""How far attribution maps are to be believed, as it was measured; or the command that measures it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vitrail import numbers, plots
from vitrail.report.elements import Context, Drawing
from vitrail.report.embedding import draw
from vitrail.tables import Table
from vitrail.text import shown_name

if TYPE_CHECKING:
    from vitrail.inspection.faithfulness import Faithfulness, Scores

_CHARTED = ("lerf_minus_morf_mean", "saco_mean", "pointing", "inside", "response")
"""More is better."""
_MEANINGS = {
    "deletion_mean": (
        "deletion, insertion",
        "The mean probability of the class while cells are hidden (deletion) or shown (insertion), starting with those "
        "that the map ranks highest. A good map gives a low deletion and a high insertion. In brackets: what replaces "
        "hidden cells, the mean colour or a blurred copy of the image.",
    ),
    "lerf_minus_morf_mean": (
        "LeRF − MoRF",
        "How much higher the probability stays when the cells that the map ranks lowest are hidden first than when "
        "those that it ranks highest are: 0 for a random order, below 0 for a map that is the wrong way round.",
    ),
    "saco_mean": (
        "SaCo",
        "Whether cells that differ more in the map also differ more in their effect: 1 always, 0 no more than by "
        "chance, −1 the reverse.",
    ),
    "pointing": (
        "pointing",
        "The share of images whose map is highest on the object, or within 4 % of the side of it.",
    ),
    "inside": ("inside", "The share of a map's positive part that lies on the object."),
    "response": (
        "response",
        "How much the ranking of cells changes when the model's weights are replaced by random ones. 0 is not at all: "
        "such a map does not show what the model has learned.",
    ),
}


def measured_trust(measured: Faithfulness) -> Context:
    """Every method's numbers, the most faithful first and controls last; on what they were measured, and what to
    compare with.
    """
    from vitrail.inspection.faithfulness import table

    measured = replace(measured, scores=tuple(sorted(measured.scores, key=_place)))
    head, rows = table(measured)
    known = {name for scores in measured.scores for name in scores.values}
    caption = "Means over images ± half of their 95 % interval"
    return {
        "table": Table(caption, head, [[shown_name(cell) for cell in row] for row in rows]),
        "chart": _chart(measured),
        "meanings": [meaning for name, meaning in _MEANINGS.items() if name in known],
        "controls": _controls(measured),
        "facts": _facts(measured),
    }


def _place(scores: Scores) -> tuple[bool, float]:
    gap = scores.estimate("lerf_minus_morf_mean")
    return scores.is_control, math.inf if gap is None else -gap.mean


def _chart(measured: Faithfulness) -> Drawing | None:
    from vitrail.inspection.faithfulness import LEAST_RESPONSE

    scores: dict[str, dict[str, tuple[float, float, float]]] = {}
    titles = {name: f"{_MEANINGS[name][0]} (higher is better)" for name in _CHARTED}
    for name, title in titles.items():
        found = {shown_name(of.method): of.estimate(name) for of in measured.scores}
        of_methods = {method: (i.mean, i.low, i.high) for method, i in found.items() if i is not None}
        if of_methods:
            scores[title] = of_methods
    if not scores:
        return None
    controls = _controls(measured)
    best = {title: max(of, key=lambda method: of[method][0]) for title, of in scores.items()}
    alt = "A dot with its 95 % interval for each method. " + " ".join(
        f"{title.partition(' (')[0]}: highest for {method}, {scores[title][method][0]:.2f}."
        for title, method in best.items()
    )
    least = {titles["response"]: LEAST_RESPONSE}
    caption = "A method whose interval reaches into the band has not been shown to beat the best control (grey)."
    return draw(plots.trust_chart(scores, controls, least), "trust", alt, caption if controls else "")


def _controls(measured: Faithfulness) -> tuple[str, ...]:
    return tuple(shown_name(of.method) for of in measured.scores if of.is_control)


def _facts(measured: Faithfulness) -> list[str]:
    from vitrail.inspection.faithfulness import RANDOMISED

    rows, columns = measured.cells
    hidden = " and ".join(
        f"{numbers.percent(float(p))} with everything hidden ({shown_name(name)})"
        for name, p in measured.hidden_probability.items()
    )
    facts = [
        f"Measured on {measured.num_images:,} test images of {shown_name(Path(measured.data).name)} that the model "
        f"classifies correctly, hidden in {rows} × {columns} cells, in {numbers.duration(float(measured.seconds))}"
        f"{f' (the response on {RANDOMISED} of them)' if measured.num_images > RANDOMISED else ''}. The "
        f"mean probability of the explained class is {numbers.percent(float(measured.probability))} for whole "
        f"images{f', {hidden}' if hidden else ''}."
    ]
    if measured.object_share is not None and measured.pointing_share is not None:
        share, hit = (numbers.percent(float(of)) for of in (measured.object_share, measured.pointing_share))
        facts.append(
            f"Objects cover {share} of their images, so that much of a random map lies inside them. With the margin "
            f"that pointing allows they cover {hit}, so pointing at random hits that often."
        )
    if measured.outdated:
        names = [shown_name(name) for name in measured.outdated]
        facts.append(
            f"Left out, since an earlier version that defined them otherwise has measured them: {', '.join(names)}. "
            f"'vitrail explain RUN --faithfulness --methods {' '.join(names)}' measures them as they are now."
        )
    failed = [shown_name(of.method) for of in measured.scores if of.fails_randomisation and not of.is_control]
    if failed:
        facts.append(
            f"These methods do not show what the model has learned: {', '.join(failed)}. Their maps hardly change when "
            "its weights are replaced by random ones."
        )
    return facts
