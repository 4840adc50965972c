"""Where in the image the score of a class comes from, by methods that disagree: `faithfulness` says which to believe.

Every method is a function (model, images, target, seed) -> maps at the method's own resolution: patches, cells, stages
or pixels. `attribute` enlarges them bilinearly to the images' size; `faithfulness` ranks them as they are. Values have
no common unit: compare their ranks or shares.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from vitrail.classifier import Picture, Precision
from vitrail.configs import Size
from vitrail.errors import InputError, nearest
from vitrail.inspection.attention import layer_weights, readout_row
from vitrail.inspection.attention import rollout as roll_out
from vitrail.inspection.batches import Inspected, each_on_one_thread, forward, model_and_input
from vitrail.inspection.capture import inspect
from vitrail.inspection.features import as_map
from vitrail.inspection.masking import cell_along
from vitrail.models.build import Model, evaluating, uncompiled

Maps = Float[Tensor, "batch height width"]
"""At the size of the images."""
CoarseMaps = Float[Tensor, "batch row column"]
"""At a method's own resolution: patches, cells, a stage's pixels, or the image's."""
Images = Float[Tensor, "batch channel height width"]
Targets = Int[Tensor, " batch"]

_PATH_STEPS = 32
_CELLS = 8
"""A CNN has no patches: its images are cut into about so many cells along a side."""
_FEWEST_CELLS = 4
_MOST_AT_ONCE = 2**27
"""Numbers kept for gradients, over all images that are explained together."""


@dataclass(frozen=True)
class Method:
    name: str
    function: Callable[[Model, Images, Targets, int], CoarseMaps]
    depends_on_class: bool
    """Whether the map is of the target class, or of whatever the model looked at."""
    needs: frozenset[str] = frozenset()
    """What the model must have; see `CNNConfig.has`."""
    is_control: bool = False
    """It knows nothing of the model: a method worth having beats it."""


def attribute(
    model: Inspected,
    images: Picture | Tensor | Sequence[Picture],
    method: str,
    target: int | Sequence[int] | Tensor | None = None,
    seed: int = 0,
) -> Maps:
    """What mattered to the score of a class: maps (batch, height, width) at the images' size, on the CPU.

    Args:
        model: a classifier or a model, in any mode; it is left as it was.
        images: for a classifier all that `Classifier.prepare` takes; for a model its float input.
        method: a name in `METHODS`.
        target: the class whose score is explained, one for all images or one for each; by default the predicted one.
        seed: of the random control.

    Raises:
        InputError: a method that does not exist or does not fit this model, a target that is not a class, or images
            that cannot be used.
    """
    net, inputs = model_and_input(model, images)
    chosen = METHODS.get(method)
    if chosen is None:
        raise InputError(f"unknown attribution method {method!r}: {nearest(method, METHODS)}")
    if chosen not in methods_for(net):
        known = ", ".join(m.name for m in methods_for(net))
        raise InputError(f"the method {method} does not apply to a {net.config.kind}: use one of {known}")
    classes = net.config.num_classes
    targets = forward(net, inputs).argmax(dim=1) if target is None else torch.as_tensor(target)
    targets = targets.expand(len(inputs)) if targets.ndim == 0 else targets
    if targets.shape != (len(inputs),) or not ((targets >= 0) & (targets < classes)).all():
        raise InputError(f"the target must be a class from 0 to {classes - 1}, one for all images or one for each")
    return enlarged(apply(chosen, net, inputs, targets, seed), _size(inputs))


def enlarged(maps: CoarseMaps, image_size: Size) -> Maps:
    """Maps at the size of the images, bilinearly."""
    return F.interpolate(maps[:, None], size=image_size, mode="bilinear")[:, 0]


