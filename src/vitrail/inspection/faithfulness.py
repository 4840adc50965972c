"""Whether attribution maps are to be believed: measured, beside two controls that know nothing of the model.

The measures, all per image, with a mean and a 95 % interval over images:

- deletion: the area under the target's probability as cells are hidden, the most salient first (Petsiuk et al. 2018,
  arXiv:1806.07421; MoRF of Samek et al. 2017, arXiv:1509.06321). Low is good.
- insertion: the same as they are put back into the baseline, the most salient first (Petsiuk et al. 2018). High is
  good. Hiding the least salient first (LeRF) passes the same images in reverse, so it is the same area, and
  LeRF - MoRF is insertion - deletion, image by image.
- SaCo: whether differences in salience go with differences in effect (Wu et al. 2024, arXiv:2404.01415). 1 is
  perfect, 0 unrelated.
- pointing: whether the map's highest point is on the object, or next to it (Zhang et al. 2018, "Top-Down Neural
  Attention by Excitation Backprop", section 4.2), and inside: the share of the map's positive part that is on it.
- response: how much the ranking of cells changes when the parameters are drawn anew (Adebayo et al. 2018,
  arXiv:1810.03292), 1 - |rank correlation|. A map that stays does not show what the model learned.

The first three are measured for each of two baselines, since hiding cells makes images that no model was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitrail import files
from vitrail.classifier import Precision
from vitrail.errors import InputError
from vitrail.estimate import Estimate, estimate
from vitrail.inspection.masking import BASELINES, Baseline
from vitrail.numbers import NONE, number
from vitrail.runs.layout import CHECKPOINTS
from vitrail.runs.weights import latest_weights

RANDOMISED = 32
"""Images on which the response to randomisation is measured."""
DEFINITIONS = {"legrad": 2}
"""Which definition of a method is measured, where there was another; 1 scored layers by what the model reads."""
LEAST_RESPONSE = 0.5
"""A method fails the randomisation check where the whole interval of its response lies below."""


@dataclass(frozen=True, eq=False)
class Scores:
    """What was measured for one method."""

    method: str
    depends_on_class: bool
    is_control: bool
    milliseconds: float
    """To make the map of one image, on the machine and by the batches of this measurement."""
    values: Mapping[str, NDArray[np.float64]]
    """(images,) by measure: deletion, insertion, lerf_minus_morf and saco, each with _mean and _blur; pointing and
    inside where masks are known; response, on fewer images."""

    def estimate(self, measure: str) -> Estimate | None:
        """None where the measure was not taken, or is defined for no image."""
        found = estimate(self.values.get(measure, ()))
        return found if found.known else None

    @property
    def fails_randomisation(self) -> bool:
        """The map stays much as it was when the model's parameters are drawn anew."""
        change = self.estimate("response")
        return change is not None and change.high < LEAST_RESPONSE


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """How far each method's maps of one model are to be believed."""

    scores: tuple[Scores, ...]
    data: str
    """What the images are of: a name or path as for `train`."""
    num_images: int
    cells: tuple[int, int]
    """Rows and columns of the grid that is hidden."""
    precision: Precision
    """See `attribution.apply`."""
    seconds: float
    probability: float
    """Mean probability of the targets for whole images."""
    hidden_probability: Mapping[Baseline, float]
    """The same with everything hidden, by baseline."""
    object_share: float | None
    """Mean share of the image that the object's mask covers: what a random map has inside."""
    pointing_share: float | None
    """The same with the margin that pointing allows: what pointing at random scores."""
    weights: str | None = None
    """What the model's weights are known by; see `latest_weights`."""
    outdated: tuple[str, ...] = ()
    """Methods that were measured by an earlier definition, so that nothing is known of them now."""

    def to_json(self) -> dict[str, Any]:
        """Plain numbers; null for what is not defined."""
        stored = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("scores", "cells", "outdated")}
        stored["cells"] = list(self.cells)
        stored["methods"] = [
            {
                "method": scores.method,
                "depends_on_class": scores.depends_on_class,
                "is_control": scores.is_control,
                **({"definition": DEFINITIONS[scores.method]} if scores.method in DEFINITIONS else {}),
                "milliseconds": scores.milliseconds,
                "fails_randomisation": scores.fails_randomisation,
                "intervals": {name: _interval(scores.estimate(name)) for name in scores.values},
                "values": {
                    name: [None if np.isnan(value) else float(value) for value in values]
                    for name, values in scores.values.items()
                },
            }
            for scores in self.scores
        ]
        return stored

    @staticmethod
    def from_json(stored: Mapping[str, Any]) -> Faithfulness:
        """What was measured of an earlier definition of a method is left out, and the method named in `outdated`.

        Raises InputError for a stored object that is not complete.
        """
        try:
            outdated = {
                method["method"]
                for method in stored["methods"]
                if method.get("definition", 1) != DEFINITIONS.get(method["method"], 1)
            }
            scores = tuple(
                Scores(
                    str(method["method"]),
                    bool(method["depends_on_class"]),
                    bool(method["is_control"]),
                    float(method["milliseconds"]),
                    {name: np.array(values, dtype=np.float64) for name, values in method["values"].items()},
                )
                for method in stored["methods"]
                if method["method"] not in outdated
            )
            rows, columns = stored["cells"]
            shares = (stored["object_share"], stored["pointing_share"])
            object_share, pointing_share = (None if share is None else float(share) for share in shares)
            return Faithfulness(
                scores,
                str(stored["data"]),
                int(stored["num_images"]),
                (int(rows), int(columns)),
                "bf16" if stored["precision"] == "bf16" else "fp32",
                float(stored["seconds"]),
                float(stored["probability"]),
                {name: float(stored["hidden_probability"][name]) for name in BASELINES},
                object_share,
                pointing_share,
                stored.get("weights"),
                tuple(sorted(outdated)),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"the stored measurement of faithfulness is incomplete: {error}") from error


