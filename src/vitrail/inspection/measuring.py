"""Measures how far attribution maps are to be believed; `faithfulness` says what the measures are and stores them."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from vitrail.classifier import Precision
from vitrail.configs import Size
from vitrail.errors import InputError
from vitrail.inspection.attribution import CoarseMaps, Method, apply, cells, enlarged
from vitrail.inspection.faithfulness import RANDOMISED, Faithfulness, Scores
from vitrail.inspection.masking import (
    BASELINES,
    Baseline,
    MaskedImages,
    cell_means,
    curve_points,
    num_passes,
    ranks,
    stand_in,
)
from vitrail.inspection.measures import area_under, inside_mass, pointing, response, widened
from vitrail.models.build import Model, build_model, evaluating
from vitrail.progress import track


def measure(
    model: Model,
    images: Float[Tensor, "batch channel height width"],
    targets: Int[Tensor, " batch"],
    methods: Sequence[Method],
    masks: Bool[Tensor, "batch height width"] | None = None,
    precision: Precision = "fp32",
    seed: int = 0,
    data: str = "",
) -> Faithfulness:
    """Make every method's maps of `images`, and measure them.

    Every method costs 80 forward passes for each image (of 16 cells or more), in large batches; bf16 makes them cheap
    where the hardware has it.

    Args:
        model: in any mode and on any device; it is left as it was.
        images: normalised.
        targets: the class that is explained, one for each image.
        methods: what to compare; include the controls.
        masks: where the object of the target class is, for pointing and inside.
        precision: of the forward passes with hidden cells, and of the maps; see `attribution.apply`.
        seed: of the random control, of the order of equally salient cells, and of the parameters drawn anew.
        data: what the images are of.

    Raises:
        InputError: there are no images or no methods.
    """
    if len(images) == 0 or len(methods) == 0:
        raise InputError("faithfulness is measured on at least one image, for at least one method")
    started = time.perf_counter()
    device = next(model.parameters()).device
    images, targets = images.to(device), targets.to(device)
    grid = cells(model, (images.shape[-2], images.shape[-1]))
    masked = {baseline: _masked(model, images, targets, grid, baseline, precision) for baseline in BASELINES}
    anew, few = _drawn_anew(model, seed), slice(0, RANDOMISED)
    passes = len(methods) * len(BASELINES) * num_passes(grid[0] * grid[1]) * len(images)
    scores = []
    with evaluating(model), track("measuring faithfulness", passes, "forward passes") as advance:
        for method in methods:
            maps, milliseconds = _timed_maps(method, model, images, targets, seed, precision)
            salience = cell_means(maps, grid)
            values: dict[str, NDArray[np.float64]] = {}
            for baseline, images_masked in masked.items():
                found = images_masked.measured(salience, seed, advance)
                values |= {f"{name}_{baseline}": measured for name, measured in found.items()}
            if masks is not None:
                shown, truth = enlarged(maps, (images.shape[-2], images.shape[-1])), masks.cpu()
                values |= {"pointing": pointing(maps, truth), "inside": inside_mass(shown, truth)}
            other = apply(method, anew, images[few], targets[few], seed, precision)
            values["response"] = response(salience[few], cell_means(other, grid))
            scores.append(Scores(method.name, method.depends_on_class, method.is_control, milliseconds, values))
    return Faithfulness(
        scores=tuple(scores),
        data=data,
        num_images=len(images),
        cells=grid,
        precision=precision,
        seconds=time.perf_counter() - started,
        probability=float(masked["mean"].ends[:, 0].mean()),
        hidden_probability={name: float(of.ends[:, 1].mean()) for name, of in masked.items()},
        object_share=None if masks is None else float(masks.double().mean()),
        pointing_share=None if masks is None else float(widened(masks).double().mean()),
    )


def order_gap(
    model: Model,
    images: Float[Tensor, "batch channel height width"],
    targets: Int[Tensor, " batch"],
    maps: CoarseMaps,
    precision: Precision = "fp32",
    seed: int = 0,
) -> NDArray[np.float64]:
    """(batch,) LeRF - MoRF with the mean colour as baseline: a word on each single map; 0 for a random order."""
    device = next(model.parameters()).device
    images, targets = images.to(device), targets.to(device)
    grid = cells(model, (images.shape[-2], images.shape[-1]))
    ranked = ranks(cell_means(maps, grid), seed)
    with evaluating(model):
        morf, lerf = _masked(model, images, targets, grid, "mean", precision).curves(ranked)
    points = curve_points(ranked.shape[-1])
    return area_under(lerf, points) - area_under(morf, points)


def _masked(
    model: Model, images: Tensor, targets: Tensor, grid: Size, baseline: Baseline, precision: Precision
) -> MaskedImages:
    def predict(images: Tensor, targets: Tensor) -> Tensor:
        with torch.inference_mode(), torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bf16"):
            logits = model(images).float()
        return logits.softmax(dim=-1).gather(1, targets[:, None])[:, 0]

    return MaskedImages(predict, images, stand_in(images, baseline), targets, grid)


def _drawn_anew(model: Model, seed: int) -> Model:
    """The same architecture with other random parameters."""
    parameter = next(model.parameters())
    with torch.random.fork_rng(devices=[parameter.device] if parameter.device.type == "cuda" else []):
        torch.manual_seed(seed)
        return build_model(model.config).to(parameter.device).eval()


def _timed_maps(
    method: Method, model: Model, images: Tensor, targets: Tensor, seed: int, precision: Precision
) -> tuple[CoarseMaps, float]:
    """Maps, and milliseconds for each; what is done once only is done before."""
    apply(method, model, images[:1], targets[:1], seed, precision)
    started = time.perf_counter()
    maps = apply(method, model, images, targets, seed, precision)
    return maps, 1000 * (time.perf_counter() - started) / len(images)
