"""Libraries that only adoption wants, imported where they are needed."""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from vitrail.errors import InputError

_INSTALL = "in the folder of Vitrail, .venv/bin/pip install -e '.[adopt]'"
# torchvision 0.28 imports beside any torch once these exist; its other operators are looked up when they are called.
_OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def optional(name: str) -> Any:
    """The module of this name. Raises InputError naming the cure where it is not installed or does not import."""
    declare_missing_operators()
    try:
        return import_module(name)
    # What a library raises that does not fit its neighbours is anybody's guess.
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == name.split(".")[0]:
            raise InputError(f"{error.name} is not installed: {_INSTALL}") from error
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{name} cannot be imported ({reason}): {_INSTALL}") from error


@cache
def declare_missing_operators() -> torch.library.Library | None:
    """Let torchvision (and so timm and transformers) import where its operators were compiled for another torch.

    The wheel that a package index gives is made for one build of torch: beside a CPU-only one its library does not
    load, and importing it fails on a schema that is not there. Declared without an implementation, the schemas are
    enough for everything but the detection operators. Does nothing where torchvision is absent, works, or has been
    imported already.

    Returns:
        The declarations, which live as long as this object.
    """
    if "torchvision" in sys.modules or (spec := find_spec("torchvision")) is None:
        return None
    for folder in spec.submodule_search_locations or ():
        for library in sorted(Path(folder).glob("_C.*")):
            with suppress(OSError, RuntimeError):
                torch.ops.load_library(str(library))
    if hasattr(torch.ops.torchvision, "nms"):
        return None
    declared = torch.library.Library("torchvision", "DEF")
    for schema in _OPERATORS:
        declared.define(schema)
    return declared
