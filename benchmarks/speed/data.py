"""Data: augmenting whole batches against one image at a time, and decoding a folder of photographs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.speed import timing
from benchmarks.speed.timing import Action, Row
from vitrail import hardware
from vitrail.adoption.optional import declare_missing_operators
from vitrail.configs import AugmentConfig
from vitrail.data.augment import augment
from vitrail.data.preprocessing import Preprocessing
from vitrail.data.sources import open_source

_declared = declare_missing_operators()

_BATCH = 128
_PHOTOGRAPHS, _SIDE, _TARGET = 400, 500, 224


def measure(everything: bool) -> Iterator[list[Row]]:
    images = np.random.default_rng(0).integers(0, 256, (10 * _BATCH, 3, 32, 32), dtype=np.uint8)
    yield _augmenting("crop and mirror", images, AugmentConfig(crop=4, flip=True))
    yield _augmenting("TrivialAugment", images, AugmentConfig(crop=4, flip=True, policy="trivialaugment"))
    with tempfile.TemporaryDirectory() as folder:
        yield _decoding(Path(folder))


def _augmenting(name: str, images: NDArray[np.uint8], config: AugmentConfig) -> list[Row]:
    from torchvision import transforms

    preprocessing = Preprocessing((32, 32), 3, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))

    def batched() -> None:
        for start in range(0, len(images), _BATCH):
            batch = torch.from_numpy(images[start : start + _BATCH]).to(timing.device())
            augment(batch, config, preprocessing)

    one = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4, padding_mode="reflect"),
            transforms.RandomHorizontalFlip(),
            *([transforms.TrivialAugmentWide()] if config.policy == "trivialaugment" else []),
            transforms.ToTensor(),
            transforms.Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
        ]
    )
    pictures = [Image.fromarray(image.transpose(1, 2, 0)) for image in images]
    workers = hardware.available_cores()
    actions: dict[str, Action] = {
        "ours, batched": batched,
        "torchvision, one by one": _loading(_Pictures(pictures, one), 0),
        f"torchvision, one by one, {workers} workers": _loading(_Pictures(pictures, one), workers),
    }
    return timing.rates(f"augmentation, {name}, 32 pixels", timing.alternate(actions), len(images), "images/s")


class _Pictures(torch.utils.data.Dataset):
    def __init__(self, pictures, transform) -> None:
        self.pictures, self.transform = pictures, transform

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int):
        return self.transform(self.pictures[index])


def _loading(dataset: torch.utils.data.Dataset, workers: int) -> Action:
    """Workers live on, as they do in a long training."""
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=_BATCH, num_workers=workers, persistent_workers=workers > 0
    )

    def drain() -> None:
        for _ in loader:
            pass

    return drain


def _decoding(folder: Path) -> list[Row]:
    """The first reading of photographs; every later one is a read of the cache."""
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    _photographs(folder / "photographs")
    transform = transforms.Compose([transforms.Resize(_TARGET), transforms.CenterCrop(_TARGET), transforms.ToTensor()])
    times = 0

    preprocessing = Preprocessing((_TARGET, _TARGET), 3, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    order = np.random.default_rng(0).permutation(_PHOTOGRAPHS)

    def ours(cache: Path) -> None:
        dataset = open_source(folder / "photographs", cache).load((_TARGET, _TARGET))
        for start in range(0, _PHOTOGRAPHS, _BATCH):
            preprocessing.normalize(torch.from_numpy(dataset.read(order[start : start + _BATCH])))

    def first() -> None:
        nonlocal times
        times += 1
        ours(folder / f"cache-{times}")

    again = folder / "cache"
    ours(again)
    workers = hardware.available_cores()
    theirs = ImageFolder(folder / "photographs", transform)
    actions: dict[str, Action] = {
        "ours, the first time": first,
        "ours, every later time": lambda: ours(again),
        f"torchvision, {workers} workers, every time": _loading(theirs, workers),
    }
    group = f"decoding, {_PHOTOGRAPHS} JPEG files of {_SIDE} pixels, to {_TARGET}"
    return timing.rates(group, timing.alternate(actions), _PHOTOGRAPHS, "images/s")


def _photographs(folder: Path) -> None:
    """Crops of scikit-learn's two photographs, enlarged: JPEG files that are as hard to decode as people's own."""
    from sklearn.datasets import load_sample_images

    originals = [Image.fromarray(image) for image in load_sample_images().images]
    rng = np.random.default_rng(0)
    for i in range(_PHOTOGRAPHS):
        original = originals[i % 2]
        side = int(rng.integers(200, original.height))
        left, top = (int(rng.integers(0, length - side + 1)) for length in original.size)
        crop = original.crop((left, top, left + side, top + side)).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
        path = folder / ("flower" if i % 2 else "temple") / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        crop.save(path, quality=90)
