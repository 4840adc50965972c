"""A ViT on 600 images of CIFAR-10, sixty of each class, in five minutes of training on two CPU cores.

    vitrail reproduce small-data
    vitrail train --recipe small-data

Data: 600 training images of CIFAR-10, as many of each class; 1,000 others validate, and the test is of all 10,000.
Nothing else is learned from.
A stem of pooled convolutions, which need not learn that near pixels belong together; mimetic attention; and images
that are never the same twice: crops, mirroring, TrivialAugment and CutMix.
"""

from vitrail.configs import AugmentConfig, DataConfig, TrainConfig, ViTConfig
from vitrail.recipes.recipe import Recipe

RECIPE = Recipe(
    data=DataConfig("cifar10", train_subset=600, val_fraction=0.02),
    model=ViTConfig(
        image_size=32,
        patch_size=4,
        num_classes=10,
        embed_dim=128,
        depth=4,
        num_heads=4,
        mlp_dim=256,
        readout=("mean",),
        stem="pooled",
        pos_embed="sincos",
        qk_norm=True,
        drop_path=0.1,
        attention_init="mimetic",
    ),
    train=TrainConfig(
        epochs=170,
        batch_size=60,
        optimizer="muon",
        lr=2e-3,
        weight_decay=0.05,
        betas=(0.9, 0.95),
        schedule="linear",
        warmup=0.05,
        label_smoothing=0.1,
        clip_norm=1.0,
        augment=AugmentConfig(crop=4, flip=True, policy="trivialaugment", cutmix=1.0),
    ),
    model_name="vit-small-data",
)
