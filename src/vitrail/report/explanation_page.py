"""The page of `vitrail explain`: what the model sees in a few images, and how far to trust the maps."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray

from vitrail import numbers, plots
from vitrail.plots.features import depths, token_name
from vitrail.report.elements import Context, notice, render
from vitrail.report.embedding import draw, embed
from vitrail.report.gallery import guesses
from vitrail.report.trust import measured_trust
from vitrail.runs.adoption import Adoption
from vitrail.tables import Table
from vitrail.text import plural, shown_name

if TYPE_CHECKING:
    from vitrail.inspection.explanation import Explanation
    from vitrail.inspection.faithfulness import Faithfulness

FIGURES = (
    "patches",
    "attributions",
    "controls",
    "attention",
    "rollout",
    "features",
    "lens",
    "shuffled",
    "tokens",
    "norms",
)
_MOST_GUESSES = 5
_GAP = "lerf_minus_morf_mean"


def explanation_page(
    title: str,
    images: Sequence[Context],
    has: Collection[str],
    measured: Faithfulness | None,
    layer: int | None = None,
    head: int | None = None,
    adoption: Adoption | None = None,
) -> str:
    """The whole HTML text.

    Args:
        title: of the page.
        images: see `show_explanation`.
        has: what the model has: "tokens", or "stages" of feature maps.
        measured: how far each method is to be believed on many images, where that is known.
        layer: the only one of which attention is shown; all of them by default.
        head: the only one of which attention is shown; all of them by default.
        adoption: where the model's weights come from, unless they were trained here.
    """
    return render(
        "explanation.html",
        {
            "title": shown_name(title),
            "lede": f"What the model bases its answer on in {plural(len(images), 'image')}.",
            "test_is_validation": False,
            "notices": [] if adoption is None else [notice(f"Adopted weights, {adoption.wiring}", f"{adoption}.")],
            "images": images,
            "has_tokens": "tokens" in has,
            "chosen": _chosen(layer, head),
            "trust": None if measured is None else measured_trust(measured),
        },
    )


def explanation_figures(
    explanation: Explanation,
    class_names: Sequence[str],
    patch_size: int | None,
    layer: int | None = None,
    head: int | None = None,
) -> dict[str, tuple[Figure, str]]:
    """Every figure that applies to an image, and what it shows in words, by its name in `FIGURES` (also a file's).

    Raises:
        InputError: a layer or head that there is not.
    """
    one, names, image = explanation, [shown_name(name) for name in class_names], shown_name(explanation.name)
    target, figures = names[one.target], {}
    if patch_size is not None:
        alt = f"{image} cut into patches, and the patches as rows of numbers."
        figures["patches"] = plots.patches(one.image, patch_size), alt
    by_trust, controls = _ranked(one)
    if by_trust:
        title = f"what speaks for {target}, by each method"
        alt = f"{image} beside each method's map of what speaks for {target}"
        figures["attributions"] = _maps(one, by_trust, title, alt)
    if controls:
        alt = f"{image} beside the maps of controls"
        figures["controls"] = _maps(one, controls, "controls: maps that know nothing of the model", alt)
    if one.attention is not None:
        alt = f"Attention over {image}{_chosen(layer, head)}."
        figures["attention"] = _attention(one, one.attention, layer, head), alt
    if one.rollout is not None:
        figure = plots.rollout_map(one.image, {"mean over heads": one.rollout})
        figures["rollout"] = figure, f"Attention rollout over {image}."
    if one.lens is not None:
        each = ", ".join(map(numbers.percent, one.lens[:, one.target].tolist()))
        alt = f"Probability of {target} if the head reads the tokens at each depth: {each}."
        figures["lens"] = plots.logit_lens(one.lens, names, one.target), alt
    if one.token_colors is not None:
        alt = f"The patch tokens of {image} as colours, as embedded and after every layer."
        figures["tokens"] = plots.token_colors(one.image, one.token_colors), alt
    if one.token_norms is not None and one.rollout is not None:
        figures["norms"] = _norms(one, one.token_norms, one.rollout.shape, image)
    if one.shuffled is not None and one.shuffled_probabilities is not None:
        both, after = ["the image", "its patches shuffled"], one.shuffled_probabilities
        probabilities, now = np.stack([one.probabilities, after]), int(np.argmax(after))
        alt = f"{image}, and the same with its patches shuffled: then predicted {names[now]}"
        figure = plots.position_effect([one.image, one.shuffled], both, probabilities, names)
        figures["shuffled"] = figure, f"{alt}, {numbers.percent(float(after[now]))}."
    if one.features:
        stages = None if one.attention is not None else [f"stage {i}" for i in range(len(one.features))]
        alt = f"Feature maps of {image} at {plural(len(one.features), 'depth')}."
        figures["features"] = plots.feature_maps(one.image, one.features, stages, channels=one.channels), alt
    return figures


def _maps(one: Explanation, chosen: Sequence[int], title: str, alt: str) -> tuple[Figure, str]:
    labels, gaps = [_label(one.methods[i]) for i in chosen], [numbers.signed(float(one.trust[i])) for i in chosen]
    maps = {label: one.maps[i] for label, i in zip(labels, chosen, strict=True)}
    trust = {
        label: f"trust {gap}" if maps[label].any() else "zero everywhere"
        for label, gap in zip(labels, gaps, strict=True)
    }
    said = ", ".join(f"{one.methods[i]} {gap}" for i, gap in zip(chosen, gaps, strict=True))
    return plots.map_row(one.image, maps, trust, title), f"{alt}. Trust: {said}."


def _ranked(one: Explanation) -> tuple[list[int], list[int]]:
    """Methods by their trust on this image, those whose map is empty last; and the controls."""
    from vitrail.inspection.attribution import METHODS

    trust = [
        gap if shown.any() and np.isfinite(gap) else -np.inf for gap, shown in zip(one.trust, one.maps, strict=True)
    ]
    ranked = sorted(range(len(trust)), key=lambda i: -trust[i])
    is_control = [name in METHODS and METHODS[name].is_control for name in one.methods]
    return [i for i in ranked if not is_control[i]], [i for i in ranked if is_control[i]]


def _label(method: str) -> str:
    """With what its map does not depend on."""
    from vitrail.inspection.attribution import METHODS

    known = METHODS.get(method)
    if known is None or (known.depends_on_class and not known.is_control):
        return method
    return f"{method} ({'control' if known.is_control else 'of no class'})"


def _attention(
    one: Explanation, maps: Float[ndarray, "layer head row column"], layer: int | None, head: int | None
) -> Figure:
    from vitrail.inspection.capture import choose

    layers, heads = choose("layer", layer, maps.shape[0]), choose("head", head, maps.shape[1])
    return plots.attention_grid(one.image, maps[layers][:, heads], layers, head)


def _norms(
    one: Explanation, norms: Float[ndarray, "depth token"], grid: tuple[int, int], image: str
) -> tuple[Figure, str]:
    by_token: dict[str, list[str]] = {}
    for depth, token in one.outliers:
        by_token.setdefault(token_name(token, one.token_names, grid), []).append(depths(len(norms))[depth])
    outliers = "; ".join(f"{name} ({', '.join(where)})" for name, where in by_token.items())
    alt = f"Length of the tokens of {image} by depth. Outliers: {outliers or 'none'}."
    return plots.token_norms(norms, one.outliers, one.token_names, grid), alt


def show_explanation(
    key: str,
    one: Explanation,
    figures: Mapping[str, tuple[Figure, str]],
    class_names: Sequence[str],
    measured: Faithfulness | None,
) -> Context:
    """One image as the page shows it; a drawing that does not apply is None.

    `key` tells it from the others of the page, `figures` are those of `explanation_figures`, and `measured` is as for
    `explanation_page`.
    """
    names = [shown_name(name) for name in class_names]
    drawings = {name: draw(figure, f"{name}-{key}", alt) for name, (figure, alt) in figures.items()}
    return {
        "image": embed(one.image, shown_name(one.name)),
        "target": names[one.target],
        "is_predicted": one.target == int(np.argmax(one.probabilities)),
        "sure": numbers.percent(float(one.probabilities[one.target])),
        "guesses": guesses(one.probabilities, names, one.target, _MOST_GUESSES),
        "methods": _methods(one, measured),
        "drawings": {**dict.fromkeys(FIGURES), **drawings},
    }


def _methods(one: Explanation, measured: Faithfulness | None) -> Table:
    """What is known of each method: whether it depends on the class, its trust here, and over many images."""
    from vitrail.inspection.attribution import METHODS

    overall = {} if measured is None else {of.method: of.estimate(_GAP) for of in measured.scores}
    head = ["method", "depends on the class", "trust on this image"]
    rows = []
    by_trust, controls = _ranked(one)
    for i in (*by_trust, *controls):
        name, known = one.methods[i], METHODS.get(one.methods[i])
        trust = numbers.signed(float(one.trust[i])) if one.maps[i].any() else "zero everywhere"
        row = [_label(name), numbers.NONE if known is None else "yes" if known.depends_on_class else "no", trust]
        if measured is not None:
            mean = overall.get(name)
            row.append(numbers.NONE if mean is None else numbers.signed(mean.mean, mean.half))
        rows.append(row)
    if measured is not None:
        head.append(f"mean of {measured.num_images:,} images ± half of the 95 % interval")
    return Table("Methods, and how far to trust them", head, rows)


def _chosen(layer: int | None, head: int | None) -> str:
    parts = [f"{what} {number}" for what, number in (("layer", layer), ("head", head)) if number is not None]
    return f", {' and '.join(parts)} only" if parts else ""
