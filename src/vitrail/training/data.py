"""What a run trains on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitrail.data.dataset import ImageDataset
from vitrail.data.preprocessing import Preprocessing


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Images, which of them train and validate, and how they become model input."""

    dataset: ImageDataset
    train: NDArray[np.int64]
    val: NDArray[np.int64]
    preprocessing: Preprocessing
