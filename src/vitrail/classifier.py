"""A model with all that is needed to use it: its preprocessing and the names of its classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from vitrail import checkpoint, files
from vitrail.configs import model_from_json, model_to_json
from vitrail.data.dataset import ImageDataset
from vitrail.data.preprocessing import Preprocessing
from vitrail.errors import InputError
from vitrail.models.build import Model, build_model
from vitrail.progress import say

Picture = str | Path | Image.Image | NDArray[np.uint8]
Precision = Literal["fp32", "bf16"]

_BATCH = 256


def predict_logits(
    model: torch.nn.Module,
    dataset: ImageDataset,
    indices: NDArray[np.int64],
    preprocessing: Preprocessing,
    precision: Precision = "fp32",
    advance: Callable[[int], None] = lambda n: None,
    batch_size: int = _BATCH,
) -> NDArray[np.float32]:
    """Logits (N, K) of the images at `indices`, in evaluation mode; `advance` hears of every batch."""
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    parts = []
    try:
        for start in range(0, len(indices), batch_size):
            images = torch.from_numpy(dataset.read(indices[start : start + batch_size])).to(device)
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                parts.append(model(preprocessing.normalize(images)).float().cpu())
            advance(len(images))
    finally:
        model.train(was_training)
    return torch.cat(parts).numpy() if parts else np.zeros((0, 0), np.float32)


@dataclass(frozen=True, eq=False)
class Classifier:
    """Everything between a picture and the probabilities of named classes."""

    model: Model
    preprocessing: Preprocessing
    class_names: tuple[str, ...]

    def prepare(self, images: Picture | Tensor | Sequence[Picture]) -> Float[Tensor, "batch channel height width"]:
        """Model input: a float tensor (N, C, H, W) is taken as it is; pictures are decoded, resized, normalised.

        A picture is a path, a PIL image or a uint8 array (H, W) or (H, W, C); one or a sequence of them, or a
        uint8 array (N, H, W, C). Raises InputError naming a file that cannot be read.
        """
        if isinstance(images, Tensor) and images.is_floating_point():
            return images
        single = isinstance(images, str | Path | Image.Image) or (isinstance(images, np.ndarray) and images.ndim < 4)
        pictures: Any = [images] if single else images
        if len(pictures) == 0:
            raise InputError("no images were given")
        return self.preprocessing.normalize(
            torch.from_numpy(np.stack([self.preprocessing.read(picture) for picture in pictures]))
        )

    def logits(self, images: Picture | Tensor | Sequence[Picture]) -> Float[Tensor, "batch class"]:
        """Unnormalised scores, float32 on the CPU."""
        device = next(self.model.parameters()).device
        with torch.inference_mode():
            return self.model.eval()(self.prepare(images).to(device)).float().cpu()

    def predict(self, images: Picture | Tensor | Sequence[Picture]) -> Float[Tensor, "batch class"]:
        """Probabilities: softmax of the logits; each row sums to one. For what is accepted see `prepare`."""
        return self.logits(images).softmax(dim=-1)

    def save(self, directory: str | Path) -> None:
        """Write a directory that `load`, and every verb that takes a run, reads. Raises InputError if not empty."""
        directory = Path(directory)
        if directory.exists() and any(directory.iterdir()):
            raise InputError(f"{directory} is not empty: name another directory, or empty this one")
        directory.mkdir(parents=True, exist_ok=True)
        tensors: dict[str, dict[str, Tensor]] = {part: {} for part in checkpoint.PARTS}
        tensors["model"] = dict(self.model.state_dict())
        checkpoint.save(directory / "checkpoints", checkpoint.Checkpoint(0, {}, tensors))
        stored = {
            "config": {"model_name": "custom", "model": model_to_json(self.model.config)},
            "class_names": list(self.class_names),
            "preprocessing": self.preprocessing.to_json(),
        }
        files.write_json(directory / "run.json", stored)


def load(directory: str | Path) -> Classifier:
    """The classifier of a run (its latest intact checkpoint) or of `Classifier.save`, on the CPU.

    Raises InputError naming what is missing or damaged.
    """
    directory = Path(directory)
    if not (directory / "run.json").is_file():
        raise InputError(f"{directory} is not a run: it has no run.json")
    stored = files.read_json(directory / "run.json")
    for candidate in checkpoint.from_latest(directory / "checkpoints"):
        if isinstance(candidate, checkpoint.DamagedCheckpoint):
            say(f"{candidate}: using the one before")
            continue
        try:
            with torch.device("meta"):
                model = build_model(model_from_json(stored["config"]["model"]))
            model.load_state_dict(candidate.tensors["model"], assign=True)
            return Classifier(
                model.eval(), Preprocessing.from_json(stored["preprocessing"]), tuple(stored["class_names"])
            )
        except (KeyError, TypeError, RuntimeError) as error:
            raise InputError(f"{directory / 'run.json'} does not fit its checkpoint: {error}") from error
    raise InputError(f"{directory} has no intact checkpoint: 'vitrail resume {directory}' goes on with the run")