def apply(
    method: Method, model: Model, images: Images, targets: Targets, seed: int = 0, precision: Precision = "fp32"
) -> CoarseMaps:
    """Maps by one method at its own resolution, on the CPU; a few images at a time where there are many.

    In bf16 gradients rank cells as in float32 in a third of the time where the hardware has it: on a ViT that had
    learned `shapes` the mean rank correlation was 0.995 for Grad-CAM and 0.998 or more for every other method.
    """
    model = uncompiled(model)
    at_once = max(1, _MOST_AT_ONCE // _numbers_kept(model, images))
    device = next(model.parameters()).device
    # Gradients are needed even where the caller has switched them off.
    bf16 = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
    with evaluating(model), torch.inference_mode(False), bf16:
        parts = [
            method.function(model, part.to(device).clone(), target.to(device).clone(), seed + start)
            for start, part, target in zip(
                range(0, len(images), at_once), images.split(at_once), targets.long().split(at_once), strict=True
            )
        ]
    return torch.cat([part.detach().float().cpu() for part in parts])


def _numbers_kept(model: Model, images: Images) -> int:
    """About how many numbers a forward pass keeps for the gradients of one image."""
    width, heads = model.config.embed_dim, model.config.heads
    if width is None:
        return 64 * images[0].numel()
    tokens = model.token_grid(_size(images)).num_tokens
    return 24 * len(heads) * tokens * width + 3 * sum(heads) * tokens**2


def methods_for(model: Model) -> tuple[Method, ...]:
    """The methods that apply to this kind of model."""
    return tuple(method for method in METHODS.values() if method.needs <= model.config.has)


def cells(model: Model, image_size: Size | None = None) -> Size:
    """The grid (height, width) in which maps are compared and images masked: the patches of a ViT."""
    height, width = image_size or model.config.size
    patch = model.config.patch_size
    if patch is not None:
        return height // patch, width // patch
    return _cells_along(height), _cells_along(width)


def _cells_along(side: int) -> int:
    """Up to 8 of one size; of sides that have no such division into 4 or more, 8 that differ by a pixel."""
    divisor = max(n for n in range(1, _CELLS + 1) if side % n == 0)
    return divisor if divisor >= _FEWEST_CELLS else min(_CELLS, side)


def raw_attention(model: Model, images: Images, target: Targets, seed: int = 0) -> CoarseMaps:
    """The class token's attention in the last layer, mean over heads (without a class token: of the mean query)."""
    return inspect(model, images).class_attention(layers=-1).mean(dim=(1, 2))


def rollout(model: Model, images: Images, target: Targets, seed: int = 0) -> CoarseMaps:
    """The readout's row of attention rollout (Abnar & Zuidema 2020, arXiv:2005.00928)."""
    capture = inspect(model, images)
    return readout_row(roll_out(capture.attention_by_layer()), model.config.readout, capture.grid)


def attention_gradient(model: Model, images: Images, target: Targets, seed: int = 0) -> CoarseMaps:
    """Last layer's attention times its gradient, its positive part, mean over heads: the readout's row.

    A_bar of Chefer et al. (2021), arXiv:2103.15679, equation 5, of one layer alone.
    """
    [last] = _attention_and_gradient(model, images, target, [len(model.config.heads) - 1])
    return readout_row(last, model.config.readout, model.token_grid(_size(images)))


def relevancy(model: Model, images: Images, target: Targets, seed: int = 0) -> CoarseMaps:
    """Gradient relevancy: R <- R + A_bar R over layers, A_bar the mean over heads of the positive part of A dA.

    Chefer et al. (2021), "Generic Attention-model Explainability", arXiv:2103.15679, equations 5 and 6.
    """
    fused = _attention_and_gradient(model, images, target, range(len(model.config.heads)))
    start = torch.eye(fused[0].shape[-1], device=fused[0].device).expand_as(fused[0])
    total = start
    for a_bar in fused:
        total = total + a_bar @ total
    return readout_row(total - start, model.config.readout, model.token_grid(_size(images)))


def legrad(model: Model, images: Images, target: Targets, seed: int = 0) -> CoarseMaps:
    """Positive gradients by the attention of every layer, of the score that the head gives the mean of its tokens.

    Mean over heads, queries and layers (Bousselham et al. 2024, arXiv:2404.03214, equations 7 to 10). As in the
    authors' code, the mean of all tokens of a layer goes through norm and head, whatever the model itself reads. Here
    all layers count; that code takes the last two unless told otherwise.
    """
    kept, _ = _run(model, images)
    total = torch.zeros(())
    grid = model.token_grid(_size(images))
    depth = len(model.config.heads)
    for i in range(depth):
        tokens = kept[f"blocks.{i}"]
        # All of them their mean, so that the readout is that, whichever it is.
        score = model.classify(tokens.mean(dim=1, keepdim=True).expand_as(tokens)).gather(1, target[:, None]).sum()
        [dz] = torch.autograd.grad(score, [kept[f"blocks.{i}.attn.z"]], retain_graph=True)
        positive = (dz @ kept[f"blocks.{i}.attn.v"].mT).clamp(min=0).detach()
        total = total + grid.patches(positive.mean(dim=(1, 2)))
    return total / depth


def grad_cam(model: Model, images: Images, target: Targets, seed: int = 0) -> CoarseMaps:
    """Feature maps weighted by their mean gradient, positive part (Selvaraju et al. 2017, arXiv:1610.02391, eq. 1, 2).

    The features are those of the model's `feature_layer`.
    """
    name = model.config.feature_layer
    kept, logits = _run(model, images)
    [gradient] = torch.autograd.grad(logits.gather(1, target[:, None]).sum(), [kept[name]])
    size = _size(images)
    features, gradient = (as_map(model, x.float(), size) for x in (kept[name].detach(), gradient))
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    return (weights * features).sum(dim=1).clamp(min=0)


def integrated_gradients(model: Model, images: Images, target: Targets, seed: int = 0) -> CoarseMaps:
    """Gradients by the pixels, integrated on the straight path from the data set's mean colour, times the difference.

    Sundararajan et al. (2017), arXiv:1703.01365, equation 1, by the midpoint rule; summed over channels. The map
    sums to the difference of the two scores, up to the rule's error.
    """
    total = torch.zeros_like(images)
    for step in range(_PATH_STEPS):
        point = (images * ((step + 0.5) / _PATH_STEPS)).requires_grad_()
        with torch.enable_grad():
            score = model(point).gather(1, target[:, None]).sum()
        total += torch.autograd.grad(score, [point])[0]
    return (images * total / _PATH_STEPS).sum(dim=1)


def occlusion(model: Model, images: Images, target: Targets, seed: int = 0) -> CoarseMaps:
    """By how much the score falls when a cell is painted over with the mean colour (Zeiler & Fergus 2014,
    arXiv:1311.2901, section 4.2).
    """
    height, width = cells(model, _size(images))
    row_of, column_of = cell_along(images.shape[-2], height), cell_along(images.shape[-1], width)

    def score(cell: int | None) -> Float[Tensor, " batch"]:
        shown = images
        if cell is not None:
            covered = (row_of == cell // width)[:, None] & (column_of == cell % width)
            shown = images.masked_fill(covered.to(images.device), 0)
        # In bf16, rounding would outweigh most of the differences.
        with torch.inference_mode(), torch.autocast(images.device.type, enabled=False):
            return model(shown).gather(1, target[:, None])[:, 0]

    with each_on_one_thread(images.device) as spread:
        whole, *hidden = spread(score, [None, *range(height * width)])
    return torch.stack([whole - left for left in hidden], dim=1).unflatten(1, (height, width)).clone()


def random(model: Model, images: Images, target: Targets, seed: int = 0) -> CoarseMaps:
    """The first control: a random value for every cell."""
    grid = cells(model, _size(images))
    draws = [np.random.default_rng(seed + i).random(grid, dtype=np.float32) for i in range(len(images))]
    return torch.from_numpy(np.stack(draws))


def centre(model: Model, images: Images, target: Targets, seed: int = 0) -> CoarseMaps:
    """The second control: photographs have their subject in the middle. A Gaussian of a quarter of each side."""
    rows, columns = (torch.linspace(-2, 2, side).square() for side in _size(images))
    return torch.exp(-(rows[:, None] + columns) / 2).expand(len(images), -1, -1)


_ATTENTION = frozenset({"attention"})

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("attention", raw_attention, False, _ATTENTION),
        Method("rollout", rollout, False, _ATTENTION),
        Method("attention-gradient", attention_gradient, True, _ATTENTION),
        Method("relevancy", relevancy, True, _ATTENTION),
        Method("legrad", legrad, True, _ATTENTION | {"tokens"}),
        Method("grad-cam", grad_cam, True),
        Method("integrated-gradients", integrated_gradients, True),
        Method("occlusion", occlusion, True),
        Method("random", random, False, is_control=True),
        Method("centre", centre, False, is_control=True),
    )
}


