"""A model made ready to answer: compiled for one batch size, its weights constants, its threads as many as help."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vitrail import hardware
from vitrail.errors import InputError
from vitrail.models.build import Model
from vitrail.models.summary import summarize

# Multiply-adds of a batch below which a second thread is waited for longer than it helps.
_WORTH_SHARING = 1e9


class FrozenModel:
    """What `model` computes now, for batches of `batch_size`; other numbers of images are split and padded.

    In bf16 where the hardware multiplies it faster, and with one thread where a batch is too small to share. The
    compiled code is made here, which takes up to a minute. Raises InputError where there is no compiler.
    """

    def __init__(self, model: Model, batch_size: int) -> None:
        self.device = next(model.parameters()).device
        missing = hardware.can_compile(self.device)
        if missing:
            raise InputError(f"{missing}: install one, or use the classifier as it is")
        self.batch_size = batch_size
        self.bf16 = hardware.fast_bf16(self.device) is not None
        shared = self.device.type != "cpu" or summarize(model.config).multiply_adds * batch_size >= _WORTH_SHARING
        self.threads = torch.get_num_threads() if shared else 1
        # A copy, for compiled code holds some weights itself and looks others up.
        self._compiled = torch.compile(copy.deepcopy(model).eval(), dynamic=False, options={"freezing": True})
        self(torch.zeros(batch_size, model.config.in_channels, *model.config.size))

    def __call__(self, images: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch class"]:
        """Logits, float32 on the CPU."""
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
