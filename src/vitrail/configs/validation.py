"""What the configurations check their fields with: every failure is one line that names the field."""

from __future__ import annotations

import math
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from vitrail.errors import InputError

Size = tuple[int, int]
"""Height and width of images."""


def require(ok: bool, message: str) -> None:
    """Raises InputError with the message unless `ok`."""
    if not ok:
        raise InputError(message)


@cache
def _hints(kind: Any) -> dict[str, tuple[Any, ...]]:
    """Of every field: the types it may have, unions opened."""
    hints = get_type_hints(kind)
    return {name: get_args(hint) if get_origin(hint) in (UnionType, Union) else (hint,) for name, hint in hints.items()}


def check_kinds(config: Any) -> None:
    """Literals are among their choices, whole numbers are whole, and all numbers are finite."""
    kind: Any = type(config)
    for name, kinds in _hints(kind).items():
        value = getattr(config, name)
        if value is None:
            require(NoneType in kinds, f"{name} must be given")
            continue
        choices = [c for kind in kinds if get_origin(kind) is Literal for c in get_args(kind)]
        if value in choices:
            continue
        numeric = int in kinds or float in kinds
        require(not choices or numeric, f"{name} is {value!r}: use one of {', '.join(map(str, choices))}")
        if isinstance(value, tuple):
            require(
                all(not isinstance(n, float) or math.isfinite(n) for n in value),
                f"{name} is {value}: all must be finite",
            )
        elif numeric:
            require(
                isinstance(value, int | float) and not isinstance(value, bool),
                f"{name} is {value!r}: it must be a number",
            )
            require(float in kinds or isinstance(value, int), f"{name} is {value}: it must be a whole number")
            require(math.isfinite(value), f"{name} is {value}: it must be finite")


def nearest_divisors(number: int, wanted: int) -> str:
    """The divisors of `number` around `wanted`, in words."""
    divisors = [d for d in range(1, number + 1) if number % d == 0]
    below = max(d for d in divisors if d <= wanted or d == 1)
    above = min((d for d in divisors if d > wanted), default=below)
    return f"{below}" if below == above else f"{below} or {above}"


def nearest_multiples(number: int, of: int) -> str:
    """The multiples of `of` around `number`, in words."""
    below = number // of * of
    return f"{below + of}" if below == 0 else f"{below} or {below + of}"


def require_fractions(config: Any, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        require(0 <= value < 1, f"{name} is {value}: it must be at least 0 and below 1")


def require_seed(name: str, seed: int) -> None:
    require(0 <= seed < 2**63, f"{name} is {seed}: it must be at least 0 and below 2^63")


def require_positive(config: Any, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        require(value is None or value > 0, f"{name} is {value}: it must be above 0")


def require_not_negative(config: Any, *names: str, group: str = "") -> None:
    for name in names:
        value = getattr(config, name)
        require(value is None or value >= 0, f"{group}{name} is {value}: it must be at least 0")


def as_size(size: int | Size | list[int]) -> Size:
    """`32` or `(32, 48)` (height, width), as a pair."""
    pair = tuple(size) if isinstance(size, tuple | list) else (size, size)
    if len(pair) != 2 or not all(isinstance(side, int) and side >= 1 for side in pair):
        raise InputError(f"image size {size!r}: one or two whole numbers of at least 1 are needed")
    return pair
