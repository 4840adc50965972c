"""A model with all that is needed to use it: its preprocessing and the names of its classes."""

from __future__ import annotations

import dataclasses
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
from vitrail.configs.serialization import model_from_json, model_to_json
from vitrail.data.dataset import ImageDataset
from vitrail.data.preprocessing import Preprocessing
from vitrail.errors import InputError
from vitrail.frozen import FrozenModel
from vitrail.models.build import Model, build_model, evaluating
from vitrail.progress import warn
from vitrail.runs.adoption import Adoption
from vitrail.runs.comparison import Comparison
from vitrail.runs.directory import Run
from vitrail.runs.layout import RUN
from vitrail.text import quoted

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
) -> NDArray[np.float32]:
    """Logits (N, K) of the images at `indices`, in evaluation mode; `advance` is told how many at a time."""
    device = next(model.parameters()).device
    parts = []
    with evaluating(model):
        for start in range(0, len(indices), _BATCH):
            images = torch.from_numpy(dataset.read(indices[start : start + _BATCH])).to(device)
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                parts.append(model(preprocessing.normalize(images)).float().cpu())
            advance(len(images))
    return torch.cat(parts).numpy() if parts else np.zeros((0, 0), np.float32)


@dataclass(frozen=True, eq=False)
class Classifier:
    """Everything between a picture and the probabilities of named classes."""

    model: Model
    preprocessing: Preprocessing
    class_names: tuple[str, ...]
    adoption: Adoption | None = None
    """Where the weights come from, unless they were trained here."""
    frozen: FrozenModel | None = None
    """Answers instead of the model where the classifier is a `compiled` one."""

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
        inputs = self.prepare(images)
        if self.frozen is not None:
            return self.frozen(inputs)
        device = next(self.model.parameters()).device
        self.model.eval()
        with torch.inference_mode():
            return torch.cat([self.model(part.to(device)).float().cpu() for part in inputs.split(_BATCH)])

    def predict(self, images: Picture | Tensor | Sequence[Picture]) -> Float[Tensor, "batch class"]:
        """Probabilities: softmax of the logits; each row sums to one. For what is accepted see `prepare`."""
        return self.logits(images).softmax(dim=-1)

    def compiled(self, batch_size: int = 1) -> Classifier:
        """The same classifier, made ready to answer quickly, as for a camera: by default one image at a time.

        Its weights are frozen: what is done to `model` afterwards does not change its answers. It computes in bf16
        where the hardware multiplies that faster, so that logits differ by rounding. Compiling takes up to a
        minute. Raises InputError where there is no C++ compiler.
        """
        return dataclasses.replace(self, frozen=FrozenModel(self.model, batch_size, self.preprocessing.image_size))

    def save(self, directory: str | Path) -> None:
        """Write a directory that `load`, `vitrail predict` and `vitrail evaluate --data` take like a run.

        Raises InputError where it is not an empty directory.
        """
        with files.claimed(Path(directory), "name another directory") as claimed:
            self.write(claimed)

    def write(self, directory: Path) -> None:
        """As `save`, into a directory that is claimed."""
        tensors: dict[str, dict[str, Tensor]] = {part: {} for part in checkpoint.PARTS}
        tensors["model"] = dict(self.model.state_dict())
        checkpoint.save(Run(directory).checkpoints, checkpoint.Checkpoint(0, {}, tensors))
        stored = {
            "config": {"model_name": "custom", "model": model_to_json(self.model.config)},
            "class_names": list(self.class_names),
            "preprocessing": dataclasses.asdict(self.preprocessing),
            "adoption": None if self.adoption is None else dataclasses.asdict(self.adoption),
        }
        files.write_json(directory / RUN, stored)


def load(directory: str | Path) -> Classifier:
    """The classifier of a run (its latest intact checkpoint) or of `Classifier.save`, on the CPU.

    Raises InputError naming what is missing or damaged.
    """
    directory = Path(directory)
    if Comparison(directory).finished:
        raise InputError(f"{directory} is a comparison: name one of the runs in it")
    run = Run(directory)
    stored = run.info
    for candidate in checkpoint.from_latest(run.checkpoints):
        if isinstance(candidate, checkpoint.DamagedCheckpoint):
            warn(f"{candidate}: looking for the one before")
            continue
        try:
            with torch.device("meta"):
                model = build_model(model_from_json(stored["config"]["model"]))
            model.load_state_dict(candidate.tensors["model"], assign=True)
            if not all(bool(tensor.isfinite().all()) for tensor in candidate.tensors["model"].values()):
                raise InputError(f"{directory} has weights that are not finite numbers: its model has no answers")
            class_names = tuple(map(str, stored["class_names"]))
            if len(class_names) != model.config.num_classes:
                raise ValueError(f"{len(class_names)} class names for {model.config.num_classes} classes")
            if (done := candidate.state.get("epochs", 0)) < (run.planned_epochs or 0):
                warn(f"vitrail: {directory} is not finished: its model has had {done} of {run.planned_epochs} epochs")
            preprocessing = Preprocessing.from_json(stored["preprocessing"])
            return Classifier(model.eval(), preprocessing, class_names, Adoption.of(stored))
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"{directory / RUN} does not fit its checkpoint: {reason}") from error
    cure = f"'vitrail resume {quoted(directory)}' goes on with the run" if run.trained_here else "save it again"
    raise InputError(f"{directory} has no intact checkpoint: {cure}")
