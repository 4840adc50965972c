"""What a run stores of the inside of its model, read and checked once; and where the model looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

from vitrail import plots
from vitrail.errors import InputError
from vitrail.files import checked
from vitrail.report import overlays
from vitrail.report.animation import AttentionAnimation, animate
from vitrail.report.elements import Drawing
from vitrail.report.embedding import draw
from vitrail.report.overlays import Overlay
from vitrail.report.trust import Trust, measured_trust
from vitrail.runs.directory import Run
from vitrail.runs.layout import ATTENTION, FAITHFULNESS, INSPECTION, SAMPLES

if TYPE_CHECKING:
    from vitrail.inspection.attention_history import AttentionHistory
    from vitrail.inspection.summaries import ModelSummary, SampleSummary


@dataclass(frozen=True)
class ModelSection:
    """Each part is None where the run has not stored it."""

    model: ModelSummary | None = None
    samples: SampleSummary | None = None
    watched: AttentionHistory | None = None
    measured: Trust | None = None


@dataclass(frozen=True)
class SampleOverlays:
    """Maps of the sample images, in their order, and the scales that they share."""

    by_sample: tuple[tuple[Overlay, ...], ...]
    bars: tuple[Drawing, ...]
    method: str


@dataclass(frozen=True)
class AttentionSection:
    """Where the model looks in one image: in every layer and head, and in the last layer through training."""

    query: str
    """Whose attention, with its verb."""
    grid: Drawing | None
    animation: AttentionAnimation | None


def read_model_section(run: Run) -> ModelSection:
    """Raises InputError for a file that is there but damaged."""
    views, watched, measured = (run.directory / name for name in (INSPECTION, ATTENTION, FAITHFULNESS))
    model = samples = None
    if views.is_file():
        # The readers need torch, which a report without these files can do without.
        from vitrail.inspection.summaries import ModelSummary, SampleSummary, read

        model = checked(views, lambda: _checked_model(read(views, ModelSummary)))
        samples = checked(views, lambda: _checked_samples(read(views, SampleSummary), run))
    return ModelSection(
        model=model,
        samples=samples,
        watched=_read_watched(watched) if watched.is_file() else None,
        measured=_read_measured(measured) if measured.is_file() else None,
    )


def check_shapes(arrays: Mapping[str, tuple[ndarray | None, str]]) -> None:
    """Raises ValueError for an array that has not the named axes, or not as long as others have them."""
    sizes: dict[str, int] = {}
    for name, (array, axes) in arrays.items():
        if array is None:
            continue
        named = axes.split()
        fits = array.ndim == len(named) and array.size > 0
        if not fits or any(sizes.setdefault(a, n) != n for a, n in zip(named, array.shape, strict=True)):
            raise ValueError(f"{name} has the shape {array.shape}")


def sample_overlays(run: Run, view: SampleSummary | None) -> SampleOverlays | None:
    """Attention (of a ViT) and attribution over every sample image, each on one scale for all of them."""
    if view is None or run.samples is None:
        return None
    images, count = run.samples.images, len(run.samples.images)
    maps = overlays.strengths(view.maps)
    scale = overlays.common_scale(maps, f"{view.method}, {overlays.STRENGTHS}")
    rows = [overlays.over_images(view.method, images, maps, scale, [f"{view.method} over this image"] * count)]
    bars = [overlays.bar(scale, "scale-attribution")]
    if view.attention is not None:
        shares = overlays.attention_multiples(view.attention)
        scale = overlays.common_scale(shares, overlays.MULTIPLES)
        rows.insert(0, overlays.over_images("attention", images, shares, scale, ["attention over this image"] * count))
        bars.insert(0, overlays.bar(scale, "scale-attention"))
    return SampleOverlays(tuple(zip(*rows, strict=True)), tuple(bars), view.method)


def attention_section(run: Run, stored: ModelSection) -> AttentionSection | None:
    """None where the run has stored neither."""
    view, watched = stored.samples, stored.watched
    grid = None
    if view is not None and view.first_attention is not None and run.samples is not None:
        depth, heads = view.first_attention.shape[:2]
        figure = plots.attention_grid(run.samples.images[0], view.first_attention)
        alt = f"Attention over the first sample image in {depth} layers (rows) and {heads} heads (columns)."
        grid = draw(figure, "attention-grid", alt)
    animation = animate(watched.image, watched.epochs, watched.maps) if watched is not None else None
    return AttentionSection(query_name(run), grid, animation) if grid or animation else None


def query_name(run: Run) -> str:
    """Whose attention class attention is, and that it gives."""
    readout = run.model.get("readout")
    return "the class token gives" if isinstance(readout, list) and "cls" in readout else "the patches give on average"


def _checked_model(view: ModelSummary | None) -> ModelSummary | None:
    if view is None:
        return None
    by_head = "layer head"
    check_shapes(
        {
            "attention_distance": (view.attention_distance, by_head),
            "head_entropy": (view.head_entropy, by_head),
            "class_dependence": (view.class_dependence, by_head),
            "head_offsets": (view.head_offsets, f"{by_head} row column"),
            "head_similarity": (view.head_similarity, "any_head any_head"),
            "position_similarity": (view.position_similarity, "height width height width"),
            "patch_filters": (view.patch_filters, "filter channel tall wide"),
            "explained": (view.explained, "filter"),
            "moved": (view.moved, "share"),
            "moved_accuracy": (view.moved_accuracy, "share"),
        }
    )
    counted = isinstance(view.images, int) and view.images > 0
    if not counted or not all(isinstance(of, float | None) for of in (view.uniform_distance, view.most_entropy)):
        raise ValueError("it does not say of how many images it is, or what it compares with")
    heads = 0 if view.attention_distance is None else view.attention_distance.size
    if len(view.head_names) != heads or (view.head_similarity is not None and len(view.head_similarity) != heads):
        raise ValueError(f"its arrays count different heads than the {heads} of attention_distance")
    return view


def _checked_samples(view: SampleSummary | None, run: Run) -> SampleSummary | None:
    if view is None or run.samples is None:
        return None
    images = run.samples.images
    if not len(images):
        return None
    check_shapes(
        {
            SAMPLES: (images[:, 0], "sample height width"),
            "maps": (view.maps, "sample height width"),
            "attention": (view.attention, "sample row column"),
            "rollout": (view.rollout, "sample row column"),
            "first_attention": (view.first_attention, "layer head row column"),
        }
    )
    return view


def _read_watched(path: Path) -> AttentionHistory:
    from vitrail.inspection.attention_history import read

    watched = read(path.parent)
    if watched is None or not watched.maps.size or not watched.image.size or watched.image.dtype != np.uint8:
        raise InputError(f"{path} is damaged: remove it, and the report goes without it")
    return watched


def _read_measured(path: Path) -> Trust | None:
    """None where other weights were measured: training has gone on since."""
    from vitrail.inspection.faithfulness import read

    try:
        measured = checked(path, lambda: read(path))
    except InputError as error:
        raise InputError(f"{path} is damaged: {error}; remove it, and measure again") from error
    return None if measured is None else checked(path, lambda: measured_trust(measured))
