"""A run small enough to repeat in every test; as a script, it makes one in a process of its own.

python small_run.py DIRECTORY COMPILE INTERRUPT_AFTER
"""

import dataclasses
import sys
from pathlib import Path

import numpy as np

from vitrail.configs import AugmentConfig, CNNConfig, DataConfig, RunConfig, TrainConfig, ViTConfig
from vitrail.data.dataset import ImageDataset
from vitrail.data.preprocessing import Preprocessing
from vitrail.errors import Interrupted
from vitrail.training.data import TrainingData
from vitrail.training.recorders import run_recorders
from vitrail.training.trainer import Trainer

VIT = ViTConfig(
    image_size=8,
    patch_size=4,
    in_channels=1,
    num_classes=3,
    embed_dim=16,
    depth=2,
    num_heads=2,
    mlp_dim=16,
    dropout=0.2,
    attn_dropout=0.1,
    drop_path=0.1,
)
CNN = CNNConfig(image_size=8, in_channels=1, num_classes=3, widths=(4, 8), blocks_per_stage=1, hidden=(8,))
TRAIN = TrainConfig(
    epochs=3,
    batch_size=8,
    optimizer="adamw",
    lr=1e-2,
    weight_decay=0.01,
    warmup=0.1,
    augment=AugmentConfig(crop=1, flip=True),
    precision="fp32",
    compile="off",
    device="cpu",
    threads=2,
)
STEPS_PER_EPOCH = 5
# One after every step, one for the only batch of validation images, one after the epoch.
CHECKS_PER_EPOCH = 7


def data(count: int = 44) -> TrainingData:
    generator = np.random.default_rng(0)
    labels = np.arange(count) % 3
    images = generator.integers(0, 100, (count, 1, 8, 8), dtype=np.uint8)
    for k in range(3):
        images[labels == k, :, k * 2 : k * 2 + 2] += 120
    dataset = ImageDataset(images, labels)
    return TrainingData(dataset, np.arange(42), np.arange(42, count), Preprocessing((8, 8), 1, (0.4,), (0.25,)))


def run_config(model=VIT, **changes) -> RunConfig:
    return RunConfig(DataConfig("test"), model, dataclasses.replace(TRAIN, **changes), "test")


def interrupting_after(steps: int):
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == steps:
            raise Interrupted(2)

    return check


def fit(config, directory, check=lambda: None, observe=None) -> bytes:
    directory.mkdir(exist_ok=True)
    images = data()
    Trainer(config, images, directory, check, run_recorders(config, images, directory, observe)).fit()
    return last_weights(directory)


def last_weights(directory) -> bytes:
    return (directory / "checkpoints" / f"step-{3 * STEPS_PER_EPOCH:08d}" / "model.safetensors").read_bytes()


if __name__ == "__main__":
    directory, compile_, steps = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    try:
        fit(run_config(compile=compile_), directory, interrupting_after(steps))
    except Interrupted:
        sys.exit(130)
