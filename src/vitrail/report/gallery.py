"""Sample images, their patches, and the most confident mistakes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from vitrail import numbers, plots
from vitrail.report.elements import Drawing
from vitrail.report.embedding import data_uri, inline_svg, is_small
from vitrail.report.model_section import SampleOverlays
from vitrail.report.overlays import Overlay
from vitrail.runs.directory import Run, Samples

_MOST_SAMPLES = 12
_MOST_MISTAKES = 16


@dataclass(frozen=True)
class Guess:
    name: str
    percent: str
    width: float
    """The probability in per cent, as the length of a bar."""
    true: bool


@dataclass(frozen=True)
class Picture:
    uri: str
    alt: str
    small: bool
    columns: int
    """The grid of patches; 0 where the model has none."""
    rows: int
    true_name: str
    predicted_name: str
    right: bool
    source: str
    """The image's name, or its number in the data set."""
    guesses: tuple[Guess, ...]
    overlays: tuple[Overlay, ...] = ()
    """Maps over it."""


@dataclass(frozen=True)
class Patches:
    drawing: Drawing
    height: int
    width: int
    channels: int
    patch_size: int
    number: int
    length: int
    """Numbers in one patch."""
    embed_dim: int | None


def samples(run: Run, overlays: SampleOverlays | None = None) -> list[Picture]:
    """The first test images, whatever the model makes of them."""
    return _pictures(run, overlays, 0, _MOST_SAMPLES)


def mistakes(run: Run, overlays: SampleOverlays | None = None) -> list[Picture]:
    """The most confident mistakes, most confident first; not cut, because one wants to recognise them."""
    return [replace(picture, rows=0, columns=0) for picture in _pictures(run, overlays, 1, _MOST_MISTAKES)]


def patches(run: Run) -> Patches | None:
    """The first sample cut into patches and flattened; None for a model that does not do that."""
    stored = run.samples if run.cuts_patches else None
    chosen = np.flatnonzero(stored.mistake == 0) if stored is not None else np.arange(0)
    if stored is None or not len(chosen):
        return None
    image = stored.images[chosen[0]]
    rows, columns = _grid(run, stored)
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
    drawing = Drawing(inline_svg(plots.patches(image, p), "patches", alt))
    return Patches(drawing, h, w, c, p, n, d, width if isinstance(width, int) else None)


def _pictures(run: Run, overlays: SampleOverlays | None, mistake: int, most: int) -> list[Picture]:
    stored = run.samples
    if stored is None:
        return []
    return [_picture(run, stored, overlays, int(i)) for i in np.flatnonzero(stored.mistake == mistake)[:most]]


def _picture(run: Run, stored: Samples, overlays: SampleOverlays | None, i: int) -> Picture:
    label, p = int(stored.labels[i]), stored.probabilities[i]
    order = np.argsort(-p, kind="stable")[:3].tolist()
    predicted = order[0]
    if label not in order and 0 <= label < len(p):
        order[-1] = label
    rows, columns = _grid(run, stored)
    true_name, predicted_name = run.class_name(label), run.class_name(predicted)
    source = stored.image_names[i] if stored.image_names else f"test image {int(stored.index[i])}"
    sure = numbers.percent(float(p[predicted]))
    return Picture(
        uri=data_uri(stored.images[i]),
        alt=f"{source}: {true_name}, predicted {predicted_name} with {sure}",
        small=is_small(stored.images[i]),
        columns=columns,
        rows=rows,
        true_name=true_name,
        predicted_name=predicted_name,
        right=label == predicted,
        source=source,
        guesses=tuple(_guess(run, k, float(p[k]), label) for k in order),
        overlays=overlays.by_sample[i] if overlays else (),
    )


def _guess(run: Run, k: int, p: float, label: int) -> Guess:
    return Guess(run.class_name(k), numbers.percent(p), round(100 * p, 1) if np.isfinite(p) else 0.0, k == label)


def _grid(run: Run, stored: Samples) -> tuple[int, int]:
    h, w = stored.images.shape[-2:]
    p = run.patch_size
    return (h // p, w // p) if p is not None and h % p == 0 and w % p == 0 else (0, 0)
