"""What is measured: exact metrics of gathered predictions, by scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitrail.metrics import EPOCH_METRICS

_AUROC_SAMPLE = 100_000
_CALIBRATION_BINS = 15

Logits = NDArray[np.float32]
Labels = NDArray[np.int64]


def softmax(logits: Logits) -> NDArray[np.float64]:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=np.float64)
    return shifted / shifted.sum(axis=1, keepdims=True)


def cross_entropy(logits: Logits, labels: Labels) -> float:
    """Mean of -log p(label), in nats."""
    wide = logits.astype(np.float64)
    shifted = wide - wide.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(axis=1))
    return float((log_sum - shifted[np.arange(len(labels)), labels]).mean())


def auroc(probabilities: NDArray[np.float64], labels: Labels) -> float | None:
    """Area under the ROC curve, one class against the rest, averaged over the classes that have both.

    Beyond 100,000 images a seeded sample is taken. None where no class has images both in it and outside it.
    """
    from sklearn.metrics import roc_auc_score

    if len(labels) > _AUROC_SAMPLE:
        sample = np.random.default_rng(0).choice(len(labels), _AUROC_SAMPLE, replace=False)
        probabilities, labels = probabilities[sample], labels[sample]
    counts = np.bincount(labels, minlength=probabilities.shape[1])
    mixed = np.flatnonzero((counts > 0) & (counts < len(labels)))
    if len(mixed) == 0:
        return None
    return float(np.mean([roc_auc_score(labels == k, probabilities[:, k]) for k in mixed]))


def measure(logits: Logits, labels: Labels) -> dict[str, float | None]:
    """The seven metrics of predictions (N, K) and labels (N,); None where one is undefined.

    F1, precision and recall are macro averages, over the classes that have images (scikit-learn's default also counts,
    as 0, classes without images that were predicted). Top-5 is undefined below five classes; precision and F1 are where
    all images are of one class, since none can be taken for it wrongly; everything is, where there are no predictions
    or one is not finite.
    """
    from sklearn.metrics import precision_recall_fscore_support

    if len(labels) == 0 or not np.isfinite(logits).all():
        return dict.fromkeys(EPOCH_METRICS)
    classes = logits.shape[1]
    predicted = logits.argmax(axis=1)
    top5 = None
    if classes >= 5:
        own = logits[np.arange(len(labels)), labels][:, None]
        # Ties go to the class that comes first, as in argmax.
        ahead = (logits > own) | ((logits == own) & (np.arange(classes) < labels[:, None]))
        top5 = float((ahead.sum(axis=1) < 5).mean())
    present = np.unique(labels)
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, predicted, labels=present, average="macro", zero_division=0
    )
    mixed = len(present) > 1
    return {
        "loss": cross_entropy(logits, labels),
        "accuracy": float((predicted == labels).mean()),
        "top5": top5,
        "auroc": auroc(softmax(logits), labels),
        "f1": float(f1) if mixed else None,
        "precision": float(precision) if mixed else None,
        "recall": float(recall),
    }


def calibration_error(probabilities: NDArray[np.float64], labels: Labels) -> float:
    """Expected calibration error: mean gap between confidence and accuracy over 15 equal bins of confidence.

    Guo et al. (2017), arXiv:1706.04599, equation 3, but for a confidence on the edge of two bins: it is in the upper
    one, as in torchmetrics.
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * _CALIBRATION_BINS).astype(int), _CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights=correct - confidence, minlength=_CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(labels))


def evaluate(logits: Logits, labels: Labels, class_names: Sequence[str]) -> dict[str, Any]:
    """What `evaluation.json` holds: the metrics, calibration, results per class, and the confusion matrix.

    Rows of the matrix are true classes, columns predicted ones.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    classes = range(len(class_names))
    predicted = logits.argmax(axis=1)
    precision, recall, f1, images = precision_recall_fscore_support(
        labels, predicted, labels=list(classes), zero_division=0
    )
    ever_predicted = set(predicted.tolist())
    mixed = len(np.unique(labels)) > 1
    return {
        "images": len(labels),
        **measure(logits, labels),
        "ece": calibration_error(softmax(logits), labels),
        "per_class": [
            {
                "name": class_names[k],
                "images": int(images[k]),
                "precision": float(precision[k]) if mixed and k in ever_predicted else None,
                "recall": float(recall[k]) if images[k] else None,
                "f1": float(f1[k]) if mixed and images[k] else None,
            }
            for k in classes
        ],
        "confusion_matrix": confusion_matrix(labels, predicted, labels=list(classes)).tolist(),
    }
