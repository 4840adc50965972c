"""What a model learns, each way with its own options."""

from __future__ import annotations

from dataclasses import dataclass

from vitrail.configs.validation import check_kinds, require_fractions


@dataclass(frozen=True)
class ClassificationConfig:
    """Cross-entropy with the labels."""

    label_smoothing: float = 0.0
    """The share of the target that is spread over all classes (Szegedy et al. 2016, arXiv:1512.00567)"""

    def __post_init__(self) -> None:
        check_kinds(self)
        require_fractions(self, "label_smoothing")


ObjectiveConfig = ClassificationConfig
"""The union of the ways there are."""
