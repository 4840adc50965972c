"""From a foreign library's names to the common ones of `origin`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from vitrail.adoption.conversion import Row, counted
from vitrail.adoption.origin import Tensors
from vitrail.errors import InputError
from vitrail.text import listed


def renamed(tensors: Mapping[str, Tensor], rules: Mapping[str, str]) -> tuple[Tensors, Tensors]:
    """The tensors that a rule (pattern of the whole name: new name) knows, renamed; and those that none knows."""
    known: Tensors = {}
    rest: Tensors = {}
    for name, tensor in tensors.items():
        for pattern, replacement in rules.items():
            if match := re.fullmatch(pattern, name):
                new = match.expand(replacement)
                # Two tensors for one place: one of them would be lost without a word.
                (rest if new in known else known)[name if new in known else new] = tensor
                break
        else:
            rest[name] = tensor
    return known, rest


def joined(tensors: Tensors, parts: Sequence[str], whole: str) -> Tensors:
    """Layers side by side, in the order of `parts`, become one: "attn.q", "attn.k", "attn.v" become "attn.qkv".

    Raises:
        InputError: some of the parts are there, and some are not.
    """
    result = dict(tensors)
    layers = {name.rpartition(parts[0])[0] for name in tensors if re.search(rf"{re.escape(parts[0])}\.\w+$", name)}
    for layer in layers:
        for end in ("weight", "bias"):
            names = [f"{layer}{part}.{end}" for part in parts]
            missing = [name for name in names if name not in tensors]
            if missing == names:
                continue
            if missing:
                raise InputError(f"the checkpoint is not whole: it lacks {listed(missing)}, but not {names[0]}")
            result[f"{layer}{whole}.{end}"] = torch.cat([result.pop(name) for name in names])
    return result


def drop(tensors: Tensors, pattern: str, why: str) -> tuple[Tensors, list[Row]]:
    """Without the tensors whose whole name has this pattern, and the row that says so."""
    gone = {name: tensor for name, tensor in tensors.items() if re.fullmatch(pattern, name)}
    kept = {name: tensor for name, tensor in tensors.items() if name not in gone}
    return kept, [counted("dropped", why, *gone.values())] if gone else []


def require_names(source: str, tensors: Mapping[str, Tensor], *names: str) -> None:
    """Raises InputError naming the tensors that are missing."""
    if missing := [name for name in names if name not in tensors]:
        raise InputError(f"{source} is not whole: it lacks {listed(missing)} (by the names that Vitrail gives them)")
