"""Metrics: answers known on paper, and what is undefined is None."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score

from vitrail.metrics import EPOCH_METRICS
from vitrail.training.metrics import calibration_error, evaluate, measure, softmax


def logits_of(probabilities) -> np.ndarray:
    return np.log(np.asarray(probabilities, dtype=np.float32))


def test_four_predictions_by_hand():
    """Three of four right. Class 0: precision 2/3, recall 1; class 1: precision 1, recall 1/2."""
    logits = logits_of([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.4, 0.6]])
    measured = measure(logits, np.array([0, 0, 1, 1]))
    assert measured["accuracy"] == 0.75
    assert measured["precision"] == pytest.approx((2 / 3 + 1) / 2)
    assert measured["recall"] == pytest.approx(0.75)
    assert measured["f1"] == pytest.approx((0.8 + 2 / 3) / 2)
    assert measured["auroc"] == 1.0
    assert measured["loss"] == pytest.approx(-np.log([0.9, 0.8, 0.3, 0.6]).mean(), abs=1e-6)
    assert measured["top5"] is None


def test_top5_counts_ranks():
    logits = np.tile(np.arange(10, dtype=np.float32), (10, 1))
    assert measure(logits, np.arange(10))["top5"] == 0.5


def test_what_is_undefined_is_none():
    one_class = measure(np.eye(4, dtype=np.float32)[[0, 0, 1]], np.zeros(3, np.int64))
    assert [one_class[name] for name in ("auroc", "f1", "precision", "top5")] == [None] * 4
    assert one_class["recall"] == one_class["accuracy"] == 2 / 3
    stored = evaluate(np.eye(2, dtype=np.float32)[[0, 0, 1]], np.zeros(3, np.int64), ["a", "b"])
    assert stored["per_class"][0] == {"name": "a", "images": 3, "precision": None, "recall": 2 / 3, "f1": None}
    assert measure(np.zeros((0, 0), np.float32), np.zeros(0, np.int64)) == dict.fromkeys(EPOCH_METRICS)
    broken = np.zeros((3, 6), np.float32)
    broken[1, 2] = np.nan
    assert measure(broken, np.array([0, 1, 2])) == dict.fromkeys(EPOCH_METRICS)


def test_equal_scores_are_ranked_in_the_order_of_classes():
    measured = measure(np.zeros((10, 10), np.float32), np.arange(10))
    assert measured["accuracy"] == 0.1
    assert measured["top5"] == 0.5


def test_classes_without_images_do_not_count():
    """One of three images is taken for a class that has none: recall 1/2 and 1, not averaged with a third class."""
    logits = logits_of([[0.9, 0.05, 0.05], [0.1, 0.1, 0.8], [0.1, 0.8, 0.1]])
    measured = measure(logits, np.array([0, 0, 1]))
    assert measured["recall"] == pytest.approx(0.75)
    assert measured["precision"] == 1.0
    assert f1_score([0, 0, 1], [0, 2, 1], average="macro", zero_division=0) == pytest.approx(2 / 3 * measured["f1"])


@given(st.integers(0, 1000), st.sets(st.integers(0, 4), min_size=1, max_size=3))
def test_averages_are_scikit_learns_over_the_classes_with_images(seed, absent):
    """Its default counts absent classes that were predicted too, as 0."""
    generator = np.random.default_rng(seed)
    present = sorted(set(range(5)) - absent)
    labels = generator.permutation(np.resize(present, 40))
    logits = generator.normal(size=(40, 5)).astype(np.float32)
    predicted, measured = logits.argmax(axis=1), measure(logits, labels)
    counted = len(set(labels) | set(predicted))
    for name, score in (("f1", f1_score), ("precision", precision_score), ("recall", recall_score)):
        default = score(labels, predicted, average="macro", zero_division=0)
        assert measured[name] == pytest.approx(default * counted / len(present))
    with_both = [roc_auc_score(labels == k, softmax(logits)[:, k]) for k in present]
    assert measured["auroc"] == pytest.approx(np.mean(with_both))


@settings(max_examples=30, deadline=None)
@given(n=st.integers(2, 60), k=st.integers(2, 12), seed=st.integers(0, 1000))
def test_every_metric_is_in_range_and_recall_is_accuracy_when_balanced(n, k, seed):
    generator = np.random.default_rng(seed)
    labels = np.arange(n * k) % k
    measured = measure(generator.normal(size=(n * k, k)).astype(np.float32), labels)
    for name, value in measured.items():
        assert value is None or value >= 0
        assert value is None or name == "loss" or value <= 1
    assert measured["recall"] == pytest.approx(measured["accuracy"])


def test_calibration_error_by_hand():
    """Confidence 0.8 and always right: a gap of 0.2. Confidence 0.6 and half right: a gap of 0.1."""
    sure, unsure = [[0.8, 0.2]] * 4, [[0.6, 0.4]] * 4
    labels = np.array([0, 0, 0, 0, 0, 0, 1, 1])
    assert calibration_error(np.array(sure + unsure), labels) == pytest.approx(0.5 * 0.2 + 0.5 * 0.1)


def test_evaluation_has_a_row_per_class_and_a_matrix_of_counts():
    logits = logits_of([[0.9, 0.05, 0.05], [0.1, 0.8, 0.1], [0.6, 0.3, 0.1]])
    result = evaluate(logits, np.array([0, 1, 1]), ["a", "b", "never seen"])
    assert result["confusion_matrix"] == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert [row["images"] for row in result["per_class"]] == [1, 2, 0]
    assert result["per_class"][2]["recall"] is None
    assert [row["precision"] for row in result["per_class"]] == [0.5, 1.0, None]
    assert result["per_class"][1]["recall"] == 0.5
