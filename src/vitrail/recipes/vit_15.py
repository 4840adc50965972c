"""ViT-B/16 for 15 epochs on CIFAR-10 and on MNIST: the results of a published tutorial.

    vitrail reproduce vit-15-cifar10                 and vit-15-mnist: at 224 pixels, for a GPU
    vitrail reproduce vit-15-cifar10-32              and vit-15-mnist-32: the images' own size, for two cores

Data: all training images but the tenth that validates; resized to 224 pixels, which takes 9 GB of disk, MNIST's in
one channel. The small variants have half the depth, a quarter of the width and patches of 4, and keep the rest: heads
of 64, a hidden layer of four times the width, dropout 0.1 in MLP and embedding. CIFAR-10 has 32 pixels, MNIST 28.

The source leaves open: optimizer, rate, decay, batch, schedule, augmentation and how positions start (here: AdamW at
3e-4, 0.05, 128, a twentieth of the steps as warm-up and then a cosine, none, and a standard deviation of 0.02).

vit-15-cifar10-32: validation accuracy 64.1 %, test accuracy 63.4 % after 60.0 min of training on cifar10-jpeg.zip (1
seed; AMD EPYC, 2 cores).
vit-15-mnist-32: validation accuracy 97.8 %, test accuracy 97.9 % after 71.9 min of training on ./mnist (1 seed; AMD
EPYC, 2 cores).
"""

from dataclasses import replace

from vitrail.configs import NO_AUGMENTATION, DataConfig, TrainConfig
from vitrail.models.presets import vit_b16_10
from vitrail.recipes.recipe import Recipe

_TRAIN = TrainConfig(
    epochs=15, batch_size=128, optimizer="adamw", lr=3e-4, weight_decay=0.05, warmup=0.05, augment=NO_AUGMENTATION
)
_BASE = vit_b16_10()
_SMALL = replace(_BASE, image_size=32, patch_size=4, embed_dim=192, depth=6, num_heads=3, mlp_dim=768)

CIFAR10 = Recipe(DataConfig("cifar10"), _BASE, _TRAIN, "vit-b16-10", seeds=1)
MNIST = Recipe(DataConfig("mnist"), replace(_BASE, in_channels=1), _TRAIN, "vit-b16-10", seeds=1)
CIFAR10_SMALL = Recipe(DataConfig("cifar10"), _SMALL, _TRAIN, "vit-b16-10-small", seeds=1)
MNIST_SMALL = Recipe(
    DataConfig("mnist"), replace(_SMALL, in_channels=1, image_size=28), _TRAIN, "vit-b16-10-small", seeds=1
)
