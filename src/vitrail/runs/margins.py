"""How far the labels of training images were ahead in a model while it learned: the file that a run keeps of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from vitrail import files


@dataclass(frozen=True, eq=False)
class Margins:
    """One entry for each image of the data set."""

    epoch: int
    """So many epochs lie before the last."""
    total: Float[ndarray, " n"]
    """Of the margins of all epochs before the last."""
    seen: Int[ndarray, " n"]
    """In how many of those the image was seen."""
    last: Float[ndarray, " n"]
    """Margins of the last epoch, NaN for images not seen in it. Apart, because a step may be done again."""

    @staticmethod
    def none(images: int) -> Margins:
        """Before training."""
        return Margins(0, np.zeros(images, np.float32), np.zeros(images, np.int32), np.full(images, np.nan, np.float32))

    def until(self, epoch: int) -> Margins:
        """The same with a new last epoch, in which nothing is seen yet."""
        seen = np.isfinite(self.last)
        total = self.total + np.where(seen, self.last, 0).astype(np.float32)
        return Margins(epoch, total, self.seen + seen.astype(np.int32), np.full_like(self.last, np.nan))

    def mean(self) -> Float[ndarray, " n"]:
        """Over the epochs; NaN for images never seen, which are those that did not train."""
        whole = self.until(self.epoch + 1)
        with np.errstate(invalid="ignore"):
            return whole.total / whole.seen

    def write(self, path: Path) -> None:
        arrays = {"total": self.total, "seen": self.seen, "last": self.last}
        files.write_bytes(path, save(arrays, metadata={"epoch": str(self.epoch)}))

    @staticmethod
    def read(path: Path) -> Margins | None:
        """None where there is no file. Raises InputError for a damaged one."""
        return files.checked(path, lambda: _read(path)) if path.is_file() else None


def _read(path: Path) -> Margins:
    try:
        with safe_open(path, framework="np") as stored:
            found = Margins(
                int((stored.metadata() or {})["epoch"]),
                *(stored.get_tensor(name) for name in ("total", "seen", "last")),
            )
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    if not found.total.shape == found.seen.shape == found.last.shape:
        raise ValueError("its tensors differ in length")
    return found
