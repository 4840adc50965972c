"""How the command line offers a configuration's field: by its own name if marked, else in its group (`--train.betas`).

The field's docstring is the option's help. Brackets at its end say what is chosen where the field is None.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

T = TypeVar("T")

EVERYDAY, FLAT = "everyday", "flat"

Everyday = Annotated[T, EVERYDAY]
"""By its own name, and in --help."""
Flat = Annotated[T, FLAT]
"""By its own name, in --help-all."""
