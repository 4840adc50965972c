"""Whether mirrored images keep their class, on images whose answer is known."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from vitrail.data.dataset import ImageDataset
from vitrail.data.mirroring import measure_mirroring


def made(images, labels):
    return ImageDataset(images, labels), np.arange(len(labels))


def digits(count):
    images, labels = load_digits(return_X_y=True)
    return made((images[:count] * 15).astype(np.uint8).reshape(-1, 1, 8, 8), labels[:count])


def stripes(horizontal: bool, count=200, side=20):
    """Bright in one half or the other: left or right, which mirroring exchanges, or top or bottom."""
    labels = np.arange(count) % 2
    images = np.random.default_rng(0).integers(0, 60, (count, 3, side, side), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        half = slice(side // 2) if label else slice(side // 2, None)
        image[(slice(None), slice(None), half) if horizontal else (slice(None), half)] += 120
    return made(images, labels)


@pytest.mark.parametrize(
    ("data", "harms", "known"),
    [
        (digits(1000), True, True),
        (digits(100), True, True),
        (stripes(horizontal=True), True, True),
        (stripes(horizontal=False), False, True),
        (stripes(horizontal=False, count=20), False, False),
    ],
)
def test_what_mirroring_does_to_a_class(data, harms, known):
    found = measure_mirroring(*data)
    assert (found.harms, found.known) == (harms, known)
    assert found.right - found.mirrored == found.lost - found.gained


def test_left_and_right_are_exchanged():
    found = measure_mirroring(*stripes(horizontal=True))
    assert (found.right, found.mirrored) == (200, 0)


def test_images_of_pure_noise_decide_nothing():
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (60, 1, 8, 8), dtype=np.uint8)
    found = measure_mirroring(*made(images, generator.integers(0, 10, 60)))
    assert not found.harms
    assert not found.known


@pytest.mark.parametrize("count", [1, 2, 3])
def test_hardly_any_images_decide_nothing(count):
    found = measure_mirroring(*made(np.zeros((count, 3, 8, 8), np.uint8), np.arange(count) % 2))
    assert not found.known
