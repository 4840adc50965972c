"""What stands between options and a run: everything left open is chosen and noted, then the images are loaded."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float, UInt64
from numpy import ndarray
from torch import Tensor

from vitrail.configs import DataConfig, ModelConfig, RunConfig, TrainConfig
from vitrail.data.argument import lasting
from vitrail.data.dataset import ImageDataset
from vitrail.data.decoding import Framing
from vitrail.data.mirroring import Mirroring, measure_mirroring
from vitrail.data.preprocessing import Preprocessing, measure, preprocessing_for
from vitrail.data.sources import Source, open_source
from vitrail.data.splits import Indices, Splits, split
from vitrail.data.tones import Tones, choose, misfit, one_colour
from vitrail.errors import InputError
from vitrail.experiments.automatic import choose_image_size, choose_model, resolve_training
from vitrail.models.presets import preset
from vitrail.models.summary import summarize
from vitrail.progress import say, say_in_lines
from vitrail.text import plural
from vitrail.training.data import TrainingData

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Resolved:
    """A configuration with nothing left to choose, and what is known of its images but for their pixels."""

    config: RunConfig
    splits: Splits
    preprocessing: Preprocessing
    class_names: tuple[str, ...]
    image_names: Sequence[str]
    mirroring: Mirroring | None
    """What was measured of mirror images; None where the configuration says whether there are any."""
    found: tuple[str, ...]
    """What the data needed, and which model and size were chosen for it."""
    chosen: tuple[str, ...]
    """What was chosen for the training, and why."""
    source_name: str
    fingerprint: str
    """Changes when the classes, the labels or the choice of images change."""
    content: str
    """Changes when an image does."""
    seen: UInt64[ndarray, " n"]
    """Hashes of the images that train, or validate without being the test."""
    data_dir: Path | None

    @property
    def notes(self) -> tuple[str, ...]:
        return (*self.found, *self.chosen)


@dataclass(frozen=True, eq=False)
class Prepared(Resolved):
    """What is needed to train a run, or to measure its model."""

    dataset: ImageDataset

    @property
    def training_data(self) -> TrainingData:
        return TrainingData(self.dataset, self.splits.train, self.splits.val, self.preprocessing)

    def inputs(self, indices: Indices) -> Float[Tensor, "n c h w"]:
        """Images as the model takes them."""
        return self.preprocessing.normalize(torch.from_numpy(self.dataset.read(indices)))


class OtherData(InputError):  # noqa: N818 (data that is not what was asked for is no error in itself)
    """Not the images that a run began with, or not in the same classes and splits."""


class Loader:
    """Reads images once for all consecutive runs that need the same; never holds two data sets."""

    def __init__(self) -> None:
        self._held: tuple[str, Framing, ImageDataset] | None = None
        self._known: dict[tuple[Any, str, Framing, bytes], Any] = {}

    def once(self, of: Callable[[ImageDataset, Indices], T], source: Source, framing: Framing, train: Indices) -> T:
        """What `of` says of the images that train, asked once for all runs that need the same."""
        key = (of, source.content, framing, train.tobytes())
        if key not in self._known:
            self._known[key] = of(self._dataset(source.content, framing, lambda: source), train)
        found: T = self._known[key]
        return found

    def load(self, resolved: Resolved) -> Prepared:
        """A run with its images. Raises InputError where they have changed since `resolve`."""

        def opened() -> Source:
            of = resolved.config.data
            source = open_source(of.source, resolved.data_dir, of.layout)
            if source.content != resolved.content:
                raise InputError(f"the images of {of.source} have just changed: begin again")
            return source

        dataset = self._dataset(resolved.content, resolved.preprocessing.framing, opened)
        return Prepared(**vars(resolved), dataset=dataset)

    def _dataset(self, content: str, framing: Framing, opened: Callable[[], Source]) -> ImageDataset:
        if self._held is None or self._held[:2] != (content, framing):
            self._held = None
            self._held = (content, framing, opened().load(framing))
        return self._held[2]


def resolve(
    data: DataConfig,
    model: str | ModelConfig | None = None,
    train: TrainConfig | None = None,
    data_dir: Path | None = None,
    model_name: str | None = None,
    began_with: str | None = None,
    loader: Loader | None = None,
    tones: Tones | None = None,
) -> Resolved:
    """Open the data and choose all that was left open, which is from then on part of the configuration.

    Pixels are read only to measure mean and standard deviation where they are not given, and are left with `loader`.
    `tones` are those that the run began with; without them they are chosen for the images that train.

    Raises InputError for what cannot be used, and for data whose fingerprint is not `began_with`.
    """
    source = open_source(data.source, data_dir, data.layout)
    notes = list(source.notes)
    if model is None:
        model = choose_model(source.native_size)
        notes.append(f"model {model}: the preset for images of this size")
    if isinstance(model, str):
        model_name, model = model_name or model, preset(model)
    splits = split(source.labels, source.split, data, source.class_names)
    fingerprint = _fingerprint(source, splits)
    if began_with is not None and fingerprint != began_with:
        raise OtherData(
            f"{data.source} is no longer the data that the run began with, or an earlier version divided it otherwise"
        )
    image_size = data.image_size or choose_image_size(model, source.native_size)
    model = dataclasses.replace(
        model, image_size=image_size, in_channels=source.channels, num_classes=len(source.class_names)
    )
    if source.native_size != model.size:
        notes.append(f"images resized to {model.size[0]} x {model.size[1]}: shorter side, then centre crop")
    if tones is None:
        learned = [source.headers[at] for at in splits.train]
        tones, said = choose(learned, data.pixel_range)
        names = [source.image_names[at] for at in splits.train]
        notes += [*said, *one_colour(learned, names, tones)]
        if tones.pixel_range is None and (unlike := misfit(source.headers, tones)):
            notes.append(f"no training image has more than 8 bits, but others have: {unlike}")
    train, loader, framing = train or TrainConfig(), loader or Loader(), Framing(model.size, tones=tones)
    undecided = train.augment.flip is None
    mirroring = loader.once(measure_mirroring, source, framing, splits.train) if undecided else None
    train, chosen = resolve_training(train, model, len(splits.train), mirroring)
    data = dataclasses.replace(data, source=lasting(data.source), image_size=model.size, pixel_range=tones.pixel_range)
    if data.mean is None or data.std is None:
        mean, std = loader.once(measure, source, framing, splits.train)
        data = dataclasses.replace(data, mean=data.mean or mean, std=data.std or std)
    return Resolved(
        config=RunConfig(data, model, train, model_name or "custom"),
        splits=splits,
        preprocessing=preprocessing_for(data, source.channels, tones),
        class_names=source.class_names,
        image_names=source.image_names,
        mirroring=mirroring,
        found=tuple(notes),
        chosen=chosen,
        source_name=source.name,
        fingerprint=fingerprint,
        content=source.content,
        seen=hashes(source)[splits.train if data.val_split == "test" else np.concatenate([splits.train, splits.val])],
        data_dir=data_dir,
    )


def _fingerprint(source: Source, splits: Splits) -> str:
    digest = hashlib.sha256(repr((source.class_names, list(source.image_names))).encode())
    for array in (source.labels, splits.train, splits.val, splits.test):
        digest.update(np.ascontiguousarray(array, dtype=np.int64).tobytes())
    return digest.hexdigest()


def is_data_of(source: Source, data: DataConfig, fingerprint: str, content: str | None) -> bool:
    """Whether a run of this configuration, fingerprint and content began with these images."""
    try:
        splits = split(source.labels, source.split, data, source.class_names)
    except InputError:
        return False
    return content in (None, source.content) and fingerprint == _fingerprint(source, splits)


def hashes(source: Source) -> UInt64[ndarray, " n"]:
    """One for each image: equal images, as files or else as pixels, have equal ones."""
    return np.array([int(digest, 16) for digest in source.digests()], np.uint64)


def announce(resolved: Resolved, directory: Path) -> None:
    """Say what is about to happen, and everything that was chosen."""
    config, splits = resolved.config, resolved.splits
    height, width = config.model.size
    say_in_lines(
        f"{resolved.source_name}: {len(splits.train):,} training, {len(splits.val):,} validation, "
        f"{len(splits.test):,} test images of {height} x {width} x {config.model.in_channels} "
        f"in {len(resolved.class_names)} classes"
    )
    summary = summarize(config.model)
    say_in_lines(
        f"{config.model_name}: {summary.parameters:,} parameters, {summary.multiply_adds / 1e6:,.1f}M multiply-adds; "
        f"{plural(config.train.epochs or 0, 'epoch')} of "
        f"{plural(len(splits.train) // (config.train.batch_size or 1), 'batch', 'batches')} of "
        f"{config.train.batch_size}, {config.train.optimizer}, learning rate {config.train.lr:g}"
    )
    for note in resolved.notes:
        say_in_lines(f"  {note}")
    if config.data.val_split == "test":
        say_in_lines("  validation uses the test images: the test result is not of unseen images")
    say(f"writing to {directory}")
