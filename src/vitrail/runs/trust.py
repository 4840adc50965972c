"""How far a model's answers are to be trusted: what a run keeps of it, and what follows for an answer. No torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from vitrail import files
from vitrail.files import Json
from vitrail.runs.layout import SPREAD, TRUST

COVERAGES = range(1, 100)
"""In per cent: those that a set of classes can be asked to have."""
COVERAGE = 90
"""Unless another is asked for."""
LIKE_SHARE = 0.95
"""Of images like those of training, that are not marked as unlike them."""


@dataclass(frozen=True, eq=False)
class Spread:
    """A Gaussian of what the model reads of training images, before its last layer."""

    mean: Float[ndarray, " d"]
    scale: Float[ndarray, "d d"]
    """The Cholesky factor of the inverse of the covariance."""

    def distance(self, features: Float[ndarray, "n d"]) -> Float[ndarray, " n"]:
        """Mahalanobis distance: Lee et al. (2018), arXiv:1807.03888, equation 2, with one Gaussian for all classes."""
        offsets: Float[ndarray, "n d"] = (features - self.mean) @ self.scale
        return np.sqrt((offsets**2).sum(axis=1))


@dataclass(frozen=True)
class Trust:
    """What validation images said of a model. The test only measures it, and changes nothing."""

    weights: str | None
    """Of the model that it is of; see `latest_weights`."""
    images: int
    """Validation images that it was fitted on."""
    temperature: float | None
    """Logits are divided by it; None where too little is known to fit one: probabilities then are the model's own."""
    least: tuple[float | None, ...]
    """For each of `COVERAGES`: the least probability of a class in the set. None where it takes more validation images
    to promise that: the set then is of all classes."""
    farthest: float | None
    """Distance of images like those of training; None where too few validation images say it."""
    measured: Json = field(default_factory=dict)
    """On the test: calibration before and after, coverage, and how well images of other data are told apart."""
    spread: Spread | None = None
    """In a file of its own."""

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

    def unlike(self, features: Float[ndarray, "n d"]) -> Bool[ndarray, " n"] | None:
        """Whether an image is unlike those of training: farther from them than 95 % of validation images.

        None where that is not known.
        """
        if self.spread is None or self.farthest is None:
            return None
        return self.spread.distance(features) > self.farthest

    def write(self, directory: Path) -> None:
        """Into the directory of a run."""
        stored = {name: value for name, value in vars(self).items() if name != "spread"}
        contents = {directory / TRUST: files.json_bytes(stored)}
        if self.spread is not None:
            arrays = {"mean": self.spread.mean, "scale": self.spread.scale}
            contents = {directory / SPREAD: save(arrays), **contents}
        files.write_together(contents)

    @staticmethod
    def read(directory: Path) -> Trust | None:
        """None where there is none. Raises InputError for a damaged file."""
        path, arrays = directory / TRUST, directory / SPREAD
        if not path.is_file():
            return None
        spread = files.checked(arrays, lambda: _spread(arrays)) if arrays.is_file() else None
        return files.checked(path, lambda: Trust._from_json(files.read_json(path), spread))

    @staticmethod
    def _from_json(stored: Json, spread: Spread | None) -> Trust:
        temperature, least = stored["temperature"], stored["least"]
        if len(least) != len(COVERAGES):
            raise ValueError("`least` has not a value for every coverage")
        return Trust(
            stored["weights"],
            int(stored["images"]),
            None if temperature is None else float(temperature),
            tuple(None if value is None else float(value) for value in least),
            None if stored["farthest"] is None else float(stored["farthest"]),
            dict(stored["measured"]),
            spread,
        )


def _spread(path: Path) -> Spread:
    try:
        found = load_file(path)
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    mean, scale = found["mean"], found["scale"]
    if scale.shape != mean.shape * 2:
        raise ValueError("its tensors do not fit each other")
    return Spread(mean, scale)


def softmax(logits: Float[ndarray, "n class"]) -> Any:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=np.float64)
    return shifted / shifted.sum(axis=1, keepdims=True)
