"""The model before its first step."""

from __future__ import annotations

import math

import torch
from einops import rearrange

from vitrail.configs import RunConfig
from vitrail.models.build import Model, build_model
from vitrail.models.initialization import whiten
from vitrail.models.stems import LinearStem, patchify
from vitrail.models.vit import ViT
from vitrail.training.data import TrainingData

_MOST_PIXELS_TO_WHITEN = 10_000_000


def initial_model(config: RunConfig, data: TrainingData) -> Model:
    """The model that a run begins with, on the CPU; seeds torch's generator."""
    torch.manual_seed(config.train.seed)
    model = build_model(config.model)
    if config.train.whiten_patches:
        assert isinstance(model, ViT)
        assert isinstance(model.patch_embed, LinearStem)
        # Patches of training images taken evenly.
        some = data.train[:: -(-len(data.train) * math.prod(config.model.size) // _MOST_PIXELS_TO_WHITEN)]
        images = data.preprocessing.normalize(torch.from_numpy(data.dataset.read(some)))
        patches = patchify(images, model.patch_embed.patch_size)
        whiten(model.patch_embed.proj, rearrange(patches, "image patch vector -> (image patch) vector"))
    return model
