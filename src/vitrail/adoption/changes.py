"""What can be changed while a model is adopted: image size, patch size, channels and the number of classes."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from vitrail.adoption.conversion import Row, counted
from vitrail.adoption.origin import Adopted, Tensors
from vitrail.configs import Size
from vitrail.errors import InputError
from vitrail.models.positions import resample

# ITU-R BT.601, by which Pillow turns colours into grey.
_LUMINANCE = (0.299, 0.587, 0.114)


def changed(
    model: Adopted,
    image_size: Size | None = None,
    patch_size: int | None = None,
    in_channels: int | None = None,
    num_classes: int | None = None,
) -> Adopted:
    """The model with each of these that is given and differs; the preprocessing follows.

    Raises:
        InputError: the sizes do not fit each other, or there is no such change of channels.
    """
    if patch_size not in (None, model.config.patch_size):
        model = _with_patch_size(model, patch_size, image_size or model.config.size)
    if image_size is not None:
        model = _with_image_size(model, image_size)
    if in_channels not in (None, model.config.in_channels):
        model = _with_channels(model, in_channels)
    if num_classes is not None and (num_classes != model.config.num_classes or model.config.head == "none"):
        model = _with_classes(model, num_classes)
    return model


def resize_patches(
    weight: Float[Tensor, "dim channel old_height old_width"], size: Size
) -> Float[Tensor, "dim channel new_height new_width"]:
    """Weights that give resized patches, as nearly as can be, the embeddings that these give the patches themselves.

    With B the (antialiased, bicubic) resizing as a matrix, the new weights are the old ones times the pseudo-inverse
    of B: "PI-resize" of FlexiViT (Beyer et al. 2023, arXiv:2212.08013, section 3.4, equation 3). Exact where patches
    grow.
    """
    old = (weight.shape[2], weight.shape[3])
    basis = torch.eye(old[0] * old[1], dtype=torch.float64).unflatten(1, (1, *old))
    resized = F.interpolate(basis, size=size, mode="bicubic", align_corners=False, antialias=True)
    # One column for each pixel of the result.
    matrix = rearrange(resized, "old 1 h w -> old (h w)")
    inverse = torch.linalg.pinv(matrix)
    return rearrange(weight.flatten(2).double() @ inverse.T, "d c (h w) -> d c h w", h=size[0], w=size[1]).to(
        weight.dtype
    )


def _with_patch_size(model: Adopted, patch_size: int, image_size: Size) -> Adopted:
    old, name = model.config.patch_size, "patch_embed.proj.weight"
    weight = rearrange(model.tensors[name], "d (c p q) -> d c p q", p=old, q=old)
    flat = rearrange(resize_patches(weight, (patch_size, patch_size)), "d c p q -> d (c p q)")
    what = f"patch embedding, from patches of {old} to {patch_size} (by the pseudo-inverse of resizing)"
    result = _with(model, {name: flat}, counted("resampled", what, flat), patch_size=patch_size, image_size=image_size)
    return _with_positions_for(result, model.config.grid)


def _with_image_size(model: Adopted, image_size: Size) -> Adopted:
    pictures = dataclasses.replace(model.preprocessing, image_size=image_size)
    result = dataclasses.replace(_with(model, {}, image_size=image_size), preprocessing=pictures)
    return _with_positions_for(result, model.config.grid)


def _with_positions_for(model: Adopted, old: Size) -> Adopted:
    """Position embeddings of another grid, resampled to the grid of the configuration."""
    config, positions = model.config, model.tensors.get("positions.embed")
    if positions is None or old == config.grid:
        return model
    resampled = resample(positions, positions.shape[1] - old[0] * old[1], old, config.grid, config.pos_antialias)
    smoothed = "with" if config.pos_antialias else "without"
    grids = f"{old[0]} x {old[1]} to {config.grid[0]} x {config.grid[1]}"
    row = counted("resampled", f"positions, from {grids} (bicubic, {smoothed} antialias)", resampled)
    return _with(model, {"positions.embed": resampled}, row)


def _with_channels(model: Adopted, channels: int) -> Adopted:
    """Grey pictures keep their logits exactly; a grey model sees the grey of a colour picture."""
    if (model.config.in_channels, channels) not in ((3, 1), (1, 3)):
        raise InputError(f"in_channels {channels}: pictures have 1 or 3, so only 3 to 1 and 1 to 3 are possible")
    old, side = model.preprocessing, model.config.patch_size
    weight = rearrange(model.tensors["patch_embed.proj.weight"], "d (c p q) -> d c p q", p=side, q=side).double()
    bias = model.tensors["patch_embed.proj.bias"].double()
    old_mean, old_std = (torch.tensor(values, dtype=torch.float64) for values in (old.mean, old.std))
    if channels == 1:
        mean, std = old_mean.mean(), old_std.mean()
        # The old input is (grey - old_mean) / old_std for each channel, the new one y = (grey - mean) / std; so the
        # old one is y std / old_std + (mean - old_mean) / old_std, linear in y: a scale and a shift.
        bias = bias + torch.einsum("dcpq,c->d", weight, (mean - old_mean) / old_std)
        weight = torch.einsum("dcpq,c->dpq", weight, std / old_std)[:, None]
        how = "summed over the colours, each by its share of mean and std"
    else:
        mean, std = old_mean.repeat(3), old_std.repeat(3)
        weight = weight * torch.tensor(_LUMINANCE, dtype=torch.float64)[:, None, None]
        how = "spread over the colours by their share of grey"
    pictures = dataclasses.replace(
        old, channels=channels, mean=tuple(mean.reshape(-1).tolist()), std=tuple(std.reshape(-1).tolist())
    )
    tensors = {
        "patch_embed.proj.weight": rearrange(weight, "d c p q -> d (c p q)").float(),
        "patch_embed.proj.bias": bias.float(),
    }
    what = f"patch embedding, from {model.config.in_channels} channels to {channels}: {how}"
    row = counted("summed", what, *tensors.values())
    return dataclasses.replace(_with(model, tensors, row, in_channels=channels), preprocessing=pictures)


def _with_classes(model: Adopted, num_classes: int) -> Adopted:
    config = model.config
    kind = "linear" if config.head == "none" else config.head
    name, width = ("head.2", config.embed_dim) if kind == "tanh" else ("head.0", config.readout_dim)
    weight = torch.empty(num_classes, width)
    torch.nn.init.trunc_normal_(weight, std=0.02, generator=torch.Generator().manual_seed(0))
    tensors = {f"{name}.weight": weight, f"{name}.bias": torch.zeros(num_classes)}
    gone = [model.tensors[name] for name in tensors if name in model.tensors]
    rows = [counted("dropped", f"the head for {config.num_classes} classes", *gone)] if gone else []
    rows.append(counted("newly initialised", f"a head for {num_classes} classes, of random weights", *tensors.values()))
    names = tuple(f"class {i}" for i in range(num_classes))
    return dataclasses.replace(_with(model, tensors, *rows, num_classes=num_classes, head=kind), class_names=names)


def _with(model: Adopted, tensors: Tensors, *rows: Row, **config: Any) -> Adopted:
    return dataclasses.replace(
        model,
        config=dataclasses.replace(model.config, **config),
        tensors={**model.tensors, **tensors},
        rows=(*model.rows, *rows),
        touched=model.touched.union(tensors),
    )
