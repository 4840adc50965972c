"""A ViT on CIFAR-10 in ninety minutes of training on two CPU cores: 90 % validation accuracy is the goal.

    vitrail reproduce cifar10-90
    vitrail train --recipe cifar10-90

Data: CIFAR-10, 45,000 training, 5,000 validation and 10,000 test images; random crops, mirroring and TrivialAugment.
2.8M parameters, no teacher. Where `cifar10-fast` cuts patches out, two convolutions with overlapping pooling find
them, and Muon takes the second's kernels too: after 200 seconds, one seed, 75.4 % instead of 69.0 %, with depth 4 and
width 256 instead of 6 and 192 76.3 %. From there it has initialisation, optimizer, smoothed labels and small images
first; five blocks of width 256, and TrivialAugment for the greater number of epochs.

cifar10-90: validation accuracy 88.1 %, test accuracy 88.5 % after 66.2 min of training on cifar10-jpeg.zip (1 seed;
AMD EPYC, 2 cores). It misses its goal by two points: with TrivialAugment this model has learned only 87 % of the images
it was shown, so that it is too slow a learner, not one that knows its images by heart.
"""

from vitrail.configs import AugmentConfig, DataConfig, TrainConfig, ViTConfig
from vitrail.recipes.recipe import Recipe

RECIPE = Recipe(
    data=DataConfig("cifar10"),
    model=ViTConfig(
        image_size=32,
        patch_size=4,
        num_classes=10,
        embed_dim=256,
        depth=5,
        num_heads=4,
        mlp_dim=512,
        readout=("mean",),
        stem="pooled",
        pos_embed="sincos",
        qk_norm=True,
        attention_init="mimetic",
    ),
    train=TrainConfig(
        epochs=24,
        batch_size=128,
        optimizer="muon",
        lr=3e-3,
        weight_decay=0.05,
        betas=(0.9, 0.95),
        schedule="linear",
        warmup=0.02,
        label_smoothing=0.1,
        clip_norm=1.0,
        augment=AugmentConfig(crop=4, flip=True, policy="trivialaugment"),
        small_side=24,
        small_until=0.7,
    ),
    model_name="vit-90",
    seeds=1,
)
