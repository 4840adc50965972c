"""What a model knows of where patches are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy import ndarray

from vitrail.plots.maps import fill
from vitrail.plots.panels import Scale, evenly, fit, sheet, write
from vitrail.plots.style import INK, RIGHT, SOFT, WRONG, chart, legend, line
from vitrail.text import plain_text

_MOST_MAPS = 8
_GUESSES = 3


def position_similarity(similarity: Float[ndarray, "height width row column"]) -> Figure:
    """Cosine similarity of position embeddings: a map for each patch (Dosovitskiy et al. 2021, figure 7 centre).

    Of a grid of more than 8 rows or columns, 8 evenly spaced ones have a map, each of all patches. The scale is
    -1 to 1 for any model.
    """
    height, width, rows, columns = similarity.shape
    chosen_rows, chosen_columns = evenly(height, _MOST_MAPS), evenly(width, _MOST_MAPS)
    maps, patches = len(chosen_rows) * len(chosen_columns), height * width
    every = "every patch has" if maps == patches else f"{maps} of {patches} patches have"
    scale = Scale(-1.0, 1.0, "cosine similarity of position embeddings")
    made = sheet(
        len(chosen_rows),
        len(chosen_columns),
        rows / columns,
        row_names=[str(i) for i in chosen_rows],
        column_names=[str(i) for i in chosen_columns],
        row_axis="row of the patch",
        column_axis="column of the patch",
        largest=0.56,
        scale=scale,
        notes=(f"{every} a map of their similarity to all",) if maps != patches else (),
    )
    for i, row in enumerate(chosen_rows):
        for j, column in enumerate(chosen_columns):
            made.picture(i, j, similarity[row, column], scale)
    return made.figure


def position_effect(
    images: Sequence[UInt8[ndarray, "c h w"]],
    names: Sequence[str],
    probabilities: Float[ndarray, "image class"],
    class_names: Sequence[str],
) -> Figure:
    """An image, first, and altered copies of it side by side, each with its three most probable classes.

    `names` say what was done to each, such as "16 patches moved".
    """
    of = images[0]
    guesses = min(_GUESSES, len(class_names))
    made = sheet(1, len(images), of.shape[1] / of.shape[2], largest=1.7, gap=0.15, under=0.45 + 0.2 * guesses)
    predicted = [int(np.argmax(p)) for p in probabilities]
    for i, (image, name) in enumerate(zip(images, names, strict=True)):
        fill(made, 0, i, image)
        made.under(0, i, plain_text(name), 9, color=INK)
        same = predicted[i] == predicted[0]
        if i:
            made.under(0, i, "same prediction" if same else "another prediction", line=1)
        x, y = made.corner(0, i)
        for k, guess in enumerate(np.argsort(-probabilities[i], kind="stable")[:guesses]):
            at = y + made.cell_height + 0.46 + 0.2 * k
            share = float(probabilities[i, guess])
            color, label = RIGHT if guess == predicted[0] else WRONG, plain_text(class_names[guess])
            bar = Rectangle((x, at - 0.08), share * made.cell_width, 0.16, color=color, alpha=0.35, linewidth=0)
            made.axes.add_patch(bar)
            write(made.axes, x + 0.04, at, label, fit(label, made.cell_width - 0.55, 9), color=INK)
            write(made.axes, x + made.cell_width, at, f"{100 * share:.1f} %", 8, ha="right")
    return made.figure


def accuracy_by_moved(
    shares: Float[ndarray, " n"],
    accuracy: Float[ndarray, " n"],
    chance: float | None = None,
    unaltered: float | None = None,
) -> Figure:
    """Accuracy against the share of patches that have changed places; all numbers are fractions.

    `chance` is the accuracy of guessing, `unaltered` that on the images as they are; each is a line where given.
    """
    figure, axes = chart("accuracy when patches move")
    axes.plot(100 * shares, 100 * accuracy, **line(0, len(shares)), label="patches moved")
    for value, name, dashes in ((unaltered, "unaltered images", (4, 2)), (chance, "chance", (1, 1.4))):
        if value is not None:
            axes.axhline(100 * value, color=SOFT, linewidth=1.2, linestyle=(0, dashes), label=name)
    axes.set_ylim(0, 102)
    axes.set_xlabel("patches moved, in %")
    axes.set_ylabel("accuracy, in %")
    legend(figure, axes)
    return figure
