"""A ViT on CIFAR-10, for one GPU and twenty minutes: as high as that gives. There is no record of it yet.

    vitrail reproduce cifar10-best
    vitrail train --recipe cifar10-best

Data: CIFAR-10, 45,000 training, 5,000 validation and 10,000 test images; random crops, mirroring, TrivialAugment and
CutMix.
The goal is the 96.5 % of CCT-7/3x1 after 300 epochs (Hassani et al. 2021, arXiv:2104.05704), whose shape it has: one
pooled convolution, 256 tokens of width 256, seven blocks of four heads. Another convolution, batch norm, mean readout,
fixed positions, normalised queries and keys and mimetic attention are ours. Trained as `cifar10-90` is, with batches
of 512, CutMix and stochastic depth. The number of epochs is a guess at twenty minutes.
"""

from dataclasses import replace

from vitrail.configs import DataConfig
from vitrail.recipes import cifar10_90 as ninety
from vitrail.recipes.recipe import Recipe

MODEL = replace(ninety.MODEL, patch_size=2, depth=7, drop_path=0.1)
TRAIN = replace(
    ninety.TRAIN, epochs=200, batch_size=512, augment=replace(ninety.TRAIN.augment, policy_version=2, cutmix=1.0)
)
RECIPE = Recipe(DataConfig("cifar10"), MODEL, TRAIN, "vit-best", seeds=1)
