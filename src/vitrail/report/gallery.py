"""Sample images, their patches, and the most confident mistakes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vitrail import numbers, plots
from vitrail.report.elements import Context, Picture
from vitrail.report.embedding import draw, embed
from vitrail.runs.directory import Run, Samples

_MOST_SAMPLES = 12
_MOST_MISTAKES = 16


def samples(run: Run, overlays: Sequence[Sequence[Picture]] = ()) -> list[Context]:
    """The first test images, whatever the model makes of them; `overlays` has the maps over each stored image."""
    return _stored(run, overlays, 0, _MOST_SAMPLES)


def mistakes(run: Run, overlays: Sequence[Sequence[Picture]] = ()) -> list[Context]:
    """The most confident mistakes, most confident first; not cut, because one wants to recognise them."""
    return [{**picture, "grid": (0, 0)} for picture in _stored(run, overlays, 1, _MOST_MISTAKES)]


def patches(run: Run) -> Context | None:
    """The first sample cut into patches and flattened; None for a model that does not do that."""
    stored = run.samples if run.cuts_patches else None
    chosen = np.flatnonzero(stored.mistake == 0) if stored is not None else np.arange(0)
    if stored is None or not len(chosen):
        return None
    image = stored.images[chosen[0]]
    rows, columns = _grid(run)
    p = run.patch_size
    if p is None or not rows:
        return None
    c, h, w = image.shape
    n, d = rows * columns, p * p * c
    alt = (
        f"A test image of {h} by {w} pixels and {c} {'channel' if c == 1 else 'channels'}, the same image as {n} "
        f"separate patches of {p} by {p} pixels, and those patches as {n} rows of {d} numbers."
    )
    width = run.model.get("embed_dim")
    return {
        "drawing": draw(plots.patches(image, p), "patches", alt),
        "height": h,
        "width": w,
        "channels": c,
        "patch_size": p,
        "number": n,
        "length": d,
        "embed_dim": width if isinstance(width, int) else None,
    }


def guesses(
    probabilities: Float[ndarray, " class"], names: Sequence[str], marked: int, most: int
) -> list[tuple[str, str, float, bool]]:
    """The most probable classes, the marked one in any case: name, probability, length of its bar in per cent, mark."""
    order = np.argsort(-probabilities, kind="stable")[:most].tolist()
    if marked not in order and 0 <= marked < len(probabilities):
        order[-1] = marked
    shares = probabilities.tolist()
    lengths = [round(100 * share, 1) if np.isfinite(share) else 0.0 for share in shares]
    return [(names[k], numbers.percent(shares[k]), lengths[k], k == marked) for k in order]


def _stored(run: Run, overlays: Sequence[Sequence[Picture]], mistake: int, most: int) -> list[Context]:
    if run.samples is None:
        return []
    chosen = np.flatnonzero(run.samples.mistake == mistake)[:most].tolist()
    over = [overlays[i] if overlays else () for i in chosen]
    grid = _grid(run)
    pictures = [_picture(run, run.samples, i) for i in chosen]
    return [{**of, "grid": grid, "overlays": maps} for of, maps in zip(pictures, over, strict=True)]


def pictures_of(run: Run, stored: Samples) -> list[Context]:
    """Images with their most probable classes, in their order."""
    return [_picture(run, stored, i) for i in range(len(stored.images))]


def _picture(run: Run, stored: Samples, i: int) -> Context:
    probabilities = stored.probabilities[i]
    if run.trust is not None:
        probabilities = run.trust.calibrated(probabilities[None])[0]
    names = [run.class_name(k) for k in range(len(probabilities))]
    label, predicted = int(stored.labels[i]), int(np.argsort(-probabilities, kind="stable")[0])
    true_name, sure = run.class_name(label), numbers.percent(float(probabilities[predicted]))
    source = stored.image_names[i] if stored.image_names else f"image {int(stored.index[i])}"
    alt = f"{source}: {true_name}, predicted {names[predicted]} with {sure}"
    return {
        "image": embed(stored.images[i], alt),
        "grid": (0, 0),
        "true_name": true_name,
        "right": label == predicted,
        "source": source,
        "guesses": guesses(probabilities, names, label, 3),
        "overlays": (),
    }


def _grid(run: Run) -> tuple[int, int]:
    """Rows and columns of the patches that the samples are cut into; 0 where the model has none."""
    if run.samples is None or not (p := run.patch_size):
        return 0, 0
    h, w = run.samples.images.shape[-2:]
    return (h // p, w // p) if h % p == 0 and w % p == 0 else (0, 0)
