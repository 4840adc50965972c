"""The page of `vitrail explain`: what the model sees in a few images, and how far to trust the maps."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray

from vitrail import numbers, plots
from vitrail.plots.features import depths, token_name
from vitrail.report.elements import Drawing, render
from vitrail.report.embedding import data_uri, draw, is_small
from vitrail.report.gallery import Guess
from vitrail.report.trust import measured_trust
from vitrail.tables import Table
from vitrail.text import plural, shown_name

if TYPE_CHECKING:
    from vitrail.inspection.explanation import Explanation
    from vitrail.inspection.faithfulness import Faithfulness

FIGURES = ("patches", "attributions", "attention", "rollout", "features", "lens", "shuffled", "tokens", "norms")
_MOST_GUESSES = 5
_GAP = "lerf_minus_morf_mean"


@dataclass(frozen=True)
class ExplainedImage:
    """An image with all that is shown of it; a drawing that does not apply is None."""

    name: str
    uri: str
    small: bool
    target: str
    is_predicted: bool
    sure: str
    """The target's probability."""
    guesses: tuple[Guess, ...]
    methods: Table
    drawings: dict[str, Drawing | None]


def explanation_page(
    title: str,
    images: Sequence[ExplainedImage],
    has: Collection[str],
    measured: Faithfulness | None,
    layer: int | None = None,
    head: int | None = None,
) -> str:
    """The whole HTML text.

    Args:
        title: of the page.
        images: see `show_explanation`.
        has: what the model has: "tokens", or "stages" of feature maps.
        measured: how far each method is to be believed on many images, where that is known.
        layer: the only one of which attention is shown; all of them by default.
        head: the only one of which attention is shown; all of them by default.
    """
    count = plural(len(images), "image")
    return render(
        "explanation.html",
        {
            "title": shown_name(title),
            "lede": f"What the model bases its answer on in {count}.",
            "test_is_validation": False,
            "notices": [],
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
) -> dict[str, Figure]:
    """Every figure that applies to an image, by its name in `FIGURES`, which can be a file's.

    Raises:
        InputError: a layer or head that there is not.
    """
    one, names = explanation, [shown_name(name) for name in class_names]
    labels = [_label(name) for name in one.methods]
    trust = {
        label: f"trust {numbers.signed(gap)}" if shown.any() else "zero everywhere"
        for label, shown, gap in zip(labels, one.maps, one.trust.tolist(), strict=True)
    }
    figures = {}
    if patch_size is not None:
        figures["patches"] = plots.patches(one.image, patch_size)
    if one.methods:
        maps = dict(zip(labels, one.maps, strict=True))
        title = f"what speaks for {names[one.target]}, by each method"
        figures["attributions"] = plots.map_row(one.image, maps, trust, title)
    if one.attention is not None:
        figures["attention"] = _attention(one, one.attention, layer, head)
    if one.rollout is not None:
        figures["rollout"] = plots.rollout_map(one.image, {"mean over heads": one.rollout})
    if one.lens is not None:
        figures["lens"] = plots.logit_lens(one.lens, names, one.target)
    if one.token_colors is not None:
        figures["tokens"] = plots.token_colors(one.image, one.token_colors)
    if one.token_norms is not None and one.rollout is not None:
        rows, columns = one.rollout.shape
        figures["norms"] = plots.token_norms(one.token_norms, one.outliers, one.token_names, (rows, columns))
    if one.shuffled is not None and one.shuffled_probabilities is not None:
        figures["shuffled"] = plots.position_effect(
            [one.image, one.shuffled],
            ["the image", "its patches shuffled"],
            np.stack([one.probabilities, one.shuffled_probabilities]),
            names,
        )
    if one.features:
        stages = None if one.attention is not None else [f"stage {i}" for i in range(len(one.features))]
        figures["features"] = plots.feature_maps(one.image, one.features, stages, channels=one.channels)
    return figures


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


def show_explanation(
    key: str,
    one: Explanation,
    figures: Mapping[str, Figure],
    class_names: Sequence[str],
    measured: Faithfulness | None,
    layer: int | None = None,
    head: int | None = None,
) -> ExplainedImage:
    """One image as the page shows it.

    Args:
        key: what tells it from the others of the page.
        one: what is known of the image.
        figures: those of `explanation_figures`.
        class_names: of all classes.
        measured: as for `explanation_page`.
        layer: as for `explanation_page`.
        head: as for `explanation_page`.
    """
    names = [shown_name(name) for name in class_names]
    texts = _alts(one, names, layer, head)
    return ExplainedImage(
        name=shown_name(one.name),
        uri=data_uri(one.image),
        small=is_small(one.image),
        target=names[one.target],
        is_predicted=one.target == int(np.argmax(one.probabilities)),
        sure=numbers.percent(float(one.probabilities[one.target])),
        guesses=_guesses(one, names),
        methods=_methods(one, measured),
        drawings={
            name: draw(figures[name], f"{name}-{key}", texts[name]) if name in figures else None for name in FIGURES
        },
    )


def _guesses(one: Explanation, names: list[str]) -> tuple[Guess, ...]:
    order = np.argsort(-one.probabilities, kind="stable")[:_MOST_GUESSES].tolist()
    if one.target not in order:
        order[-1] = one.target
    shares = one.probabilities.tolist()
    return tuple(Guess(names[k], numbers.percent(shares[k]), round(100 * shares[k], 1), k == one.target) for k in order)


def _methods(one: Explanation, measured: Faithfulness | None) -> Table:
    """What is known of each method: whether it depends on the class, its trust here, and over many images."""
    from vitrail.inspection.attribution import METHODS

    overall = {} if measured is None else {of.method: of.estimate(_GAP) for of in measured.scores}
    head = ["method", "depends on the class", "trust on this image"]
    rows = []
    for name, shown, gap in zip(one.methods, one.maps, one.trust.tolist(), strict=True):
        known = METHODS.get(name)
        trust = numbers.signed(gap) if shown.any() else "zero everywhere"
        row = [_label(name), numbers.NONE if known is None else "yes" if known.depends_on_class else "no", trust]
        if measured is not None:
            mean = overall.get(name)
            row.append(numbers.NONE if mean is None else numbers.signed(mean.mean, mean.half))
        rows.append(row)
    if measured is not None:
        head.append(f"mean of {measured.num_images:,} images ± half of the 95 % interval")
    return Table("Methods, and how far to trust them", head, rows)


def _alts(one: Explanation, names: list[str], layer: int | None, head: int | None) -> dict[str, str]:
    image, target = shown_name(one.name), names[one.target]
    gaps = ", ".join(f"{name} {numbers.signed(gap)}" for name, gap in zip(one.methods, one.trust.tolist(), strict=True))
    alts = {
        "patches": f"{image} cut into patches, and the patches as rows of numbers.",
        "attributions": f"{image} beside each method's map of what speaks for {target}. Trust: {gaps}.",
        "attention": f"Attention over {image}{_chosen(layer, head)}.",
        "rollout": f"Attention rollout over {image}.",
        "tokens": f"The patch tokens of {image} as colours, as embedded and after every layer.",
        "features": f"Feature maps of {image} at {plural(len(one.features), 'depth')}.",
    }
    if one.lens is not None:
        each = ", ".join(numbers.percent(float(p)) for p in one.lens[:, one.target])
        alts["lens"] = f"Probability of {target} if the head reads the tokens at each depth: {each}."
    if one.token_norms is not None and one.rollout is not None:
        rows, columns = one.rollout.shape
        by_token: dict[int, list[str]] = {}
        for depth, token in one.outliers:
            by_token.setdefault(token, []).append(depths(len(one.token_norms))[depth])
        outliers = "; ".join(
            f"{token_name(token, one.token_names, (rows, columns))} ({', '.join(where)})"
            for token, where in by_token.items()
        )
        alts["norms"] = f"Length of the tokens of {image} by depth. Outliers: {outliers or 'none'}."
    if one.shuffled_probabilities is not None:
        now = int(np.argmax(one.shuffled_probabilities))
        share = numbers.percent(float(one.shuffled_probabilities[now]))
        alts["shuffled"] = f"{image}, and the same with its patches shuffled: then predicted {names[now]}, {share}."
    return alts


def _chosen(layer: int | None, head: int | None) -> str:
    parts = [f"{what} {number}" for what, number in (("layer", layer), ("head", head)) if number is not None]
    return f", {' and '.join(parts)} only" if parts else ""