def _size(images: Images) -> Size:
    return images.shape[-2], images.shape[-1]


def _run(model: Model, images: Images) -> tuple[dict[str, Tensor], Tensor]:
    """A forward pass whose results can be differentiated by; the graph begins behind the embedding."""
    kept: dict[str, Tensor] = {}

    def tap(name: str, tensor: Tensor) -> Tensor:
        if name == model.config.layers[0]:
            tensor = tensor.detach().requires_grad_()
        kept[name] = tensor
        return tensor

    with torch.enable_grad():
        return kept, model(images, tap)


def _attention_and_gradient(
    model: Model, images: Images, target: Targets, layers: Sequence[int]
) -> list[Float[Tensor, "batch query key"]]:
    """For each of these layers, the mean over heads of the positive part of attention times its gradient.

    The gradient by the weights follows from that by the head's output: z = A v, so dy/dA = dy/dz v^T.
    """
    kept, logits = _run(model, images)
    outputs = [kept[f"blocks.{i}.attn.z"] for i in layers]
    gradients = torch.autograd.grad(logits.gather(1, target[:, None]).sum(), outputs)
    fused = []
    for i, dz in zip(layers, gradients, strict=True):
        q, k, v = (kept[f"blocks.{i}.attn.{name}"].detach() for name in "qkv")
        fused.append((layer_weights(model, i, q, k) * (dz @ v.mT)).clamp(min=0).mean(dim=1))
    return fused
