"""A model made ready to answer: compiled for one batch size, its weights constants, its threads as many as help."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch._dynamo
import torch._inductor.config
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vitrail import hardware
from vitrail.configs import Size
from vitrail.errors import InputError
from vitrail.models.build import Model
from vitrail.models.summary import summarize

# Multiply-adds of a batch below which a second thread is waited for longer than it helps.
_WORTH_SHARING = 1e9


class FrozenModel:
    """What `model` computes now, for batches of `batch_size`; other numbers of images are split and padded.

    Images have `image_size`, or without it the model's own.

    In bf16 where the hardware multiplies it faster, and with one thread where a batch is too small to share: the
    number of threads is the process's, so that one answers at a time. The compiled code is made here, which takes up
    to a minute. Raises InputError where there is no compiler, or the batch size is below 1.
    """

    def __init__(self, model: Model, batch_size: int, image_size: Size | None = None) -> None:
        self.device = next(model.parameters()).device
        missing = hardware.can_compile(self.device)
        if missing:
            raise InputError(f"{missing}: install one, or use the classifier as it is")
        if batch_size < 1:
            raise InputError(f"a batch of {batch_size}: at least 1 image is needed")
        self.batch_size = batch_size
        self.shape = (model.config.in_channels, *(image_size or model.config.size))
        self.bf16 = hardware.fast_bf16(self.device) is not None
        shared = self.device.type != "cpu" or summarize(model.config).multiply_adds * batch_size >= _WORTH_SHARING
        self.threads = torch.get_num_threads() if shared else 1
        self._compiled = torch.compile(copy.deepcopy(model).eval(), dynamic=False)
        # Asked for by the global setting: torch looks at it before it looks at a single compilation's options.
        with torch._inductor.config.patch(freezing=True), torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
            self(torch.zeros(batch_size, *self.shape))

    def __call__(self, images: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch class"]:
        """Logits, float32 on the CPU. Raises InputError for images of another size than the model's."""
        if tuple(images.shape[1:]) != self.shape:
            given, made_for = (" x ".join(map(str, shape)) for shape in (images.shape[1:], self.shape))
            raise InputError(f"images of {given}: this classifier was compiled for {made_for}")
        with self._conditions():
            return torch.cat([self._answer(part) for part in images.split(self.batch_size)])

    def _answer(self, images: Tensor) -> Tensor:
        padding = self.batch_size - len(images)
        padded = F.pad(images, (0, 0, 0, 0, 0, 0, 0, padding)) if padding else images
        return self._compiled(padded.to(self.device))[: len(images)].float().cpu()

    @contextmanager
    def _conditions(self) -> Iterator[None]:
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                yield
        finally:
            torch.set_num_threads(before)
