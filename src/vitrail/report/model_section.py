"""What a run stores of the inside of its model, read and checked once; and where the model looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args, get_type_hints

import numpy as np
from numpy import ndarray

from vitrail import plots
from vitrail.errors import InputError
from vitrail.files import checked
from vitrail.plots.panels import map_scale, multiples
from vitrail.report import overlays
from vitrail.report.animation import attention_animation
from vitrail.report.elements import Context, Drawing, Picture
from vitrail.report.embedding import draw
from vitrail.report.trust import measured_trust
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
    history: AttentionHistory | None = None
    trust: Context | None = None


@dataclass(frozen=True)
class SampleOverlays:
    """Maps of the sample images, in their order, and the scales that they share."""

    by_sample: tuple[tuple[Picture, ...], ...]
    bars: tuple[Drawing, ...]
    method: str


def read_model_section(run: Run) -> ModelSection:
    """Raises InputError for a file that is there but damaged."""
    path = run.directory / INSPECTION
    model = samples = None
    if path.is_file():
        # The readers need torch, which a report without these files can do without.
        from vitrail.inspection.summaries import ModelSummary, SampleSummary, read

        model = checked(path, lambda: _checked_model(read(path, ModelSummary)))
        samples = checked(path, lambda: _checked_samples(read(path, SampleSummary), run))
    return ModelSection(model, samples, _read_history(run), _read_trust(run))


def declared_axes(summary: object) -> dict[str, tuple[ndarray | None, str]]:
    """The arrays of a summary, each with the axes that its field declares."""
    hints = get_type_hints(type(summary))
    declared = ((name, part) for name, hint in hints.items() for part in (hint, *get_args(hint)))
    return {name: (getattr(summary, name), part.dim_str) for name, part in declared if hasattr(part, "dim_str")}


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


def sample_overlays(run: Run, summary: SampleSummary | None) -> SampleOverlays | None:
    """Attention (of a ViT) and attribution over every sample image, each on one scale for all of them."""
    if summary is None or run.samples is None:
        return None
    images, method = run.samples.images, summary.method
    strengths = overlays.strengths(summary.maps)
    kinds = [(method, "attribution", strengths, f"{method}, {overlays.STRENGTHS}")]
    if summary.attention is not None:
        kinds.insert(0, ("attention", "attention", multiples(summary.attention), overlays.MULTIPLES))
    rows, bars = [], []
    for name, key, maps, label in kinds:
        scale = map_scale(maps, label)
        rows.append(overlays.over_images(name, images, maps, scale, f"{name} over this image"))
        bars.append(overlays.bar(scale, f"scale-{key}"))
    return SampleOverlays(tuple(zip(*rows, strict=True)), tuple(bars), method)


def attention_section(run: Run, stored: ModelSection) -> Context | None:
    """Where the model looks in one image: in every layer and head, and in the last layer through training.

    None where the run has stored neither.
    """
    summary, history, grid = stored.samples, stored.history, None
    if summary is not None and summary.first_attention is not None and run.samples is not None:
        depth, heads = summary.first_attention.shape[:2]
        figure = plots.attention_grid(run.samples.images[0], summary.first_attention)
        alt = f"Attention over the first sample image in {depth} layers (rows) and {heads} heads (columns)."
        grid = draw(figure, "attention-grid", alt)
    animation = None if history is None else attention_animation(history.image, history.epochs, history.maps)
    readout = run.model.get("readout")
    has_class_token = isinstance(readout, list) and "cls" in readout
    query = "the class token gives" if has_class_token else "the patches give on average"
    return {"query": query, "grid": grid, "animation": animation} if grid or animation else None


def _checked_model(summary: ModelSummary | None) -> ModelSummary | None:
    if summary is None:
        return None
    check_shapes(declared_axes(summary))
    counted = isinstance(summary.images, int) and summary.images > 0
    if not counted or not all(isinstance(of, float | None) for of in (summary.uniform_distance, summary.most_entropy)):
        raise ValueError("it does not say of how many images it is, or what it compares with")
    heads = 0 if summary.attention_distance is None else summary.attention_distance.size
    similarity = summary.head_similarity
    if len(summary.head_names) != heads or (similarity is not None and len(similarity) != heads):
        raise ValueError(f"its arrays count different heads than the {heads} of attention_distance")
    return summary


def _checked_samples(summary: SampleSummary | None, run: Run) -> SampleSummary | None:
    if summary is None or run.samples is None or not len(run.samples.images):
        return None
    check_shapes({SAMPLES: (run.samples.images[:, 0], "sample height width"), **declared_axes(summary)})
    return summary


def _read_history(run: Run) -> AttentionHistory | None:
    path = run.directory / ATTENTION
    if not path.is_file():
        return None
    from vitrail.inspection.attention_history import read

    history = read(run.directory)
    if history is None or not history.maps.size or not history.image.size or history.image.dtype != np.uint8:
        raise InputError(f"{path} is damaged: remove it, and the report goes without it")
    return history


def _read_trust(run: Run) -> Context | None:
    """None where other weights were measured: training has gone on since."""
    path = run.directory / FAITHFULNESS
    if not path.is_file():
        return None
    from vitrail.inspection.faithfulness import read

    try:
        measured = checked(path, lambda: read(path))
    except InputError as error:
        raise InputError(f"{path} is damaged: {error}; remove it, and measure again") from error
    return None if measured is None else checked(path, lambda: measured_trust(measured))
