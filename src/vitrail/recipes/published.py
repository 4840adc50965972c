"""What the sources report, beside which `vitrail reproduce` puts what was measured here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Reproduction:
    """One table or figure of a source, or one goal of our own, and the recipes whose runs stand beside it."""

    title: str
    recipes: tuple[str, ...]
    values: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """By recipe: metrics as in `metrics.jsonl` (of the last epoch), `test_accuracy` and `test_loss`, `seconds`."""
    claim: str = ""
    """Of a figure: what it shows."""


REPRODUCTIONS: dict[str, Reproduction] = {
    "annotated-600": Reproduction(
        "Eight metrics (accuracy is top-1) of a small ViT after 6 epochs of 600 images",
        ("annotated-600", "annotated-600-head"),
        {
            "annotated-600": {
                "train_loss": 2.0789,
                "val_loss": 2.1240,
                "train_accuracy": 0.2027,
                "val_accuracy": 0.2051,
                "train_auroc": 0.6847,
                "val_auroc": 0.6567,
                "train_f1": 0.140,
                "val_f1": 0.1545,
                "train_precision": 0.1402,
                "val_precision": 0.1337,
                "train_recall": 0.2027,
                "val_recall": 0.2051,
                "train_top5": 0.7253,
                "val_top5": 0.6604,
            }
        },
    ),
    "compare-180": Reproduction(
        "A ViT against a CNN on CIFAR-10, 180 epochs",
        ("compare-180-vit", "compare-180-cnn"),
        {
            "compare-180-vit": {"train_accuracy": 1.0, "val_accuracy": 0.77, "test_accuracy": 0.77, "test_loss": 1.28},
            "compare-180-cnn": {"train_accuracy": 1.0, "val_accuracy": 0.88, "test_accuracy": 0.89, "test_loss": 0.86},
        },
    ),
    "vit-15-cifar10": Reproduction(
        "ViT-B/16 on CIFAR-10 at 224 pixels, 15 epochs",
        ("vit-15-cifar10",),
        {"vit-15-cifar10": {"train_accuracy": 0.57, "test_accuracy": 0.57}},
    ),
    "vit-15-mnist": Reproduction(
        "ViT-B/16 on MNIST at 224 pixels, 15 epochs", ("vit-15-mnist",), {"vit-15-mnist": {"test_accuracy": 0.98}}
    ),
    "vit-15-cifar10-32": Reproduction(
        "`vit-15-cifar10` by a small ViT at the images' own size; published is what ViT-B/16 has at 224",
        ("vit-15-cifar10-32",),
        {"vit-15-cifar10-32": {"train_accuracy": 0.57, "test_accuracy": 0.57}},
    ),
    "vit-15-mnist-32": Reproduction(
        "`vit-15-mnist` by a small ViT at the images' own size; published is what ViT-B/16 has at 224",
        ("vit-15-mnist-32",),
        {"vit-15-mnist-32": {"test_accuracy": 0.98}},
    ),
    "cifar10-fast": Reproduction(
        "CIFAR-10 in ten minutes of two cores: a plain ViT without convolutions",
        ("cifar10-fast",),
        {"cifar10-fast": {"val_accuracy": 0.77, "seconds": 600}},
    ),
    "cifar10-90": Reproduction(
        "CIFAR-10 in ninety minutes of two cores",
        ("cifar10-90",),
        {"cifar10-90": {"val_accuracy": 0.90, "seconds": 5400}},
    ),
    "cifar10-best": Reproduction(
        "CIFAR-10 in twenty minutes of one GPU",
        ("cifar10-best",),
        {"cifar10-best": {"test_accuracy": 0.965, "seconds": 1200}},
    ),
    "mnist-fast": Reproduction(
        "MNIST in three minutes of two cores",
        ("mnist-fast",),
        {"mnist-fast": {"val_accuracy": 0.99, "seconds": 180}},
    ),
    "small-data": Reproduction(
        "600 images of CIFAR-10 in five minutes of two cores",
        ("small-data",),
        {"small-data": {"seconds": 300}},
    ),
    "position-similarity": Reproduction(
        "Similarity of position embeddings after training",
        ("vit-15-cifar10-32",),
        claim="Near patches have similar position embeddings, and so have those in the same row or column.",
    ),
    "attention-distance": Reproduction(
        "Mean attention distance by layer and head",
        ("vit-15-cifar10-32",),
        claim="Heads of low layers look both near and far, those of deep layers far.",
    ),
    "positions-shuffled": Reproduction(
        "Accuracy when patches change places",
        ("vit-15-cifar10-32",),
        claim="What position embeddings know is needed: images with shuffled patches are recognised less.",
    ),
}
