"""The original beside ours, on the same pictures: what makes an adoption verified and not assumed."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vitrail.adoption.conversion import Row
from vitrail.adoption.origin import Adopted
from vitrail.errors import InputError
from vitrail.models.build import build_model, evaluating
from vitrail.text import shown

_TOLERANCE = 1e-4
"""Of the largest output; rounding of 40 blocks in float32 is 6e-6, the tanh of GELU in 12 is 3e-4."""


@torch.no_grad()
def verified(model: Adopted) -> Adopted:
    """The model, with what a comparison of its outputs with those of its original has found, where there is one.

    Raises InputError where they differ.
    """
    if model.original is None:
        return model
    ours = build_model(model.config).eval()
    ours.load_state_dict(model.tensors)
    shape = (2, model.config.in_channels, *model.config.size)
    images = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    try:
        expected = _outputs(model.original, images)
    # What a model of somebody's raises that cannot be run can be anything.
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{model.source} cannot be run, to compare its outputs: {shown(reason)}") from error
    found = ours(images)
    largest, difference = (float(values.abs().max()) for values in (expected, found - expected))
    if not difference <= _TOLERANCE * max(largest, 1e-3):
        raise InputError(
            f"{model.source} cannot be adopted: as a ViT of Vitrail its outputs would be up to {difference:.2g} off, "
            f"of {largest:.2g}; something in it is not what its parts say"
        )
    row = Row("verified", f"against the original: the same outputs for two random images, to {difference:.0e}")
    if torch.equal(expected[0], expected[1]):
        row = Row("assumed", "that all parts are wired as they look: the original answers the same to every image")
    return dataclasses.replace(model, rows=(row, *model.rows), original=None)


def _outputs(original: nn.Module, images: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch _"]:
    """Logits, or the features where there is no head."""
    if any(parameter.dtype != torch.float32 or parameter.device.type != "cpu" for parameter in original.parameters()):
        original = copy.deepcopy(original).float().cpu()
    net: Any = original
    masking = getattr(getattr(net, "config", None), "mask_ratio", None)
    if masking is not None:
        # Masked autoencoders hide patches at random, also when they are evaluated.
        net.config.mask_ratio = 0.0
    try:
        with evaluating(net):
            result = getattr(net, "vit", net)(images) if masking is not None else net(images)
    finally:
        if masking is not None:
            net.config.mask_ratio = masking
    if isinstance(result, Tensor):
        return result
    return result.logits if hasattr(result, "logits") else result.last_hidden_state[:, 0]
