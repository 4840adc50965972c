"""Synthetic run and comparison directories, written as a run writes them."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from vitrail.inspection.explanation import Explanation
from vitrail.inspection.faithfulness import Faithfulness, Scores
from vitrail.inspection.summaries import ModelSummary, PairSummary, SampleSummary, store

NASTY = (
    "<script>alert(1)</script>",
    "\"quotes' & co",
    r"$\frac{$",
    "a very long class name " * 8,
    "\u202eevil\x00\udc80",
)
ALL_FILES = ("metrics", "evaluation", "samples")
METRICS = ("loss", "accuracy", "top5", "auroc", "f1", "precision", "recall")


@dataclass(frozen=True)
class Recipe:
    """What a synthetic run looks like."""

    class_names: tuple[str, ...] = tuple(f"class {i}" for i in range(10))
    epochs: int = 10
    steps_per_epoch: int = 40
    channels: int = 3
    size: tuple[int, int] = (32, 32)
    patch_size: int | None = 4
    """None for a CNN."""
    stem: str = "linear"
    best: float = 0.83
    test_images: int = 2000
    val_split: str = "train"
    model_name: str = "vit-small"
    source: str = "cifar10"
    seed: int = 0
    samples: int = 8
    mistakes: int = 8
    image_names: str | None = None
    """A pattern for the names of the images, with their number as `{}`."""
    nulls: tuple[str, ...] = ()
    """Metrics that are undefined."""


def write_run(directory: Path, recipe: Recipe, keep: tuple[str, ...] = ALL_FILES) -> Path:
    """A run directory; `keep` names the optional files that exist."""
    directory.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(recipe.seed)
    (directory / "run.json").write_text(json.dumps(_info(recipe)))
    _write_lines(directory / "steps.jsonl", _steps(recipe, rng))
    if "metrics" in keep:
        _write_lines(directory / "metrics.jsonl", _epochs(recipe, rng))
    if "evaluation" in keep:
        (directory / "evaluation.json").write_text(json.dumps(_evaluation(recipe, rng)))
    if "samples" in keep:
        _write_samples(directory / "samples.safetensors", recipe, rng)
    return directory


def write_comparison(directory: Path, seeds: int = 3, epochs: int = 12, **changes: Any) -> Path:
    """A ViT and a CNN over `seeds` seeds."""
    models: dict[str, Any] = {}
    for name, best, patch in (("vit-small", 0.80, 4), ("cnn-plain", 0.84, None)):
        evaluations, last = [], []
        for seed in range(seeds):
            recipe = Recipe(
                model_name=name, best=best + 0.006 * seed, patch_size=patch, seed=seed, epochs=epochs, **changes
            )
            run = write_run(directory / f"{name}-seed{seed}", recipe)
            evaluations.append(json.loads((run / "evaluation.json").read_text()))
            last.append(json.loads((run / "metrics.jsonl").read_text().splitlines()[-1]))
        models[name] = {
            "parameters": 3_190_000 if patch else 2_450_000,
            "multiply_adds": 209_000_000 if patch else 68_500_000,
            "seconds": _spread([1432.0 + 11 * s for s in range(seeds)]),
            "images_per_second": _spread([351.0 + 4 * s for s in range(seeds)]),
            "val": {metric: _spread([row[f"val_{metric}"] for row in last]) for metric in METRICS},
            "test": {metric: _spread([e[metric] for e in evaluations]) for metric in METRICS},
        }
    (directory / "comparison.json").write_text(json.dumps({"data": {"source": "cifar10"}, "models": models}))
    return directory


def _spread(values: list[float | None]) -> dict[str, Any]:
    known = [v for v in values if v is not None]
    mean = sum(known) / len(known) if known else None
    std = float(np.std(known, ddof=1)) if len(known) > 1 else None
    return {"mean": mean, "std": std, "values": values}


def _info(recipe: Recipe) -> dict[str, Any]:
    size, k = list(recipe.size), len(recipe.class_names)
    vit = {
        "kind": "vit", "image_size": size, "patch_size": recipe.patch_size, "stem": recipe.stem, "in_channels": recipe.channels,
        "num_classes": k, "embed_dim": 256, "depth": 6, "num_heads": 4, "mlp_dim": 512, "readout": ["cls"],
        "pos_embed": "learned", "dropout": 0.0, "layer_scale": None, "qk_norm": True,
    }  # fmt: skip
    cnn = {
        "kind": "cnn", "image_size": size, "in_channels": recipe.channels, "num_classes": k, "block": "plain",
        "widths": [32, 64, 128, 128, 256, 256], "blocks_per_stage": 2, "hidden": [1024, 512],
    }  # fmt: skip
    return {
        "vitrail": "0.1.0",
        "created": "2025-06-01T12:00:00+00:00",
        "command": f"vitrail train {recipe.source} --model {recipe.model_name} --epochs {recipe.epochs}",
        "device": "cpu",
        "hardware": "2 cores of a Xeon (AMX)",
        "threads": 2,
        "precision": "bf16",
        "compile": True,
        "choices": ["lr 0.002: the preset's", "bf16: this CPU multiplies it 4 times faster than fp32"],
        "versions": {"torch": "2.13.0", "python": "3.11.9"},
        "seed": recipe.seed,
        "class_names": list(recipe.class_names),
        "preprocessing": {"image_size": size, "channels": recipe.channels, "mean": [0.49, 0.48, 0.45], "std": [0.25]},
        "parameters": 3_190_794,
        "multiply_adds": 209_000_000,
        "splits": {"train": 45000, "val": 5000, "test": recipe.test_images},
        "config": {
            "model_name": recipe.model_name,
            "data": {"source": recipe.source, "train_subset": None, "val_split": recipe.val_split, "val_fraction": 0.1},
            "model": cnn if recipe.patch_size is None else vit,
            "train": {
                "epochs": recipe.epochs, "batch_size": 128, "optimizer": "adamw", "lr": 0.002, "weight_decay": 0.05,
                "betas": [0.9, 0.999], "clip_norm": None, "augment": {"crop": 4, "flip": True}, "seed": recipe.seed,
            },
        },
    }  # fmt: skip


def _progress(recipe: Recipe, share: float) -> float:
    chance = 1 / len(recipe.class_names)
    return chance + (recipe.best - chance) * (1 - math.exp(-4 * share)) / (1 - math.exp(-4))


def _steps(recipe: Recipe, rng: np.random.Generator) -> list[dict[str, Any]]:
    total = recipe.epochs * recipe.steps_per_epoch
    rows = []
    for step in range(1, total + 1):
        share = step / total
        accuracy = _progress(recipe, share)
        loss = -math.log(accuracy) * math.exp(0.12 * rng.standard_normal())
        lr = 0.002 * (share / 0.1 if share < 0.1 else 0.5 * (1 + math.cos(math.pi * (share - 0.1) / 0.9)))
        noisy = float(np.clip(accuracy + 0.04 * rng.standard_normal(), 0, 1))
        rows.append({"step": step, "loss": loss, "accuracy": noisy, "lr": lr})
    return rows


def _epochs(recipe: Recipe, rng: np.random.Generator) -> list[dict[str, Any]]:
    rows = []
    for epoch in range(1, recipe.epochs + 1):
        row: dict[str, Any] = {"epoch": epoch, "step": epoch * recipe.steps_per_epoch, "lr": 0.001, "seconds": 92.4}
        row["images_per_second"] = 487.0 + rng.standard_normal()
        for split, lead in (("train", 0.06 * epoch / recipe.epochs), ("val", 0.0)):
            accuracy = min(0.999, _progress(recipe, epoch / recipe.epochs) + lead + 0.006 * rng.standard_normal())
            row |= {f"{split}_{name}": value for name, value in _metrics(recipe, accuracy).items()}
        rows.append(row)
    return rows


def _metrics(recipe: Recipe, accuracy: float) -> dict[str, float | None]:
    values: dict[str, float | None] = {
        "loss": -math.log(accuracy) * 1.1,
        "accuracy": accuracy,
        "top5": 1 - (1 - accuracy) / 6 if len(recipe.class_names) >= 5 else None,
        "auroc": 1 - (1 - accuracy) / 7,
        "f1": accuracy - 0.004,
        "precision": min(1.0, accuracy + 0.002),
        "recall": accuracy,
    }
    return {name: None if name in recipe.nulls else value for name, value in values.items()}


def _evaluation(recipe: Recipe, rng: np.random.Generator) -> dict[str, Any]:
    k = len(recipe.class_names)
    images = max(1, recipe.test_images // k)
    matrix = np.zeros((k, k), dtype=int)
    for true in range(k):
        likely = np.full(k, 0.02) + (rng.random(k) < 0.3) * rng.random(k)
        likely[true] = 0.0
        wrong = likely / likely.sum() if likely.sum() else likely
        right = float(np.clip(recipe.best + 0.1 * rng.standard_normal(), 0.05, 1))
        chances = wrong * (1 - right)
        chances[true] = right
        matrix[true] = rng.multinomial(images, chances / chances.sum())
    found, said = matrix.sum(axis=1), matrix.sum(axis=0)
    per_class = []
    for i, name in enumerate(recipe.class_names):
        precision = float(matrix[i, i] / said[i]) if said[i] else None
        recall = float(matrix[i, i] / found[i])
        f1 = 2 * precision * recall / (precision + recall) if precision and recall else 0.0
        per_class.append({"name": name, "images": int(found[i]), "precision": precision, "recall": recall, "f1": f1})
    accuracy = float(np.trace(matrix) / matrix.sum())
    return {
        "split": "test",
        "images": int(matrix.sum()),
        "val_split": recipe.val_split,
        **_metrics(recipe, accuracy),
        "ece": 0.031,
        "per_class": per_class,
        "confusion_matrix": matrix.tolist(),
    }


def picture(rng: np.random.Generator, channels: int, size: tuple[int, int]) -> np.ndarray:
    """A coloured disc on a gradient with a little noise: uint8 (C, H, W)."""
    h, w = size
    y, x = np.mgrid[0:h, 0:w] / max(h, w)
    center, radius = rng.uniform(0.3, 0.7, 2), rng.uniform(0.15, 0.35)
    disc = ((y - center[0]) ** 2 + (x - center[1]) ** 2 < radius**2)[None]
    ground = rng.uniform(30, 200, (channels, 1, 1)) * (0.5 + 0.5 * y) + 20 * x
    image = np.where(disc, rng.uniform(20, 255, (channels, 1, 1)), ground) + 6 * rng.standard_normal((channels, h, w))
    return np.clip(image, 0, 255).astype(np.uint8)


def _write_samples(path: Path, recipe: Recipe, rng: np.random.Generator) -> None:
    k, count = len(recipe.class_names), recipe.samples + recipe.mistakes
    labels = rng.integers(0, k, count)
    scores = rng.gumbel(size=(count, k))
    mistake = np.array([0] * recipe.samples + [1] * recipe.mistakes, dtype=np.uint8)
    for i in range(count):
        scores[i, (labels[i] + mistake[i]) % k] += 6
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    images = [picture(rng, recipe.channels, recipe.size) for _ in range(count)]
    names = [recipe.image_names.format(i) for i in range(count)] if recipe.image_names else None
    save_file(
        {
            "images": np.stack(images) if images else np.zeros((0, recipe.channels, *recipe.size), dtype=np.uint8),
            "labels": labels.astype(np.int64),
            "probabilities": probabilities.astype(np.float32),
            "index": np.arange(count, dtype=np.int64) * 7,
            "mistake": mistake,
        },
        path,
        metadata={"image_names": json.dumps(names)} if names else None,
    )


def _write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def uniform_attention(*shape: int) -> np.ndarray:
    """Shares (..., row, column) of a query that looks at all patches alike."""
    return np.full(shape, 1 / (shape[-2] * shape[-1]), dtype=np.float32)


def model_view(depth: int = 3, heads: int = 2, grid: int = 8, channels: int = 3, **changes: Any) -> ModelSummary:
    """Of a ViT: every number is known from the place it stands at."""
    every = depth * heads
    by_head = np.arange(every, dtype=np.float32).reshape(depth, heads)
    filters = np.zeros((5, channels, 4, 4), dtype=np.float32)
    filters[np.arange(5), 0, 0, np.arange(5) % 4] = 1
    view = ModelSummary(
        images=200,
        attention_distance=10 + by_head,
        uniform_distance=16.55,
        head_entropy=1 + by_head / 10,
        most_entropy=4.17,
        head_offsets=np.broadcast_to(by_head[..., None, None] / 100, (depth, heads, 5, 5)).copy(),
        head_similarity=np.eye(every, dtype=np.float32),
        class_dependence=by_head / 100,
        head_names=("looks left", "mixed", "looks left (copy of 0.0)", *["looks everywhere"] * (every - 3)),
        position_similarity=np.eye(grid * grid, dtype=np.float32).reshape(grid, grid, grid, grid),
        patch_filters=filters,
        explained=np.array([0.4, 0.3, 0.2, 0.07, 0.03], dtype=np.float32),
        moved=np.array([0, 0.5, 1], dtype=np.float32),
        moved_accuracy=np.array([0.9, 0.55, 0.125], dtype=np.float32),
    )
    return replace(view, **changes)


def kernel_view(channels: int = 3) -> ModelSummary:
    """Of a CNN."""
    kernels = np.random.default_rng(0).normal(size=(4, channels, 3, 3)).astype(np.float32)
    return ModelSummary(images=200, patch_filters=kernels, explained=np.full(4, 0.25, dtype=np.float32))


def sample_view(count: int, recipe: Recipe, depth: int = 3, heads: int = 2, **changes: Any) -> SampleSummary:
    """Uniform attention, and maps that grow to the right; of a CNN, maps alone."""
    h, w = recipe.size
    maps = np.broadcast_to(np.arange(w, dtype=np.float32), (count, h, w)).copy()
    if recipe.patch_size is None:
        return replace(SampleSummary("grad-cam", maps), **changes)
    grid = h // recipe.patch_size, w // recipe.patch_size
    attention = uniform_attention(count, *grid)
    view = SampleSummary("relevancy", maps, attention, attention, uniform_attention(depth, heads, *grid))
    return replace(view, **changes)


def write_inside(directory: Path, recipe: Recipe, *views: object, epochs: int = 3, heads: int = 2) -> Path:
    """What a finished run stores beside the rest: by default, everything that its kind of model has."""
    count = recipe.samples + recipe.mistakes
    known = kernel_view(recipe.channels) if recipe.patch_size is None else model_view(channels=recipe.channels)
    store(directory / "inspection.safetensors", *(views or (known, sample_view(count, recipe))))
    if recipe.patch_size is not None and epochs:
        h, w = recipe.size
        maps = uniform_attention(epochs, heads, h // recipe.patch_size, w // recipe.patch_size)
        image = picture(np.random.default_rng(9), recipe.channels, recipe.size)
        numbers = np.arange(1, epochs + 1)
        save_file({"image": image, "epochs": numbers, "maps": maps}, directory / "attention.safetensors")
    return directory


def measured(methods: tuple[str, ...] = ("relevancy", "random")) -> Faithfulness:
    """Ten images for each method; the first scores 0.5, the next 0.4, ... with a known spread."""
    scores = []
    for i, name in enumerate(methods):
        values = 0.5 - 0.1 * i + np.array([0.1, -0.1] * 5)
        scores.append(
            Scores(
                name, name == "relevancy", name == "random", 2.5, {"lerf_minus_morf_mean": values, "response": values}
            )
        )
    return Faithfulness(tuple(scores), "shapes", 10, (8, 8), "fp32", 12.0, 0.9, {"mean": 0.1, "blur": 0.2}, None, None)


def pair_view(samples: int = 3, size: tuple[int, int] = (32, 32), **changes: Any) -> PairSummary:
    """Two models that agree in the first sample only."""
    rng = np.random.default_rng(0)
    maps = np.broadcast_to(np.arange(size[1], dtype=np.float32), (samples, *size)).copy()
    view = PairSummary(
        names=("vit-small", "cnn-plain"),
        layers_a=("embed", "blocks.0"),
        layers_b=("stages.0", "stages.1", "logits"),
        cka=np.array([[0.11, 0.22, 0.33], [0.44, 0.87, 0.66]], dtype=np.float32),
        images_compared=512,
        images=np.stack([picture(rng, 3, size) for _ in range(samples)]),
        labels=np.zeros(samples, dtype=np.int64),
        predicted_a=np.zeros(samples, dtype=np.int64),
        predicted_b=np.minimum(np.arange(samples), 1),
        class_names=("cat", "dog"),
        methods=("relevancy", "grad-cam"),
        maps_a=maps,
        maps_b=maps,
        occlusion_a=maps - maps.mean(),
        occlusion_b=maps,
    )
    return replace(view, **changes)


def explanation(kind: str = "vit", size: tuple[int, int] = (32, 32), classes: int = 3, **changes: Any) -> Explanation:
    """Of an image that the model takes for the last class."""
    rng = np.random.default_rng(0)
    probabilities = np.full(classes, 0.2 / (classes - 1), dtype=np.float32)
    probabilities[-1] = 0.8
    image, (h, w) = picture(rng, 3, size), size
    methods = ("relevancy", "random") if kind == "vit" else ("grad-cam", "random")
    made = Explanation(
        name="photo.png",
        image=image,
        probabilities=probabilities,
        target=classes - 1,
        methods=methods,
        maps=rng.random((2, h, w)).astype(np.float32),
        trust=np.array([0.3125, -0.0475], dtype=np.float32),
    )
    if kind == "cnn":
        stages = rng.normal(size=(4, 8, 8)).astype(np.float32), rng.normal(size=(6, 4, 4)).astype(np.float32)
        return replace(made, features=stages, **changes)
    rows, columns, depth, heads = h // 8, w // 8, 2, 2
    lens = np.tile(probabilities, (depth + 1, 1))
    lens[0] = 1 / classes
    norms = np.ones((depth + 1, 1 + rows * columns), dtype=np.float32)
    norms[2, 6] = 40
    vit = {
        "attention": uniform_attention(depth, heads, rows, columns),
        "rollout": uniform_attention(rows, columns),
        "lens": lens,
        "token_colors": rng.random((depth + 1, rows, columns, 3)).astype(np.float32),
        "features": tuple(rng.normal(size=(depth + 1, 4, rows, columns)).astype(np.float32)),
        "token_norms": norms,
        "outliers": ((2, 6),),
        "token_names": ("class",),
        "shuffled": image[:, ::-1].copy(),
        "shuffled_probabilities": probabilities[::-1].copy(),
    }
    return replace(made, **{**vit, **changes})
