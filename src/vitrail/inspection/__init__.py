"""Looking inside a model: everything is captured first, then read off as arrays with known answers; `plots` draws."""

from vitrail.inspection.alignment import cka
from vitrail.inspection.attribution import METHODS, attribute
from vitrail.inspection.capture import Capture, inspect
from vitrail.inspection.features import patch_filters
from vitrail.inspection.heads import name_heads, profile_heads
from vitrail.inspection.positions import accuracy_by_moved, position_effect, position_similarity
from vitrail.models.grid import TokenGrid

__all__ = [
    "METHODS",
    "Capture",
    "TokenGrid",
    "accuracy_by_moved",
    "attribute",
    "cka",
    "inspect",
    "name_heads",
    "patch_filters",
    "position_effect",
    "position_similarity",
    "profile_heads",
]
