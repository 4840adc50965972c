"""The one mechanism for looking inside a model: named intermediate results pass through a function."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

Tap = Callable[[str, Tensor], Tensor]
"""Called with the name and value of an intermediate result; what it returns takes the value's place."""


def untapped(name: str, tensor: Tensor) -> Tensor:
    return tensor


def within(tap: Tap, part: str) -> Tap:
    """The tap that a part of the model sees: names are prefixed with the part's."""
    return tap if tap is untapped else lambda name, tensor: tap(f"{part}.{name}", tensor)
