"""Whether images may be mirrored in training, measured on them: the mirror image of a 5 or of a left hand is none."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import NDArray

from vitrail.data.dataset import ImageDataset

_SIDE = 16
_MOST = 2000
# Of 100 images of rooms 52 are told apart, of 100 of CIFAR-10 21, of 40 of MNIST 10: with fewer, chance decides.
_ENOUGH = 50
_SURE, _MARKED = 2.0, 0.1


@dataclass(frozen=True)
class Mirroring:
    """What a linear classifier of small images, each held out once, makes of them as they are and mirrored."""

    right: int
    """Of the images as they are."""
    mirrored: int
    """Of their mirror images."""
    lost: int
    """Right as they are, wrong mirrored."""
    gained: int
    """The reverse."""

    @property
    def harms(self) -> bool:
        """Whether mirrored ones are taken for other classes markedly more often (McNemar 1947) than by chance."""
        changed = self.lost + self.gained
        return self.lost - self.gained > max(_SURE * math.sqrt(changed), _MARKED * self.right)

    @property
    def known(self) -> bool:
        """Whether enough images were told apart to say so."""
        return self.harms or self.right >= _ENOUGH


def measure_mirroring(dataset: ImageDataset, indices: NDArray[np.int64]) -> Mirroring:
    """Of these images, or of a spread of 2,000 of them, reduced to at most 16 pixels a side."""
    from sklearn.linear_model import RidgeClassifier

    chosen = indices[:: -(-len(indices) // _MOST)]
    labels = dataset.labels[chosen]
    images = _small(dataset, chosen)
    flat, flipped = images.reshape(len(chosen), -1), images[..., ::-1].reshape(len(chosen), -1)
    part = np.random.default_rng(0).permutation(len(chosen)) % 2
    right, mirrored = np.zeros(len(chosen), bool), np.zeros(len(chosen), bool)
    for held in (0, 1):
        learn, test = part != held, part == held
        if len(np.unique(labels[learn])) < 2:
            continue
        mean, std = flat[learn].mean(axis=0), flat[learn].std(axis=0) + 1.0
        classifier = RidgeClassifier(alpha=flat.shape[1]).fit((flat[learn] - mean) / std, labels[learn])
        right[test] = classifier.predict((flat[test] - mean) / std) == labels[test]
        mirrored[test] = classifier.predict((flipped[test] - mean) / std) == labels[test]
    counted = right, mirrored, right & ~mirrored, mirrored & ~right
    return Mirroring(*(int(each.sum()) for each in counted))


def _small(dataset: ImageDataset, indices: NDArray[np.int64]) -> Float[ndarray, "n c h w"]:
    images = torch.from_numpy(dataset.read(indices)).float()
    height, width = images.shape[-2:]
    return F.adaptive_avg_pool2d(images, (min(height, _SIDE), min(width, _SIDE))).numpy()
