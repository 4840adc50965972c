"""A ViT on CIFAR-10, for one GPU and twenty minutes: as high as that gives. Not run yet, for want of a GPU.

    vitrail reproduce cifar10-best
    vitrail train --recipe cifar10-best

Data: CIFAR-10, 45,000 training, 5,000 validation and 10,000 test images; random crops, mirroring, TrivialAugment and
CutMix.
The goal is the 96.5 % of CCT-7/3x1 after 300 epochs (Hassani et al. 2021, arXiv:2104.05704), whose shape it has: one
pooled convolution, 256 tokens of width 256, seven blocks of four heads. Another convolution, batch norm, mean readout,
fixed positions, normalised queries and keys and mimetic attention are ours. Trained as `cifar10-90` is, with batches
of 512, CutMix and stochastic depth. The number of epochs is a guess at twenty minutes.
"""

from vitrail.configs import AugmentConfig, DataConfig, TrainConfig, ViTConfig
from vitrail.recipes.recipe import Recipe

RECIPE = Recipe(
    data=DataConfig("cifar10"),
    model=ViTConfig(
        image_size=32,
        patch_size=2,
        num_classes=10,
        embed_dim=256,
        depth=7,
        num_heads=4,
        mlp_dim=512,
        readout=("mean",),
        stem="pooled",
        pos_embed="sincos",
        qk_norm=True,
        drop_path=0.1,
        attention_init="mimetic",
    ),
    train=TrainConfig(
        epochs=200,
        batch_size=512,
        optimizer="muon",
        lr=3e-3,
        weight_decay=0.05,
        betas=(0.9, 0.95),
        schedule="linear",
        warmup=0.02,
        label_smoothing=0.1,
        clip_norm=1.0,
        augment=AugmentConfig(crop=4, flip=True, policy="trivialaugment", cutmix=1.0),
        small_side=24,
        small_until=0.7,
    ),
    model_name="vit-best",
    seeds=1,
)
