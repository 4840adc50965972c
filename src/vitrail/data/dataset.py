"""What training reads: images as one array, in memory or mapped from disk, on one code path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """Images of one size with their labels."""

    images: NDArray[np.uint8]
    """(N, C, H, W); an array or a memory map."""
    labels: NDArray[np.int64]
    """(N,)"""

    def read(self, indices: Sequence[int] | NDArray[np.integer]) -> NDArray[np.uint8]:
        """The images at `indices`, as a new contiguous array (n, C, H, W)."""
        return np.ascontiguousarray(np.asarray(self.images[np.asarray(indices, dtype=np.int64)]))

    def __len__(self) -> int:
        return len(self.labels)
