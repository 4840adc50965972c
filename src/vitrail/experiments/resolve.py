"""What stands between options and a run: the data is opened, and everything left open is chosen and said."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vitrail.configs import DataConfig, ModelConfig, RunConfig, TrainConfig
from vitrail.data.argument import lasting
from vitrail.data.dataset import ImageDataset
from vitrail.data.preprocessing import Preprocessing, preprocessing_for
from vitrail.data.sources import Source, open_source
from vitrail.data.splits import Splits, split
from vitrail.errors import InputError
from vitrail.models.presets import preset
from vitrail.models.summary import summarize
from vitrail.progress import say
from vitrail.text import plural
from vitrail.training.choices import choose_image_size, choose_model, resolve_training


@dataclass(frozen=True, eq=False)
class Prepared:
    """A configuration with nothing left to choose, and the images it is for."""

    config: RunConfig
    dataset: ImageDataset
    splits: Splits
    preprocessing: Preprocessing
    class_names: tuple[str, ...]
    image_names: Sequence[str]
    notes: tuple[str, ...]
    """What was chosen automatically and why, and what the data needed."""
    source_name: str
    fingerprint: str
    """Changes when the classes, the labels or the choice of images change."""


def prepare(
    data: DataConfig,
    model: str | ModelConfig | None = None,
    train: TrainConfig | None = None,
    data_dir: Path | None = None,
    model_name: str | None = None,
    began_with: str | None = None,
) -> Prepared:
    """Open the data and choose all that was left open.

    Raises InputError for what cannot be used, and for data whose fingerprint is not `began_with`.
    """
    source = open_source(data.source, data_dir)
    notes = list(source.notes)
    if model is None:
        model = choose_model(source.native_size)
        notes.append(f"model {model}: the preset for images of this size")
    if isinstance(model, str):
        model_name, model = model_name or model, preset(model)
    splits = split(source.labels, source.split, data, source.class_names)
    fingerprint = _fingerprint(source, splits)
    if began_with is not None and fingerprint != began_with:
        raise InputError(
            f"{data.source} is no longer the data that the run began with, or an earlier version divided it otherwise: "
            "start a new run"
        )
    image_size = data.image_size or choose_image_size(model, source.native_size)
    model = dataclasses.replace(
        model, image_size=image_size, in_channels=source.channels, num_classes=len(source.class_names)
    )
    if source.native_size != model.size:
        notes.append(f"images resized to {model.size[0]} x {model.size[1]}: shorter side, then centre crop")
    resolved, said = resolve_training(train or TrainConfig(), model, len(splits.train))
    dataset = source.load(model.size)
    preprocessing = preprocessing_for(data, dataset, splits.train)
    stored = dataclasses.replace(data, source=lasting(data.source), image_size=model.size)
    return Prepared(
        config=RunConfig(stored, model, resolved, model_name or "custom"),
        dataset=dataset,
        splits=splits,
        preprocessing=preprocessing,
        class_names=source.class_names,
        image_names=source.image_names,
        notes=(*notes, *said),
        source_name=source.name,
        fingerprint=fingerprint,
    )


def _fingerprint(source: Source, splits: Splits) -> str:
    digest = hashlib.sha256(repr((source.class_names, list(source.image_names))).encode())
    for array in (source.labels, splits.train, splits.val, splits.test):
        digest.update(np.ascontiguousarray(array, dtype=np.int64).tobytes())
    return digest.hexdigest()


def announce(prepared: Prepared, directory: Path) -> None:
    """Say what is about to happen, and everything that was chosen."""
    config, splits = prepared.config, prepared.splits
    height, width = config.model.size
    say(
        f"{prepared.source_name}: {len(splits.train):,} training, {len(splits.val):,} validation, "
        f"{len(splits.test):,} test images of {height} x {width} x {config.model.in_channels} "
        f"in {len(prepared.class_names)} classes"
    )
    summary = summarize(config.model)
    say(
        f"{config.model_name}: {summary.parameters:,} parameters, {summary.multiply_adds / 1e6:,.1f}M multiply-adds; "
        f"{plural(config.train.epochs or 0, 'epoch')} of "
        f"{plural(len(splits.train) // (config.train.batch_size or 1), 'batch', 'batches')} of "
        f"{config.train.batch_size}, {config.train.optimizer}, learning rate {config.train.lr:g}"
    )
    for note in prepared.notes:
        say(f"  {note}")
    if config.data.val_split == "test":
        say("  validation uses the test images: the test result is not of unseen images")
    say(f"writing to {directory}")
