"""Images as pictures: cut into patches, and in rows by class."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from einops import rearrange
from jaxtyping import Float, Shaped, UInt8
from matplotlib.figure import Figure
from numpy import ndarray

from vitrail.plots.style import INK, SOFT, font_families
from vitrail.text import plain_text


def patches(image: UInt8[ndarray, "c h w"], patch_size: int) -> Figure:
    """An image, its grid of patches laid apart, and the patches as the N x (P P C) matrix that a ViT reads.

    A row of the matrix is a patch, a column one of its numbers, tinted by its channel when there are three.
    """
    c, h, w = image.shape
    p = patch_size
    vectors = patch_vectors(image, p)
    n, d = vectors.shape
    panel = min(max(2.25 * h / w, 0.7), 3.2)
    height = panel + 2.85
    figure = Figure(figsize=(5.0, height), facecolor="none")
    colors = as_colors(image)
    zoom = max(1, round(160 / max(h, w)))
    gap = max(1, round(0.16 * p * zoom))
    # Small images go in pixel by pixel; large ones are resampled, so that a figure stays a few hundred kilobytes.
    interpolation = "none" if max(h, w) <= 64 else "antialiased"
    top, tall = 2.3 / height, panel / height
    left = figure.add_axes((0.02, top, 0.45, tall))
    right = figure.add_axes((0.53, top, 0.45, tall))
    bottom = figure.add_axes((0.07, 0.3 / height, 0.91, 1.65 / height))
    left.imshow(colors, interpolation=interpolation)
    right.imshow(_apart(colors, p, zoom, gap), interpolation=interpolation)
    bottom.imshow(_tinted(vectors, c), interpolation=interpolation, aspect="auto")
    titles = (f"{h} × {w} × {c} numbers", f"{n} patches of {p} × {p} × {c}", f"{n} vectors of {d} numbers")
    for axes, title in zip((left, right, bottom), titles, strict=True):
        axes.set_axis_off()
        axes.set_title(title, fontsize=10, color=INK)
    bottom.text(-0.02, 0.5, "patches", transform=bottom.transAxes, rotation=90, ha="right", va="center", color=SOFT)
    bottom.text(0.5, -0.04, "the numbers of each patch", transform=bottom.transAxes, ha="center", va="top", color=SOFT)
    whole = f"{h} × {w} × {c}  →  {n} patches of {p} × {p} × {c}  =  {n} vectors of {d}"
    headline = figure.text(0.5, 1 - 0.03 / height, whole, ha="center", va="top", color=INK, weight="bold")
    headline.set_fontsize(min(10.5, 590 / len(whole)))
    return figure


def sample_sheet(rows: Sequence[tuple[str, UInt8[ndarray, "k c h w"]]], most_rows: int = 40) -> Figure:
    """One row per class: its name and up to ten of its images. Beyond `most_rows` rows, says how many are left out.

    Raises:
        ValueError: if `rows` is empty.
    """
    if not rows:
        raise ValueError("a sheet needs at least one row")
    shown = rows[:most_rows]
    h, w = shrink(shown[0][1]).shape[-2:]
    gap = max(1, round(0.06 * max(h, w)))
    sheet = np.zeros((len(shown) * (h + gap), 10 * (w + gap), 4), dtype=np.uint8)
    for i, (_, images) in enumerate(shown):
        for j, image in enumerate(shrink(images[:10])):
            top, left = i * (h + gap), j * (w + gap)
            sheet[top : top + h, left : left + w, :3] = as_colors(image)
            sheet[top : top + h, left : left + w, 3] = 255
    names = [plain_text(name) for name, _ in shown]
    left_out = len(rows) - len(shown)
    margin, cell = 0.25 + 0.085 * max(map(len, names)), 0.6
    width, height = margin + 10 * cell, len(shown) * cell * (h + gap) / (w + gap)
    footer = 0.35 if left_out else 0.05
    # A sheet is looked at as a file, where a transparent page may turn out black.
    figure = Figure(figsize=(width, height + footer + 0.05), facecolor="white")
    total = height + footer + 0.05
    axes = figure.add_axes((margin / width, footer / total, 10 * cell / width, height / total))
    axes.imshow(sheet, interpolation="antialiased", aspect="auto")
    axes.set_axis_off()
    families = font_families()
    for i, name in enumerate(names):
        at = (i + 0.5 * h / (h + gap)) * (h + gap)
        axes.text(-gap, at, name, ha="right", va="center", color=INK, fontsize=9, parse_math=False, family=families)
    if left_out:
        more = f"and {left_out:,} more {'class' if left_out == 1 else 'classes'}"
        figure.text(margin / width, 0.15 / total, more, color=SOFT, fontsize=9, va="center")
    return figure


def patch_vectors(image: UInt8[ndarray, "c h w"], patch_size: int) -> UInt8[ndarray, "n d"]:
    """The image as N = HW / P^2 flattened patches, row by row (Dosovitskiy et al. 2021, section 3.1).

    A vector holds the P x P numbers of the first channel, then those of the next, as the model reads them.
    """
    return rearrange(image, "c (h p) (w q) -> (h w) (c p q)", p=patch_size, q=patch_size)


def as_colors(image: UInt8[ndarray, "c h w"]) -> UInt8[ndarray, "h w 3"]:
    """An image as red, green and blue: three or more channels show their first three, fewer the first as grey."""
    return np.moveaxis(image[:3] if len(image) >= 3 else np.repeat(image[:1], 3, axis=0), 0, -1)


def shrink(images: UInt8[ndarray, "k c h w"], most: int = 96) -> UInt8[ndarray, "k c y x"]:
    """Images of at most `most` pixels along a side, by means of blocks."""
    block = math.ceil(max(images.shape[-2:]) / most)
    return images if block == 1 else block_means(images, block).round().astype(np.uint8)


def block_means(values: Shaped[ndarray, "*k h w"], block: int) -> Float[ndarray, "*k y x"]:
    """Means over squares of `block` x `block`, smaller where a side is; what fills no whole square is left out."""
    b, d = (min(block, length) for length in values.shape[-2:])
    h, w = values.shape[-2] // b * b, values.shape[-1] // d * d
    means: Float[ndarray, "*k y x"] = rearrange(values[..., :h, :w], "... (y b) (x d) -> ... y x (b d)", b=b, d=d).mean(
        axis=-1
    )
    return means


def _apart(colors: UInt8[ndarray, "h w 3"], p: int, zoom: int, gap: int) -> UInt8[ndarray, "y x 4"]:
    cells = rearrange(colors.repeat(zoom, 0).repeat(zoom, 1), "(a p) (b q) c -> a p b q c", p=p * zoom, q=p * zoom)
    rows, side, columns = cells.shape[:3]
    spread = np.zeros((rows, side + gap, columns, side + gap, 4), dtype=np.uint8)
    spread[:, :side, :, :side, :3], spread[:, :side, :, :side, 3] = cells, 255
    return rearrange(spread, "a p b q c -> (a p) (b q) c")[:-gap, :-gap]


def _tinted(vectors: UInt8[ndarray, "n d"], channels: int) -> UInt8[ndarray, "n d 3"]:
    gray = np.repeat(vectors[..., None], 3, axis=-1)
    if channels != 3:
        return gray
    own = np.repeat(np.eye(3), vectors.shape[1] // 3, axis=0)
    return (gray * (0.4 + 0.6 * own)).astype(np.uint8)
