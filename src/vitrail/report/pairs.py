"""Two models over the same images: how alike their layers are, and what each goes by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vitrail import plots
from vitrail.files import checked
from vitrail.numbers import NONE
from vitrail.plots.panels import Scale
from vitrail.report import overlays
from vitrail.report.elements import Drawing
from vitrail.report.embedding import data_uri, draw, is_small
from vitrail.report.model_section import check_shapes
from vitrail.report.overlays import Overlay
from vitrail.runs.layout import INSPECTION
from vitrail.tables import Table
from vitrail.text import shown_name

if TYPE_CHECKING:
    from vitrail.inspection.summaries import PairSummary

_OCCLUSION = "occlusion"


@dataclass(frozen=True)
class Side:
    """What one model makes of an image."""

    model: str
    predicted: str
    right: bool
    overlays: tuple[Overlay, ...]


@dataclass(frozen=True)
class Shared:
    """An image that both models were shown."""

    uri: str
    alt: str
    small: bool
    true_name: str
    sides: tuple[Side, ...]


@dataclass(frozen=True)
class Pair:
    names: tuple[str, ...]
    methods: tuple[str, ...]
    images: int
    """That the layers were compared on."""
    cka: Drawing
    table: Table
    most_similar: str
    pictures: tuple[Shared, ...]
    signed: bool
    """Some maps speak against the class."""
    bar: Drawing


def read_pair(directory: Path) -> Pair | None:
    """None where the comparison has not stored it. Raises InputError for a file that is there but damaged."""
    path = directory / INSPECTION
    if not path.is_file():
        return None
    from vitrail.inspection.summaries import PairSummary, read

    return checked(path, lambda: _pair(read(path, PairSummary)))


def _pair(view: PairSummary | None) -> Pair | None:
    if view is None:
        return None
    _check(view)
    names = tuple(map(shown_name, view.names))
    layers = [shown_name(name) for name in view.layers_a], [shown_name(name) for name in view.layers_b]
    row, column = np.unravel_index(int(np.nanargmax(view.cka)), view.cka.shape)
    most_similar = (
        f"The most similar pair is {layers[0][row]} of {names[0]} and {layers[1][column]} of "
        f"{names[1]}, with {view.cka[row, column]:.2f}."
    )
    alt = f"CKA of {len(layers[0])} layers of {names[0]} (rows) and {len(layers[1])} of {names[1]} (columns). "
    figure = plots.cka_heatmap(view.cka, layers, (names[0], names[1]))
    rows = [
        [layer, *(f"{v:.2f}" if np.isfinite(v) else NONE for v in row)]
        for layer, row in zip(layers[0], view.cka, strict=True)
    ]
    pictures, scale = _pictures(view, names)
    return Pair(
        names=names,
        methods=tuple(map(shown_name, view.methods)),
        images=view.images_compared,
        cka=draw(figure, "cka", alt + most_similar),
        table=Table(f"CKA of {names[0]} (rows) and {names[1]} (columns)", ["layer", *layers[1]], rows),
        most_similar=most_similar,
        pictures=pictures,
        signed=scale.low < 0,
        bar=overlays.bar(scale, "pair-scale"),
    )


def _check(view: PairSummary) -> None:
    check_shapes(
        {
            "cka": (view.cka, "layer_a layer_b"),
            "labels": (view.labels, "sample"),
            "predicted_a": (view.predicted_a, "sample"),
            "predicted_b": (view.predicted_b, "sample"),
            "images": (view.images, "sample channel height width"),
            **{
                name: (getattr(view, name), "sample height width")
                for name in ("maps_a", "maps_b", "occlusion_a", "occlusion_b")
            },
        }
    )
    if view.images.dtype != np.uint8:
        raise ValueError("images are not uint8")
    if len(view.names) != 2 or len(view.methods) != 2 or (len(view.layers_a), len(view.layers_b)) != view.cka.shape:
        raise ValueError("it has not two names and methods, and a name for every layer")
    if not np.isfinite(view.cka).any():
        raise ValueError("cka has no number")


def _pictures(view: PairSummary, names: tuple[str, ...]) -> tuple[tuple[Shared, ...], Scale]:
    maps = [overlays.strengths(m) for m in (view.maps_a, view.occlusion_a, view.maps_b, view.occlusion_b)]
    scale = overlays.common_scale(np.stack(maps), overlays.STRENGTHS)
    methods = [shown_name(name) for name in (view.methods[0], _OCCLUSION, view.methods[1], _OCCLUSION)]
    owners = (names[0], names[0], names[1], names[1])
    columns = [
        overlays.over_images(method, view.images, values, scale, [f"{method} of {owner}"] * len(values))
        for method, owner, values in zip(methods, owners, maps, strict=True)
    ]
    shared = []
    for i, (image, label) in enumerate(zip(view.images, view.labels.tolist(), strict=True)):
        sides = tuple(
            Side(names[k], _class(view, int(predicted[i])), int(predicted[i]) == label, found)
            for k, predicted, found in (
                (0, view.predicted_a, (columns[0][i], columns[1][i])),
                (1, view.predicted_b, (columns[2][i], columns[3][i])),
            )
        )
        true_name = _class(view, label)
        shared.append(Shared(data_uri(image), f"test image: {true_name}", is_small(image), true_name, sides))
    return tuple(shared), scale


def _class(view: PairSummary, label: int) -> str:
    names = view.class_names
    return shown_name(names[label]) if 0 <= label < len(names) else f"class {label}"
