"""Which images a run is of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vitrail.configs.offered import Everyday, Flat
from vitrail.configs.validation import Size, as_size, check_kinds, require, require_positive, require_seed

LayoutKind = Literal["auto", "class", "split-class", "class-split"]
"""What the folders of a tree are, from the top down; or that its names and contents tell."""


@dataclass(frozen=True)
class DataConfig:
    """Which images, which of them, and how they become arrays."""

    source: Everyday[str]
    """digits, shapes, mnist, fashion-mnist, cifar10, cifar100, an .npz, or a folder, .zip or .tar with a folder of
    images per class. Images of several sizes: shorter side resized, then centre crop."""
    layout: Flat[LayoutKind] = "auto"
    """What folders are from the top down, where they can be meant several ways: classes; splits and in them classes;
    or classes and in them splits"""
    train_subset: Everyday[int | None] = None
    """Train on N images, every class in proportion [all]"""
    test_subset: Everyday[int | None] = None
    """Test on N images [all]"""
    subset_order: Flat[Literal["stratified", "first"]] = "stratified"
    """A subset is a seeded sample with every class in proportion, or simply the first N"""
    val_split: Flat[Literal["train", "test"]] = "train"
    """Validate on held-out training images, or on the test images, as some papers do (the run then says so)"""
    val_fraction: Flat[float] = 0.1
    """The share of the training images that validates; of all images where there is no split yet"""
    split_seed: Flat[int] = 0
    """Moves subsets and splits; --seed never does"""
    image_size: Everyday[int | Size | None] = None
    """One number, or height and width [from images and model]"""
    mean: Flat[tuple[float, ...] | None] = None
    """Mean of pixels in 0..1, per channel or of all [measured on the training images]"""
    std: Flat[tuple[float, ...] | None] = None
    """Their standard deviation, likewise [measured on the training images]"""
    pixel_range: Flat[tuple[float, float] | None] = None
    """What is black and what is white in images of more than 8 bits [from the training images]"""

    def __post_init__(self) -> None:
        if self.image_size is not None:
            object.__setattr__(self, "image_size", as_size(self.image_size))
        for name in ("mean", "std"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, (value,) if isinstance(value, int | float) else tuple(value))
        if self.pixel_range is not None:
            object.__setattr__(self, "pixel_range", tuple(map(float, self.pixel_range)))
            ends = self.pixel_range
            require(
                len(ends) == 2 and ends[0] < ends[1],
                f"pixel_range is {ends}: it must be two numbers, first of black and then a higher one of white",
            )
        check_kinds(self)
        require_positive(self, "train_subset", "test_subset")
        require_seed("split_seed", self.split_seed)
        require(0 < self.val_fraction < 1, f"val_fraction is {self.val_fraction}: it must lie between 0 and 1")
        require(self.mean != () and self.std != (), "mean and std: at least one number is needed for each")
        require(self.std is None or min(self.std) > 0, f"std is {self.std}: every entry must be above 0")
