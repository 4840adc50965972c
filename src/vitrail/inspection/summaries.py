"""What a page shows of a model and of an image, as arrays: computed once, stored with the run, drawn from there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import Tensor

from vitrail import files
from vitrail.classifier import Classifier
from vitrail.errors import InputError
from vitrail.inspection import attention, features, heads, positions
from vitrail.inspection.alignment import cka
from vitrail.inspection.attribution import METHODS, attribute, methods_for
from vitrail.inspection.capture import Capture, inspect

_FILTERS = 28
_SHARES = (0.0, 0.125, 0.25, 0.5, 0.75, 1.0)
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class ModelSummary:
    """A model over many images. What does not exist for its kind, or cannot be known, is None."""

    images: int
    """How many the numbers are of."""
    attention_distance: Float[ndarray, "layer head"] | None = None
    """Pixels."""
    uniform_distance: float | None = None
    """What it would be if every patch looked at all patches alike."""
    head_entropy: Float[ndarray, "layer head"] | None = None
    """Nats."""
    most_entropy: float | None = None
    """Of attention to all tokens alike."""
    head_offsets: Float[ndarray, "layer head down right"] | None = None
    head_similarity: Float[ndarray, "any_head any_head"] | None = None
    class_dependence: Float[ndarray, "layer head"] | None = None
    """Share of the variance of a head's map that the class explains."""
    head_names: tuple[str, ...] = ()
    """What every head mainly does, layer by layer."""
    position_similarity: Float[ndarray, "row column row column"] | None = None
    """Cosine."""
    patch_filters: Float[ndarray, "filter channel y x"] | None = None
    explained: Float[ndarray, " filter"] | None = None
    """Share of the layer's squared weights; of a CNN's kernels, share of their squared length."""
    moved: Float[ndarray, " share"] | None = None
    """Shares of the patches that changed places ..."""
    moved_accuracy: Float[ndarray, " share"] | None = None
    """... and the accuracy then."""


@dataclass(frozen=True, eq=False)
class SampleSummary:
    """Where the model looks in the sample images that its run stores, in their order."""

    method: str
    """The attribution that `maps` are of, for the predicted class."""
    maps: Float[ndarray, "sample height width"]
    """At the images' size, each divided by its largest absolute value: attributions have no unit."""
    attention: Float[ndarray, "sample row column"] | None = None
    """The last layer's class attention, mean over heads, by patch; None for a CNN."""
    rollout: Float[ndarray, "sample row column"] | None = None
    first_attention: Float[ndarray, "layer head row column"] | None = None
    """Class attention in every layer and head, of the first sample."""


@dataclass(frozen=True, eq=False)
class PairSummary:
    """Two models side by side over the same images."""

    names: tuple[str, ...]
    layers_a: tuple[str, ...]
    layers_b: tuple[str, ...]
    cka: Float[ndarray, "layer_a layer_b"]
    images_compared: int
    images: UInt8[ndarray, "sample channel height width"]
    """Samples as pictures."""
    labels: Int[ndarray, " sample"]
    predicted_a: Int[ndarray, " sample"]
    predicted_b: Int[ndarray, " sample"]
    class_names: tuple[str, ...]
    methods: tuple[str, ...]
    """What maps_a and maps_b are of, for each model's own prediction."""
    maps_a: Float[ndarray, "sample height width"]
    maps_b: Float[ndarray, "sample height width"]
    occlusion_a: Float[ndarray, "sample height width"]
    occlusion_b: Float[ndarray, "sample height width"]


def summarize_model(
    classifier: Classifier, images: UInt8[ndarray, "n c h w"], labels: Int[ndarray, " n"] | None = None
) -> ModelSummary:
    """Everything about a model that takes many images to see.

    Args:
        classifier: a ViT or a CNN.
        images: pixels at the model's size, as `ImageDataset.read` gives them.
        labels: their classes; without them no class dependence and no accuracy.
    """
    filters = features.patch_filters(classifier, _FILTERS)
    common: dict[str, Any] = {
        "images": len(images),
        "patch_filters": filters.filters.numpy(),
        "explained": filters.explained.numpy(),
    }
    if "attention" not in classifier.model.config.has:
        return ModelSummary(**common)
    inputs = _inputs(classifier, images)
    enough = labels is not None and len(np.unique(labels)) > 1 and len(images) > len(np.unique(labels))
    profile = heads.profile_heads(classifier, inputs, torch.from_numpy(labels) if enough else None)
    grid = profile.grid
    uniform = torch.full((1, 1, grid.num_tokens, grid.num_tokens), 1 / grid.num_tokens)
    if positions.position_embeddings(classifier) is not None:
        common["position_similarity"] = positions.position_similarity(classifier).numpy()
    if labels is not None and grid.num_patches > 1:
        moved = positions.accuracy_by_moved(classifier, inputs, torch.from_numpy(labels), _SHARES)
        common["moved"] = (moved.moved / grid.num_patches).numpy()
        common["moved_accuracy"] = moved.accuracy.numpy()
    return ModelSummary(
        **common,
        attention_distance=profile.distance.numpy(),
        uniform_distance=float(attention.attention_distance(uniform, grid)),
        head_entropy=profile.entropy.numpy(),
        most_entropy=float(np.log(grid.num_tokens)),
        head_offsets=profile.offsets.numpy(),
        head_similarity=profile.similarity.numpy(),
        class_dependence=None if profile.class_dependence is None else profile.class_dependence.numpy(),
        head_names=tuple(name for layer in heads.name_heads(profile) for name in layer),
    )


