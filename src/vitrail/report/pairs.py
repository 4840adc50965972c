"""Two models over the same images: how alike their layers are, and what each goes by."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vitrail import numbers, plots
from vitrail.files import checked
from vitrail.plots.panels import map_scale
from vitrail.report import overlays
from vitrail.report.elements import Context
from vitrail.report.embedding import draw, embed
from vitrail.report.model_section import check_shapes, declared_axes
from vitrail.runs.layout import INSPECTION
from vitrail.tables import Table
from vitrail.text import shown_name

if TYPE_CHECKING:
    from vitrail.inspection.summaries import PairSummary


def pair_section(directory: Path) -> Context | None:
    """None where the comparison has not stored it. Raises InputError for a file that is there but damaged."""
    path = directory / INSPECTION
    if not path.is_file():
        return None
    from vitrail.inspection.summaries import PairSummary, read

    summary = read(path, PairSummary)
    return None if summary is None else checked(path, lambda: _section(summary))


def _section(summary: PairSummary) -> Context:
    _check(summary)
    names = [shown_name(name) for name in summary.names]
    layers = [shown_name(name) for name in summary.layers_a], [shown_name(name) for name in summary.layers_b]
    row, column = np.unravel_index(int(np.nanargmax(summary.cka)), summary.cka.shape)
    most_similar = (
        f"The most similar pair is {layers[0][row]} of {names[0]} and {layers[1][column]} of "
        f"{names[1]}, with {summary.cka[row, column]:.2f}."
    )
    alt = f"CKA of {len(layers[0])} layers of {names[0]} (rows) and {len(layers[1])} of {names[1]} (columns). "
    figure = plots.cka_heatmap(summary.cka, layers, (names[0], names[1]))
    rows = [[layer, *map(numbers.number, row)] for layer, row in zip(layers[0], summary.cka.tolist(), strict=True)]
    return {
        "names": names,
        "methods": [shown_name(method) for method in summary.methods],
        "images": summary.images_compared,
        "cka": draw(figure, "cka", alt + most_similar),
        "table": Table(f"CKA of {names[0]} (rows) and {names[1]} (columns)", ["layer", *layers[1]], rows),
        "most_similar": most_similar,
        **_same_images(summary, names),
    }


def _same_images(summary: PairSummary, names: list[str]) -> Context:
    """What each model makes of the samples, with the maps of its own method and of occlusion, all on one scale."""
    maps = [
        (names[0], summary.methods[0], summary.maps_a),
        (names[0], "occlusion", summary.occlusion_a),
        (names[1], summary.methods[1], summary.maps_b),
        (names[1], "occlusion", summary.occlusion_b),
    ]
    strengths = [overlays.strengths(values) for _, _, values in maps]
    scale = map_scale(np.stack(strengths), overlays.STRENGTHS)
    over = [
        overlays.over_images(shown_name(method), summary.images, values, scale, f"{shown_name(method)} of {owner}")
        for (owner, method, _), values in zip(maps, strengths, strict=True)
    ]
    pictures = []
    for i, (image, label) in enumerate(zip(summary.images, summary.labels.tolist(), strict=True)):
        a, b = int(summary.predicted_a[i]), int(summary.predicted_b[i])
        true_name = _class(summary, label)
        sides = [
            {"model": name, "predicted": _class(summary, guess), "right": guess == label, "overlays": found}
            for name, guess, found in ((names[0], a, (over[0][i], over[1][i])), (names[1], b, (over[2][i], over[3][i])))
        ]
        pictures.append({"image": embed(image, f"test image: {true_name}"), "true_name": true_name, "sides": sides})
    return {"pictures": pictures, "signed": scale.low < 0, "bar": overlays.bar(scale, "pair-scale")}


def _check(summary: PairSummary) -> None:
    check_shapes(declared_axes(summary))
    if summary.images.dtype != np.uint8:
        raise ValueError("images are not uint8")
    layers = len(summary.layers_a), len(summary.layers_b)
    if len(summary.names) != 2 or len(summary.methods) != 2 or layers != summary.cka.shape:
        raise ValueError("it has not two names and methods, and a name for every layer")
    if not np.isfinite(summary.cka).any():
        raise ValueError("cka has no number")


def _class(summary: PairSummary, label: int) -> str:
    names = summary.class_names
    return shown_name(names[label]) if 0 <= label < len(names) else f"class {label}"
