"""The last layer's attention for one image through training, stored after every epoch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from vitrail import files
from vitrail.data.preprocessing import Preprocessing
from vitrail.inspection.capture import inspect
from vitrail.models.vit import ViT
from vitrail.runs.layout import ATTENTION


@dataclass(frozen=True)
class AttentionHistory:
    """`maps` are the last layer's class attention: a share of each head's attention for every patch."""

    image: UInt8[ndarray, "c h w"]
    epochs: Int[ndarray, " epoch"]
    maps: Float[ndarray, "epoch head height width"]


def add_epoch(
    directory: Path, epoch: int, model: ViT, image: UInt8[ndarray, "c h w"], preprocessing: Preprocessing
) -> None:
    """Add the model's attention after `epoch` to the run's history; later epochs, of a run that went on from an
    earlier checkpoint, are dropped.
    """
    inputs = preprocessing.normalize(torch.from_numpy(image)[None])
    attention = inspect(model, inputs).class_attention(layers=-1)[0].numpy().astype(np.float16)
    before = read(directory)
    epochs, maps = np.array([epoch]), attention
    if before is not None and np.array_equal(before.image, image) and before.maps.shape[1:] == attention.shape[1:]:
        earlier = before.epochs < epoch
        epochs = np.append(before.epochs[earlier], epoch)
        maps = np.concatenate([before.maps[earlier], attention])
    stored = {"image": image, "epochs": epochs.astype(np.int64), "maps": maps.astype(np.float16)}
    files.write_bytes(directory / ATTENTION, save(stored))


def read(directory: Path) -> AttentionHistory | None:
    """The history of a run; None where there is none or it is damaged (it then begins anew)."""
    try:
        stored = load_file(directory / ATTENTION)
        found = AttentionHistory(stored["image"], stored["epochs"], stored["maps"].astype(np.float32))
    except (OSError, SafetensorError, KeyError):
        return None
    fits = found.image.ndim == 3 and found.maps.ndim == 4 and found.epochs.shape == found.maps.shape[:1]
    return found if fits and found.epochs.dtype.kind == "i" else None
