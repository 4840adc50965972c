"""Recipes: data, model and training that belong together, each a document of its own, with a record of its runs."""

from __future__ import annotations

from vitrail.errors import InputError, nearest
from vitrail.recipes import (
    annotated_600,
    cifar10_90,
    cifar10_best,
    cifar10_fast,
    compare_180,
    mnist_fast,
    small_data,
    vit_15,
)
from vitrail.recipes.recipe import Recipe

RECIPES: dict[str, Recipe] = {
    "annotated-600": annotated_600.MODEL_SCALE,
    "annotated-600-head": annotated_600.HEAD_SCALE,
    "compare-180-vit": compare_180.VIT,
    "compare-180-cnn": compare_180.CNN,
    "vit-15-cifar10": vit_15.CIFAR10,
    "vit-15-mnist": vit_15.MNIST,
    "vit-15-cifar10-32": vit_15.CIFAR10_SMALL,
    "vit-15-mnist-32": vit_15.MNIST_SMALL,
    "cifar10-fast": cifar10_fast.RECIPE,
    "cifar10-90": cifar10_90.RECIPE,
    "cifar10-best": cifar10_best.RECIPE,
    "mnist-fast": mnist_fast.RECIPE,
    "small-data": small_data.RECIPE,
}


def recipe(name: str) -> Recipe:
    """The recipe of that name. Raises InputError with the nearest names for an unknown one."""
    if name not in RECIPES:
        raise InputError(f"unknown recipe {name!r}: {nearest(name, RECIPES)}")
    return RECIPES[name]
