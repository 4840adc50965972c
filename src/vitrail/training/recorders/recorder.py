"""What the loop tells of itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from vitrail.models.build import Model


class Recorder:
    """Is told of a training; by itself it does nothing with it. A model is one to look at, never to change."""

    @contextmanager
    def recording(self, step: int, epochs: int, model: Model) -> Iterator[None]:
        """Around everything else: training goes on after so many steps and epochs.

        What is there of later ones, from before an interruption, is superseded.
        """
        yield

    def step(self, row: dict[str, Any]) -> None:
        """A row of `steps.jsonl`."""

    def validating(self, images: int) -> None:
        """An epoch's steps are done, its validation on so many images begins."""

    def epoch(self, row: dict[str, Any], model: Model) -> None:
        """A row of `metrics.jsonl`, and the model after the epoch."""

    def flush(self) -> None:
        """A checkpoint is about to be saved: what was told so far must be on disk."""
