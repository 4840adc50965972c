"""Frozen configurations: every choice that affects a result is a field here, and is validated here.

`None` in a field means "chosen automatically, and said", or else "off": brackets in its docstring say which. A
`RunConfig` has nothing left to choose: it is what `run.json` stores and all that `resume` needs.
"""

from vitrail.configs.data import DataConfig, LayoutKind
from vitrail.configs.models import CNNConfig, ModelConfig, Readout, ViTConfig
from vitrail.configs.objectives import ClassificationConfig, ObjectiveConfig
from vitrail.configs.runs import EarlierPlan, RunConfig
from vitrail.configs.training import NO_AUGMENTATION, RECOMMENDED, AugmentConfig, TrainConfig
from vitrail.configs.validation import Size, as_size

__all__ = [
    "NO_AUGMENTATION",
    "RECOMMENDED",
    "AugmentConfig",
    "CNNConfig",
    "ClassificationConfig",
    "DataConfig",
    "EarlierPlan",
    "LayoutKind",
    "ModelConfig",
    "ObjectiveConfig",
    "Readout",
    "RunConfig",
    "Size",
    "TrainConfig",
    "ViTConfig",
    "as_size",
]
