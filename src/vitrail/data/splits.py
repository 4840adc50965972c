"""Which images train, which validate and which test: a pure function of labels and configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitrail.configs import DataConfig
from vitrail.data.layout import TEST, TRAIN, VAL
from vitrail.errors import InputError

TEST_FRACTION = 0.2
"""Of all images, where the source has no splits of its own."""
MIN_IMAGES_PER_CLASS = 2
"""Fewer training images of a class cannot both train and be measured."""

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Splits:
    """Places in the source, in its order. The three are disjoint, but for a validation set that is the test set."""

    train: Indices
    val: Indices
    test: Indices


def split(
    labels: NDArray[np.int64],
    source_split: NDArray[np.uint8] | None,
    config: DataConfig,
    class_names: Sequence[str] | None = None,
) -> Splits:
    """Divide images into training, validation and test.

    The test images are the source's, or 20 % of all. Validation is the source's; else `val_fraction` of the whole
    training set (of all images, where the source has no splits), drawn from what a training subset leaves unused if
    that still holds every class, else, in proportion to the subset, from the training images themselves. Every class
    keeps at least one training image. With one seed, growing training subsets contain the smaller ones but for
    rounding.

    Args:
        labels: (N,) of 0..K-1.
        source_split: (N,) of TRAIN, VAL and TEST, or None.
        config: the subsets, the order they are taken in, the share that validates, and the seed.
        class_names: (K,), for messages.

    Raises:
        InputError: a class has too few images, or a subset asks for more images than there are.
    """
    num_classes = len(class_names) if class_names is not None else int(labels.max(initial=-1)) + 1
    # Two streams, so that no choice among the test images moves one among the training images.
    train_rank = np.random.default_rng([config.split_seed, 0]).permutation(len(labels))
    test_rank = np.random.default_rng([config.split_seed, 1]).permutation(len(labels))
    everything = np.arange(len(labels))
    if source_split is None:
        _require_enough(labels, num_classes, class_names, "images")
        test = _stratified(everything, labels, round(TEST_FRACTION * len(labels)), test_rank, leave_one=True)
        pool, val, whole = np.setdiff1d(everything, test), None, len(labels)
    else:
        pool, test = everything[source_split == TRAIN], everything[source_split == TEST]
        val = everything[source_split == VAL] if (source_split == VAL).any() else None
        whole = len(pool)
        _require_enough(labels[pool], num_classes, class_names, "training images")

    train = _subset(pool, labels, config.train_subset, config.subset_order, train_rank, "training")
    _require_every_class(labels[train], num_classes, class_names, config)
    test = _subset(test, labels, config.test_subset, config.subset_order, test_rank, "test")
    if config.val_split == "test":
        return Splits(train, test, test)
    if val is None:
        size = max(1, round(config.val_fraction * whole))
        unused = np.setdiff1d(pool, train)
        # From the far end of the order that subsets are taken from, so that their size does not move it.
        if len(np.unique(labels[unused])) == num_classes:
            val = _stratified(unused, labels, min(size, len(unused)), -train_rank)
        else:
            size = max(1, round(size * len(train) / len(pool)))
            val = _stratified(train, labels, size, -train_rank, leave_one=True)
            train = np.setdiff1d(train, val)
        if not len(val):
            raise InputError("no image is left to validate with: give each class more, or take a larger --train-subset")
    return Splits(train, val, test)


def spread_over(indices: Indices, most: int) -> Indices:
    """At most so many of them, evenly spaced: the first ones of a folder are all of one class."""
    return indices[np.linspace(0, len(indices) - 1, min(most, len(indices))).astype(np.int64)]


def _subset(
    candidates: Indices, labels: NDArray[np.int64], size: int | None, order: str, rank: Indices, what: str
) -> Indices:
    if size is None:
        return candidates
    if size > len(candidates):
        option = f"--{'train' if what == 'training' else what}-subset"
        raise InputError(
            f"a {what} subset of {size:,} is asked for, but there are only {len(candidates):,}: name a smaller "
            f"{option}, or '{option} None' for all"
        )
    return candidates[:size] if order == "first" else _stratified(candidates, labels, size, rank)


def _stratified(
    candidates: Indices, labels: NDArray[np.int64], size: int, rank: Indices, leave_one: bool = False
) -> Indices:
    """`size` of the candidates, of every class those of lowest rank, in proportion; in the candidates' order."""
    classes, counts = np.unique(labels[candidates], return_counts=True)
    by_class = [candidates[labels[candidates] == label] for label in classes]
    by_class = [of_class[np.argsort(rank[of_class])] for of_class in by_class]
    # Ties go to classes at random: names that begin alike may be of one kind.
    turn = np.argsort([rank[of_class[0]] for of_class in by_class])
    taken = np.empty_like(counts)
    taken[turn] = quotas(counts[turn], size, leave_one)
    chosen = [of_class[:count] for of_class, count in zip(by_class, taken, strict=True)]
    return np.sort(np.concatenate(chosen)) if chosen else candidates[:0]


def quotas(counts: NDArray[np.int64], size: int, leave_one: bool = False) -> NDArray[np.int64]:
    """How many of each class make up `size`, in proportion to `counts`, by largest remainders.

    Where `size` allows it, every class gives at least one; with `leave_one` none gives its last one, even if that
    makes the sum smaller.

    Args:
        counts: (K,) available, each at least 1.
        size: at most the sum of `counts`.
        leave_one: keep at least one of each class back.

    Returns:
        (K,)
    """
    most = counts - 1 if leave_one else counts
    size = min(size, int(most.sum()))
    least = np.minimum(1, most) if size >= int(np.minimum(1, most).sum()) else np.zeros_like(counts)
    exact = counts * (size / max(1, counts.sum()))
    taken = np.clip(np.floor(exact).astype(np.int64), least, most)
    while (missing := size - int(taken.sum())) != 0:
        step = 1 if missing > 0 else -1
        movable = np.flatnonzero(taken < most) if missing > 0 else np.flatnonzero(taken > least)
        # Stable, so that ties go to the first class.
        order = movable[np.argsort(-step * (exact - taken)[movable], kind="stable")]
        taken[order[: abs(missing)]] += step
    return taken


def _name(label: int, class_names: Sequence[str] | None) -> str:
    return class_names[label] if class_names is not None else str(label)


def _require_enough(labels: NDArray[np.int64], num_classes: int, class_names: Sequence[str] | None, what: str) -> None:
    for label, count in enumerate(np.bincount(labels, minlength=num_classes)):
        if count < MIN_IMAGES_PER_CLASS:
            raise InputError(
                f"class {_name(label, class_names)} has {count} {what[:-1] if count == 1 else what}: at least "
                f"{MIN_IMAGES_PER_CLASS} are needed; add some or remove the class"
            )


def _require_every_class(
    labels: NDArray[np.int64], num_classes: int, class_names: Sequence[str] | None, config: DataConfig
) -> None:
    missing = np.flatnonzero(np.bincount(labels, minlength=num_classes) == 0)
    if len(missing) == 0:
        return
    name = _name(int(missing[0]), class_names)
    cure = "take a larger one" if config.subset_order == "stratified" else "take a larger one, or a stratified one"
    raise InputError(f"a training subset of {config.train_subset:,} leaves no image of class {name}: {cure}")