def _interval(found: Estimate | None) -> dict[str, float | None] | None:
    return None if found is None else {"mean": found.mean, "half": found.half}


def read(path: Path) -> Faithfulness | None:
    """What was measured of the weights that the run beside it has now; None where nothing was.

    Raises InputError where the file is damaged or not complete.
    """
    if not path.is_file():
        return None
    try:
        found = Faithfulness.from_json(files.read_json(path))
        of_these_weights = found.weights == latest_weights(path.parent / CHECKPOINTS)
        return found if found.scores and of_these_weights else None
    except InputError as error:
        cure = "remove it, and 'vitrail explain RUN --faithfulness' measures again"
        raise InputError(f"{path} cannot be used ({error}): {cure}") from error


_TITLES = {"lerf_minus_morf": "LeRF − MoRF", "saco": "SaCo"}
"""Of measures that are not called what they are stored as."""
_STAND_INS: Mapping[Baseline, str] = {"mean": "mean colour", "blur": "blurred"}
BRIEF = ("lerf_minus_morf_mean", "saco_mean", "pointing", "response")
"""What of a measurement says most, where there is no room for all."""


def table(measured: Faithfulness, measures: Sequence[str] | None = None) -> tuple[list[str], list[list[str]]]:
    """The header and one row for each method: means over images and half the width of their 95 % intervals.

    `measures` are names as in `Scores.values`, all by default; those that were not taken are left out.
    """
    masked = ("insertion", "deletion", "lerf_minus_morf", "saco")
    titles = {
        f"{n}_{baseline}": f"{_TITLES.get(n, n)} ({_STAND_INS[baseline]})" for baseline in BASELINES for n in masked
    }
    titles |= {name: name for name in ("pointing", "inside", "response")}
    known = {name for scores in measured.scores for name in scores.values}
    columns = [(title, name) for name, title in titles.items() if name in known and name in (measures or titles)]
    header = ["method", *(title for title, _ in columns), "ms per image", "of the class"]
    rows = []
    for scores in measured.scores:
        verdicts = {"response": " fails" if scores.fails_randomisation and not scores.is_control else ""}
        found = {name: scores.estimate(name) for _, name in columns}
        means = [(NONE if e is None else number(e.mean, e.half)) + verdicts.get(name, "") for name, e in found.items()]
        name = f"{scores.method} (control)" if scores.is_control else scores.method
        milliseconds = f"{scores.milliseconds:.1f}" if scores.milliseconds < 10 else f"{scores.milliseconds:,.0f}"
        rows.append([name, *means, milliseconds, "yes" if scores.depends_on_class else "no"])
    return header, rows
