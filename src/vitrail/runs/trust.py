"""How far a model's answers are to be trusted: what a run keeps of it, and what follows for an answer. No torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from vitrail.files import Json

COVERAGES = range(1, 100)
"""In per cent: those that a set of classes can be asked to have."""
COVERAGE = 90
"""Unless another is asked for."""
UNLIKE_SHARE = 0.05
"""Of validation images, which are like those of training, that are marked as unlike them."""


@dataclass(frozen=True)
class Trust:
    """What validation images said of a model. The test only measures it, and changes nothing."""

    weights: str | None
    """Of the model that it is of; see `checkpoint.latest_weights`."""
    images: int
    """Validation images that it was fitted on."""
    temperature: float | None
    """Logits are divided by it; None where too little is known to fit one: probabilities then are the model's own."""
    least: tuple[float | None, ...]
    """For each of `COVERAGES`: the least probability of a class in the set. None where it takes more validation images
    to promise that: the set then is of all classes."""
    highest_energy: float
    """Of images like those of training; see `energy`."""
    measured: Json = field(default_factory=dict)
    """On the test: calibration before and after, coverage, and how well images of other data are told apart."""

    def probabilities(self, logits: Float[ndarray, "n class"]) -> Float[ndarray, "n class"]:
        return softmax(logits / (self.temperature or 1.0))

    def calibrated(self, probabilities: Float[ndarray, "n class"]) -> Float[ndarray, "n class"]:
        """As `probabilities`, of the softmax of the logits."""
        with np.errstate(divide="ignore"):
            return self.probabilities(np.log(probabilities))

    def sets(self, probabilities: Float[ndarray, "n class"], coverage: int = COVERAGE) -> Bool[ndarray, "n class"]:
        """The classes among which the true one is for at least `coverage` per cent of images like those of training.

        Split conformal sets of the least size on average (Sadinle et al. 2019, arXiv:1609.00451): every class from
        some probability on. An empty set would help nobody: the most probable class is in it always.
        """
        least = self.least[COVERAGES.index(coverage)]
        best = np.arange(probabilities.shape[1]) == probabilities.argmax(axis=1)[:, None]
        return best | (probabilities >= (0.0 if least is None else least))

    def unlike(self, logits: Float[ndarray, "n class"]) -> Bool[ndarray, " n"]:
        """Whether an image is unlike those of training: it has a higher energy than 95 % of validation images."""
        return energy(logits) > self.highest_energy

    def to_json(self) -> Json:
        return asdict(self)

    @staticmethod
    def from_json(stored: Json) -> Trust:
        """Raises KeyError, TypeError or ValueError for what is damaged."""
        temperature, least = stored["temperature"], stored["least"]
        if len(least) != len(COVERAGES):
            raise ValueError("`least` has not a value for every coverage")
        return Trust(
            stored["weights"],
            int(stored["images"]),
            None if temperature is None else float(temperature),
            tuple(None if value is None else float(value) for value in least),
            float(stored["highest_energy"]),
            dict(stored["measured"]),
        )


def softmax(logits: Float[ndarray, "n class"]) -> Any:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=np.float64)
    return shifted / shifted.sum(axis=1, keepdims=True)


def energy(logits: Float[ndarray, "n class"]) -> Float[ndarray, " n"]:
    """-log sum exp of the logits: high where no class has much evidence (Liu et al. 2020, arXiv:2010.03759)."""
    highest = logits.max(axis=1)
    return -(highest + np.log(np.exp(logits - highest[:, None], dtype=np.float64).sum(axis=1)))
