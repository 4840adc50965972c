"""Many images through a model, a few at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from vitrail.classifier import Classifier, Picture
from vitrail.errors import InputError
from vitrail.models.build import Model, evaluating, uncompiled
from vitrail.models.tap import Tap
from vitrail.progress import track

Inspected = Classifier | Model
"""What is looked into: a classifier, or a model alone, which takes nothing but its own float input."""

Images = Tensor | NDArray[np.uint8] | Sequence[Picture]
"""A float tensor (batch, channel, height, width) as the model takes it; for a classifier also what it has to prepare:
a uint8 tensor (batch, channel, height, width), a uint8 array (batch, height, width, channel), or several pictures."""

Labels = Sequence[int] | NDArray[np.integer] | Tensor
"""The true class of every image."""


def model_and_input(
    model: Inspected, images: Picture | Tensor | Sequence[Picture]
) -> tuple[Model, Float[Tensor, "batch channel height width"]]:
    """The bare model, and images as its float input. Raises InputError for what a bare model cannot take."""
    if isinstance(model, Classifier):
        net, inputs = model.model, model.prepare(images)
    elif isinstance(images, Tensor) and images.is_floating_point():
        net, inputs = model, images
    else:
        raise InputError("a model alone takes a float tensor (batch, channel, height, width); a Classifier any picture")
    if inputs.ndim != 4 or inputs.shape[1] != net.config.in_channels:
        raise InputError(
            f"a tensor {tuple(inputs.shape)}: the model takes (batch, {net.config.in_channels}, height, width)"
        )
    return net, inputs


def prepared(model: Inspected, images: Images) -> Float[Tensor, "batch channel height width"]:
    """Images as the model's float input. Raises InputError for what a model alone cannot take."""
    if isinstance(images, Tensor) and images.dtype == torch.uint8 and isinstance(model, Classifier):
        images = rearrange(images, "b c h w -> b h w c").cpu().numpy()
    return model_and_input(model, images)[1]


def in_batches(
    model: Inspected, images: Images, size: int, description: str
) -> Iterator[Float[Tensor, "batch channel height width"]]:
    """`prepared`, at most `size` images at a time, with progress."""
    with track(description, len(images), "images") as advance:
        for start in range(0, len(images), size):
            batch = prepared(model, images[start : start + size])
            yield batch
            advance(len(batch))


def forward(
    model: Model, images: Float[Tensor, "batch channel height width"], tap: Tap | None = None
) -> Float[Tensor, "batch class"]:
    """Logits in evaluation mode without gradients, float32 on the CPU."""
    device = next(model.parameters()).device
    with evaluating(model), torch.inference_mode():
        logits = model(images.to(device), tap).float().cpu()
    # Outside of inference mode, a copy is a tensor like any other.
    return logits.clone()


@contextmanager
def each_on_one_thread(device: torch.device) -> Iterator[Callable[..., Iterable[Tensor]]]:
    """`map`, on a CPU with a thread for every core: a seventh faster than all cores on one batch after the other.

    Inference mode and autocast are of a thread: what is mapped has to enter them itself.
    """
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1:
        yield map
        return
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as workers:
            yield workers.map
    finally:
        torch.set_num_threads(threads)


def bare(model: Inspected) -> Model:
    return uncompiled(model.model if isinstance(model, Classifier) else model)
