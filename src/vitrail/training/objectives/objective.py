"""What the loop asks of a way of learning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor, nn

from vitrail.models.build import Model


class Objective(Protocol):
    """One way of learning. What a batch and a model's outputs are is between its own methods.

    All that changes while it learns is in `modules`; everything else follows from the run's configuration, so that
    a run goes on as if it had not been interrupted.
    """

    modules: nn.ModuleDict
    """What it has beside the model, such as a decoder, a teacher or a running centre. Parameters that require a
    gradient are trained together with the model's; all are saved, with buffers."""

    def batch(
        self,
        images: UInt8[Tensor, "batch channel height width"],
        indices: NDArray[np.int64],
        side: int | None,
    ) -> Any:
        """What a step sees of training images, which have these indices in the data set: augmented, normalised,
        and resized to `side` where it is given. All randomness comes from torch's generator, seeded for the step.
        """

    def forward(self, model: Callable[..., Any], batch: Any) -> Any:
        """What the loss is computed of, in the run's precision; `model` may be compiled."""

    def loss(self, outputs: Any, batch: Any) -> Float[Tensor, ""]:
        """To be minimised; outside of autocast."""

    def after_step(self, model: Model) -> None:
        """Follow an update of the weights, as a teacher does; not called after a batch that was skipped."""

    def results(self, outputs: Any, batch: Any) -> dict[str, Tensor]:
        """What metrics of training are computed of, with one entry per image, on the CPU."""

    def step_metrics(self, results: dict[str, Tensor]) -> dict[str, float]:
        """Of one batch, beside the loss: columns of `steps.jsonl`."""

    def epoch_metrics(self, results: dict[str, Tensor]) -> dict[str, float | None]:
        """Of the epoch's batches, or evenly spread ones of many; `results` is empty where every batch was skipped.

        In `metrics.jsonl` their names begin with `train_`.
        """

    def validate(self, model: Model, advance: Callable[[int], None]) -> dict[str, float | None]:
        """Of the validation images; `advance` hears of every batch. In `metrics.jsonl` the names begin with `val_`.

        Raises FloatingPointError, saying of what, where something is not finite.
        """
