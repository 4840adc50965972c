"""What is kept and shown of a training while it runs. The loop tells its recorders, and needs none."""

import functools
from pathlib import Path

from vitrail.configs import RunConfig
from vitrail.training.cost import cumulative_cost
from vitrail.training.data import TrainingData
from vitrail.training.recorders.attention import AttentionRecorder
from vitrail.training.recorders.display import Display
from vitrail.training.recorders.recorder import Recorder
from vitrail.training.recorders.rows import EpochRecorder, ObservationRecorder, Observe, StepRecorder
from vitrail.training.recorders.tensorboard import TensorBoardRecorder

__all__ = ["Observe", "Recorder", "run_recorders"]


def run_recorders(
    config: RunConfig, data: TrainingData, directory: Path, observe: Observe | None = None
) -> list[Recorder]:
    """All that a run leaves in its directory beside its checkpoints, and what is seen of it meanwhile."""
    train = config.train
    assert train.epochs is not None
    assert train.batch_size is not None
    recorders: list[Recorder] = [
        StepRecorder(directory),
        AttentionRecorder(directory, data),
        EpochRecorder(directory),
    ]
    if observe is not None:
        recorders.append(ObservationRecorder(directory, observe))
    if train.track == "tensorboard":
        recorders.append(TensorBoardRecorder(directory))
    cost = functools.partial(cumulative_cost, model=config.model, train=train)
    steps = len(data.train) // train.batch_size
    return [*recorders, Display(config.model_name, train.epochs, steps, train.batch_size, cost)]
