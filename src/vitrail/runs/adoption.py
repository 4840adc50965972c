"""Where an adopted model comes from, and how far its wiring is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from vitrail.text import shown_name

Wiring = Literal["verified", "assumed", "unrecorded"]

_MEANING = {
    "verified": "compared with the original in memory, it gave the same outputs before any change to it",
    "assumed": "its file does not say how its tensors are wired, so the usual wiring of published models is assumed",
    "unrecorded": "the version that adopted it did not record whether it was compared with the original",
}


@dataclass(frozen=True)
class Adoption:
    """What `run.json` says under `adoption`; None there means that the model was trained with Vitrail."""

    source: str
    wiring: Wiring
    report: tuple[str, ...] = ()
    """What became of its tensors, a line each."""

    def __str__(self) -> str:
        return f"{self.source}; {self.wiring}: {_MEANING[self.wiring]}"

    @staticmethod
    def of(info: Mapping[str, Any]) -> Adoption | None:
        """That of a `run.json`. Raises TypeError or ValueError where it is damaged."""
        # A run has the fingerprint of its data.
        if "fingerprint" in info or info.get("adoption", {}) is None:
            return None
        if "adoption" not in info:
            return Adoption("weights from elsewhere", "unrecorded")
        stored = info["adoption"]
        if not isinstance(stored, Mapping) or stored.get("wiring") not in get_args(Wiring):
            raise ValueError("adoption does not say whether the wiring was verified")
        report = tuple(shown_name(line) for line in stored.get("report") or ())
        return Adoption(shown_name(stored.get("source")), stored["wiring"], report)
