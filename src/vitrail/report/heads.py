"""What a ViT's heads do, and what it knows about positions; or the first kernels of a CNN."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vitrail import numbers, plots
from vitrail.estimate import wilson_interval
from vitrail.report.elements import Context, Drawing
from vitrail.report.embedding import draw
from vitrail.tables import Table
from vitrail.text import listed, shown_name

if TYPE_CHECKING:
    from vitrail.inspection.summaries import ModelSummary

_COPIES = "is a copy of an earlier head"
_MOST_LISTED = 12

_POSITIONS = {
    "learned": "If each patch is most similar to its neighbours, the model has learned which patches lie together.",
    "learned2d": "Each embedding joins one for the row and one for the column, so that patches of one row or column "
    "are similar from the start. If near rows or columns are more similar than far ones, the model has learned their "
    "order.",
}
_LEAST_ORDER = 0.1
"""Correlation of the similarity of position embeddings with nearness from which on it is more than noise; with few
patches, twice what chance gives (one over the root of the number of pairs)."""


def heads(summary: ModelSummary) -> Context | None:
    """What heads mainly do and which, and every number of every head; None for a model without heads."""
    from vitrail.inspection.heads import UNNAMED

    distances, dependence = summary.attention_distance, summary.class_dependence
    if distances is None:
        return None
    charts = [_distance(distances, summary.uniform_distance)]
    if summary.head_entropy is not None:
        charts.append(_entropy(summary.head_entropy, summary.most_entropy))
    if dependence is not None:
        charts.append(_dependence(dependence))
    offsets, similarity = summary.head_offsets, summary.head_similarity
    mains = {_main(name) for name in summary.head_names}
    return {
        "count": distances.size,
        "unnamed": mains <= {UNNAMED, _COPIES},
        "images": summary.images,
        "names_classes": dependence is not None,
        "summary": head_summary(summary.head_names, distances.shape[1]),
        "charts": charts,
        "offsets": None if offsets is None else _offsets(offsets),
        "similarity": None if similarity is None else _similarity(similarity, distances.shape[1]),
        "table": _table(summary, distances),
    }


def positions_section(summary: ModelSummary, class_count: int, cuts_patches: bool, pos_embed: str) -> Context | None:
    """None where nothing of it is stored. `cuts_patches`: the first layer sees patches, and is no convolution."""
    moved = table = None
    if summary.moved is not None and summary.moved_accuracy is not None:
        moved, table = _moved(summary.moved, summary.moved_accuracy, summary.images, class_count)
    similarity = summary.position_similarity
    nothing = "" if similarity is None else _no_order(similarity, pos_embed)
    section = {
        "positions": None if similarity is None or nothing else _positions(similarity, pos_embed),
        "no_order": nothing,
        "moved": moved,
        "moved_table": table,
        "filters": _filters(summary, cuts_patches),
    }
    return {**section, "are_kernels": not cuts_patches} if any(section.values()) else None


def _distance(distances: Float[ndarray, "layer head"], uniform: float | None) -> Drawing:
    means = np.nanmean(distances, axis=1)
    alt = (
        f"Mean attention distance of every head by layer: over heads, {means[0]:.1f} pixels in layer 0 "
        f"and {means[-1]:.1f} in the last; all heads lie between {np.nanmin(distances):.1f} and "
        f"{np.nanmax(distances):.1f}."
    )
    caption = (
        "How far a patch looks, in pixels: the mean distance to the patches that it attends to, leaving out class "
        "token and registers. A head that looked only at its own patch would have 0"
    )
    even = "" if uniform is None else f", one that looked at all patches alike {uniform:.1f}, the dashed line"
    return draw(plots.attention_distance(distances, uniform), "distance", alt, f"{caption}{even}.")


def _entropy(entropies: Float[ndarray, "layer head"], most: float | None) -> Drawing:
    alt = f"Entropy of every head's attention: from {entropies.min():.2f} to {entropies.max():.2f} nats."
    caption = "How many tokens a head spreads its attention over: 0 nats is a single one"
    even = "" if most is None else f", {most:.2f} all of them alike"
    return draw(plots.head_entropy(entropies, most), "entropy", alt, f"{caption}{even}.")


def _dependence(shares: Float[ndarray, "layer head"]) -> Drawing:
    alt = f"Share of variance that the class explains, of every head: from {shares.min():.2f} to {shares.max():.2f}."
    caption = (
        "How much of the change in a head's attention from image to image the class explains: 0 is none of it, 1 is "
        "all of it."
    )
    return draw(plots.class_dependence(shares), "dependence", alt, caption)


def _offsets(profiles: Float[ndarray, "layer head row column"]) -> Drawing:
    depth, count, rows, columns = profiles.shape
    alt = f"For each of {count} heads in {depth} layers, its mean attention by offset, on a grid of {rows} × {columns}."
    caption = (
        "Which neighbour a head looks at. The middle of each square is the patch itself, and what lies above it are "
        "the patches above. A head that looked everywhere alike would show a single colour."
    )
    return draw(plots.head_offsets(profiles), "offsets", alt, caption)


def _similarity(matrix: Float[ndarray, "any_head any_head"], count: int) -> Drawing:
    others = matrix[~np.eye(len(matrix), dtype=bool)]
    between = f"; two different heads have between {others.min():.2f} and {others.max():.2f}" if others.size else ""
    alt = f"Correlation of the attention of any two of {len(matrix)} heads{between}."
    caption = "Which heads look at the same things: 1 is the same pattern, 0 is unrelated."
    return draw(plots.head_similarity(matrix, count), "head-similarity", alt, caption)


def head_summary(names: tuple[str, ...], count: int) -> Table:
    """What heads mainly do, most frequent first; copies count as what they copy, where that has a name.

    At most 12 heads of a kind are listed.
    """
    groups: dict[str, list[str]] = {}
    for i, name in enumerate(names):
        groups.setdefault(_main(name), []).append("{}.{}".format(*divmod(i, count)))
    ranked = sorted(groups.items(), key=lambda group: -len(group[1]))
    rows = [[name, f"{len(which)} of {len(names)}", listed(which, _MOST_LISTED)] for name, which in ranked]
    return Table("What the heads mainly do", ["a head that", "heads", "which (layer.head)"], rows)


def _main(name: str) -> str:
    main = shown_name(name).partition(" (copy of")[0]
    return _COPIES if main.startswith("copy of") else main


def _table(summary: ModelSummary, distances: Float[ndarray, "layer head"]) -> Table:
    columns = [
        ("distance (pixels)", distances, 1),
        ("entropy (nats)", summary.head_entropy, 2),
        ("explained by class", summary.class_dependence, 2),
    ]
    known = [(name, values.ravel(), digits) for name, values, digits in columns if values is not None]
    rows = []
    for i, name in enumerate(summary.head_names):
        cells = [numbers.number(values[i], digits=digits) for _, values, digits in known]
        rows.append(["{}.{}".format(*divmod(i, distances.shape[1])), shown_name(name), *cells])
    return Table("Every head", ["layer.head", "mainly", *(name for name, _, _ in known)], rows)


def _no_order(similarity: Float[ndarray, "height width row column"], pos_embed: str) -> str:
    """Why there is nothing to see in the similarity of position embeddings; "" where there is."""
    if pos_embed == "sincos":
        return "Its position embeddings are sines and cosines of row and column, which training does not change."
    height, width = similarity.shape[:2]
    rows, columns = np.divmod(np.arange(height * width), width)
    a, b = np.triu_indices(height * width, 1)
    away = np.hypot(rows[a] - rows[b], columns[a] - columns[b])
    alike = similarity.reshape(height * width, -1)[a, b]
    if pos_embed == "learned2d" or not len(away) or not np.isfinite(alike).all():
        return ""
    nearer = -np.corrcoef(alike, away)[0, 1] if np.ptp(alike) and np.ptp(away) else 0.0
    if nearer >= max(_LEAST_ORDER, 2 / np.sqrt(len(away))):
        return ""
    return (
        "Its position embeddings do not tell near patches from far ones: their similarity goes with nearness no more "
        f"than that of random ones would (correlation {numbers.number(float(nearer))}). More epochs, or more images, "
        "would be needed to see more."
    )


def _positions(similarity: Float[ndarray, "height width row column"], pos_embed: str) -> Drawing:
    height, width = similarity.shape[:2]
    alt = f"Cosine similarity of the position embeddings of {height} × {width} patches, a map for each."
    caption = (
        "Each small map stands at its patch's place in the image, and shows how similar that patch's position "
        "embedding is to those of all patches: 1 is the same direction, 0 is unrelated. "
    )
    caption += _POSITIONS.get(pos_embed, _POSITIONS["learned"])
    return draw(plots.position_similarity(similarity), "positions", alt, caption)


def _moved(
    shares: Float[ndarray, " share"], accuracy: Float[ndarray, " share"], images: int, class_count: int
) -> tuple[Drawing, Table]:
    chance = 1 / class_count if class_count else None
    figure = plots.accuracy_by_moved(shares, accuracy, chance, float(accuracy[0]) if shares[0] == 0 else None)
    ends = [f"{numbers.percent(float(a))} with {100 * s:.0f} % moved" for s, a in zip(shares, accuracy, strict=True)]
    alt = f"Accuracy on {images:,} test images against the share of patches that changed places: {', '.join(ends)}."
    caption = (
        f"{images:,} test images with some of their patches swapped around. A model that uses only what is in the "
        "patches, wherever they are, keeps its accuracy; one that needs their order falls towards guessing."
    )
    rows = []
    for share, right in zip(shares.tolist(), accuracy.tolist(), strict=True):
        low, high = (numbers.percent(end) for end in wilson_interval(right, images))
        rows.append([f"{100 * share:.1f} %", numbers.percent(right), f"{low} to {high}"])
    table = Table("Accuracy when patches move", ["patches moved", "accuracy", "95 % interval"], rows)
    return draw(figure, "moved", alt, caption), table


def _filters(summary: ModelSummary, cuts_patches: bool) -> Drawing | None:
    filters, explained = summary.patch_filters, summary.explained
    if filters is None or explained is None:
        return None
    count, _, tall, wide = filters.shape
    what = "patch filters" if cuts_patches else "first-layer kernels"
    alt = f"The {count} strongest {what}, {tall} × {wide} pixels each; the first has {numbers.percent(explained[0])}."
    if cuts_patches:
        caption = (
            "The patterns that every patch is compared with before the first layer, strongest first, and the share of "
            "the layer's squared weights along each. A pattern and its negative count as the same."
        )
    else:
        caption = (
            "The first convolution's kernels, strongest first, and each one's share of the layer's squared weights."
        )
    return draw(plots.patch_filters(filters, explained, signed=not cuts_patches), "filters", alt, caption)