def summarize_samples(classifier: Classifier, images: UInt8[ndarray, "n c h w"]) -> SampleSummary:
    """Where the model looks in a few images, for the class that it predicts."""
    capture = inspect(classifier.model, _inputs(classifier, images))
    method = best_gradient_method(classifier)
    maps = _maps(capture, method)
    if "attention" not in classifier.model.config.has:
        return SampleSummary(method, maps)
    every = capture.class_attention()
    return SampleSummary(
        method=method,
        maps=maps,
        attention=every[:, -1].mean(dim=1).numpy(),
        rollout=attention.readout_row(capture.rollout(), classifier.model.config.readout, capture.grid).numpy(),
        first_attention=every[0].numpy(),
    )


def summarize_pair(
    names: tuple[str, str],
    pair: tuple[Classifier, Classifier],
    images: UInt8[ndarray, "n c h w"],
    samples: UInt8[ndarray, "sample c h w"],
    labels: Int[ndarray, " sample"],
) -> PairSummary:
    """How alike two models' layers are, and what each goes by in the same images."""
    alike = cka(pair[0], pair[1], (_inputs(pair[0], images), _inputs(pair[1], images)))
    a, b = (inspect(one.model, _inputs(one, samples)) for one in pair)
    methods = tuple(best_gradient_method(one) for one in pair)
    return PairSummary(
        names=names,
        layers_a=alike.names_a,
        layers_b=alike.names_b,
        cka=alike.matrix.numpy(),
        images_compared=len(images),
        images=samples,
        labels=labels,
        predicted_a=a.logits.argmax(dim=1).numpy(),
        predicted_b=b.logits.argmax(dim=1).numpy(),
        class_names=pair[0].class_names,
        methods=methods,
        maps_a=_maps(a, methods[0]),
        maps_b=_maps(b, methods[1]),
        occlusion_a=_maps(a, "occlusion"),
        occlusion_b=_maps(b, "occlusion"),
    )


def _maps(capture: Capture, method: str) -> Float[ndarray, "sample height width"]:
    """Attribution to the predicted classes, each map divided by its largest absolute value.

    With a thousand patches, relevance is otherwise as small as half precision goes.
    """
    maps = attribute(capture.model, capture.images, method, capture.logits.argmax(dim=1))
    largest = maps.abs().amax(dim=(1, 2), keepdim=True)
    return (maps / torch.where(largest > 0, largest, 1.0)).numpy()


def best_gradient_method(classifier: Classifier) -> str:
    """The gradient method to show where there is room for one."""
    return next(name for name in ("relevancy", "grad-cam") if METHODS[name] in methods_for(classifier.model))


_STORED_AS: Mapping[type, str] = {ModelSummary: "ModelView", SampleSummary: "SampleView", PairSummary: "PairView"}
"""What the file calls them."""


def store(path: Path, *summaries: ModelSummary | SampleSummary | PairSummary) -> None:
    files.write_bytes(path, to_bytes(*summaries))


def to_bytes(*summaries: ModelSummary | SampleSummary | PairSummary) -> bytes:
    """Summaries of different kinds as one safetensors file; maps as half-precision numbers."""
    arrays: dict[str, ndarray] = {}
    rest: dict[str, dict[str, Any]] = {}
    for summary in summaries:
        kind = _STORED_AS[type(summary)]
        rest[kind] = {}
        for name, value in ((f.name, getattr(summary, f.name)) for f in fields(summary)):
            if isinstance(value, ndarray):
                half = value.dtype.kind == "f" and value.ndim > 2
                arrays[f"{kind}.{name}"] = np.ascontiguousarray(value.astype(np.float16) if half else value)
            elif value is not None:
                rest[kind][name] = value
    return save(arrays, metadata={"views": json.dumps(rest)})


def read(path: Path, kind: type[T]) -> T | None:
    """A stored summary; None where there is none. Raises InputError for a damaged file."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="numpy") as stored:
            rest: Mapping[str, Any] = json.loads((stored.metadata() or {}).get("views", "{}"))
            stored_as = _STORED_AS[kind]
            if stored_as not in rest:
                return None
            prefix, names = f"{stored_as}.", stored.keys()
            arrays = {n.removeprefix(prefix): stored.get_tensor(n) for n in names if n.startswith(prefix)}
        half = {name: a.astype(np.float32) if a.dtype == np.float16 else a for name, a in arrays.items()}
        plain = {name: tuple(v) if isinstance(v, list) else v for name, v in rest[stored_as].items()}
        return kind(**half, **plain)
    except (OSError, ValueError, TypeError, AttributeError, SafetensorError) as error:
        raise InputError(f"{path} is damaged ({error}): remove it, and 'vitrail resume' makes it again") from error


def _inputs(classifier: Classifier, images: UInt8[ndarray, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Pixels that already have the model's size: they are normalised, and not cropped again."""
    return classifier.preprocessing.normalize(torch.from_numpy(images))
