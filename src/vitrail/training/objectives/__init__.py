"""Ways of learning: what a batch becomes, what the loss is, what is measured. One small file each."""

from vitrail.configs import RunConfig
from vitrail.models.build import Model
from vitrail.training.data import TrainingData
from vitrail.training.objectives.classification import Classification
from vitrail.training.objectives.objective import Objective

__all__ = ["Objective", "build_objective"]


def build_objective(config: RunConfig, data: TrainingData, model: Model) -> Objective:
    """The configuration's objective, for a model before its first step; it may draw on torch's generator."""
    return Classification(config, data)
