"""What a run comes to, by answers that are known."""

from __future__ import annotations

import numpy as np
import pytest

from vitrail.report.verdict import Trend, advice, confused, reached, trend, unequal, weakest
from vitrail.runs.directory import ClassResult, Evaluation

FALLING = np.geomspace(2.0, 0.2, 8)


def result(matrix: list[list[int]]) -> Evaluation:
    confusion = np.array(matrix)
    images = confusion.sum(axis=1).tolist()
    per_class = tuple(ClassResult(name, n, None, None, None) for name, n in zip("abcdef", images, strict=False))
    return Evaluation(int(confusion.sum()), {"f1": 0.6}, per_class, confusion)


def test_accuracy_stands_with_its_interval_beside_the_most_frequent_class() -> None:
    said = reached(result([[45, 5], [5, 45]]))
    # Wilson's interval of 90 of 100, as in Brown, Cai and DasGupta 2001.
    assert said == (
        "It is right in 90.0 % of 100 test images (95 % interval: 82.6 to 94.5 %); always answering the most frequent "
        "class would reach 50.0 %."
    )


def test_what_may_be_chance_is_not_called_better() -> None:
    said = reached(result([[30, 20], [25, 25]]))
    assert "That is not shown to be better than always answering the most frequent class, which reaches 50.0 %." in said


@pytest.mark.parametrize(
    ("images", "differ"), [((30, 10), False), ((31, 10), True), ((31, 10, 0), True), ((9, 0), False)]
)
def test_classes_differ_from_more_than_three_times_on(images: tuple[int, ...], differ: bool) -> None:
    assert unequal(result(np.diag(images).tolist())) is differ


def test_where_classes_differ_in_number_balanced_accuracy_leads() -> None:
    said = reached(result([[90, 0], [5, 5]]))
    assert said.startswith("Its balanced accuracy, the mean over classes of the share that is found, is 75.0 %")
    assert "always giving the same answer would reach 50.0 %" in said
    assert "Its macro F1 is 60.0 %. Some classes have 9 times the images of others" in said
    assert "accuracy (95.0 %)" in said


def test_a_model_that_always_says_the_frequent_class_is_found_out() -> None:
    assert "not shown to be better than always giving the same answer" in reached(result([[95, 0], [5, 0]]))


def test_the_most_frequent_confusion_is_named() -> None:
    assert confused(result([[8, 2, 0], [1, 5, 4], [0, 0, 9]])) == "Most often it takes b for c: 4 of 10 images."
    assert confused(result([[9, 1], [0, 9]])) == "It takes no class for another more than once."
    assert confused(result([[9, 0], [0, 9]])) == ""


def test_classes_below_the_rest_beyond_chance_need_images() -> None:
    assert weakest(result([[100, 0, 0], [40, 60, 0], [0, 10, 90]])) == ["b"]
    assert weakest(result([[3, 0], [1, 2]])) == []
    assert weakest(result([[0, 0], [0, 5]])) == []


def test_a_loss_that_still_falls_is_learning() -> None:
    found = trend(FALLING, FALLING)
    # Means of two epochs, two epochs apart: each epoch is a tenth to the power of a seventh of the last.
    assert found == Trend("learning", pytest.approx(0.1 ** (2 / 7) - 1), 6)
    assert advice(result([[5, 0], [0, 5]]), found, 8) == (
        "It was still learning: in the last 2 of 8 epochs its validation loss fell by 48 %. More epochs or time should "
        "do better (--epochs 16)."
    )


def test_a_loss_that_rises_while_training_goes_on_is_memorising() -> None:
    found = trend(FALLING, np.array([1.0, 0.8, 0.5, 0.5, 0.6, 0.7, 0.75, 0.75]))
    assert found == Trend("memorising", pytest.approx(0.5), 4)
    assert "since epoch 4 its validation loss rose by 50 %" in advice(result([[5, 0], [0, 5]]), found, 8)


def test_a_loss_that_rises_with_that_of_training_is_not_memorising() -> None:
    rising = np.linspace(1, 2, 8)
    assert trend(rising, rising).kind == "settled"


def test_a_flat_loss_has_settled() -> None:
    found = trend(FALLING, np.array([2.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.49, 0.5]))
    assert found == Trend("settled", pytest.approx(-0.01), 6)
    said = advice(result([[100, 0], [40, 60]]), found, 8)
    assert said == (
        "It had settled: in the last 2 of 8 epochs its validation loss fell by only 1 %. More epochs alone would hardly "
        "help. More images of b may help most, the class found least often."
    )


@pytest.mark.parametrize("loss", [[], [1.0], [1.0, np.nan], [1.0, 0.0]])
def test_nothing_is_said_of_what_the_curves_do_not_show(loss: list[float]) -> None:
    assert trend(np.array(loss), np.array(loss)) is None
    assert advice(result([[5, 0], [0, 5]]), None, len(loss)) == ""


def test_two_epochs_are_enough() -> None:
    assert trend(np.array([2.0, 1.0]), np.array([2.0, 1.0])) == Trend("learning", pytest.approx(-0.5), 1)
