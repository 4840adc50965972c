"""Which images a run is of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vitrail.configs.size import Size, as_size
from vitrail.configs.validation import check_kinds, require, require_positive, require_seed


@dataclass(frozen=True)
class DataConfig:
    """Which images, which of them, and how they become arrays."""

    source: str
    """A name (digits, shapes, mnist, fashion-mnist, cifar10, cifar100) or the path of a folder, .zip or .tar."""
    train_subset: int | None = None
    """Train on this many of the training images."""
    test_subset: int | None = None
    """Test on this many of the test images."""
    subset_order: Literal["stratified", "first"] = "stratified"
    """How a subset is taken: a seeded sample with every class in proportion, or the first images."""
    val_split: Literal["train", "test"] = "train"
    """Validate each epoch on images held out of the training set, or on the test images (the run then says so)."""
    val_fraction: float = 0.1
    """The share of the training set that validates; of all images where they come without a split."""
    split_seed: int = 0
    """Moves subsets and splits; --seed never does."""
    image_size: int | Size | None = None
    """Height and width given to the model. Larger or smaller images: shorter side resized, then centre crop."""
    mean: tuple[float, ...] | None = None
    """Mean per channel of pixels in 0..1 (one number serves all channels); measured on the training images."""
    std: tuple[float, ...] | None = None
    """Standard deviation per channel; measured on the training images."""

    def __post_init__(self) -> None:
        if self.image_size is not None:
            object.__setattr__(self, "image_size", as_size(self.image_size))
        for name in ("mean", "std"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, (value,) if isinstance(value, int | float) else tuple(value))
        check_kinds(self)
        require_positive(self, "train_subset", "test_subset")
        require_seed("split_seed", self.split_seed)
        require(0 < self.val_fraction < 1, f"val_fraction is {self.val_fraction}: it must lie between 0 and 1")
        require(self.mean != () and self.std != (), "mean and std: at least one number is needed for each")
        require(self.std is None or min(self.std) > 0, f"std is {self.std}: every entry must be above 0")
