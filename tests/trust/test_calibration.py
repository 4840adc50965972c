"""Probabilities that are as often right as they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitrail.runs.trust import Trust, softmax
from vitrail.trust.calibration import calibration_error, fit_temperature, reliability


def sample(seed: int, scale: float, n: int = 400, classes: int = 4):
    """Logits whose calibrated temperature is `scale`, and labels drawn from what they say then."""
    rng = np.random.default_rng(seed)
    true = 2 * rng.standard_normal((n, classes))
    labels = np.array([rng.choice(classes, p=row) for row in softmax(true)])
    return (scale * true).astype(np.float32), labels


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_the_temperature_is_that_of_an_independent_fit(scale):
    """A multinomial regression whose one free number is 1 / T, fitted by Newton's method on its exact gradient."""
    from scipy.optimize import root_scalar

    logits, labels = sample(0, scale)
    wide = logits.astype(np.float64)

    def gradient(inverse: float) -> float:
        expected = (softmax(inverse * wide) * wide).sum(axis=1)
        return float((expected - wide[np.arange(len(labels)), labels]).mean())

    inverse = root_scalar(gradient, bracket=(1e-3, 1e3)).root
    assert fit_temperature(logits, labels) == pytest.approx(1 / inverse, rel=1e-4)
    assert fit_temperature(logits, labels) == pytest.approx(scale, rel=0.2)


def test_the_temperature_is_that_of_scikit_learn():
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator
    from sklearn.linear_model import LogisticRegression
    from sklearn.utils.validation import check_is_fitted

    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((600, 5)), rng.integers(0, 3, 600)
    x[np.arange(600), y] += 1.0
    # Too sure of itself, as a network is: its decision function gives the logits.
    model = LogisticRegression().fit(x[:300], y[:300])
    model.coef_ *= 5
    try:
        scaled = CalibratedClassifierCV(FrozenEstimator(model), method="temperature").fit(x[300:], y[300:])
    except ValueError:
        pytest.skip("this scikit-learn has no temperature scaling")
    check_is_fitted(scaled)
    logits = model.decision_function(x[300:])
    ours = softmax(logits / fit_temperature(logits, y[300:]))
    np.testing.assert_allclose(scaled.predict_proba(x[300:]), ours, atol=2e-3)


@given(st.integers(0, 10**6), st.floats(0.2, 5))
def test_no_other_temperature_makes_the_labels_likelier(seed, factor):
    logits, labels = sample(seed, 2.0, n=100)
    found = fit_temperature(logits, labels)

    def likelihood(temperature: float) -> float:
        return float(np.log(softmax(logits / temperature)[np.arange(len(labels)), labels]).sum())

    assert likelihood(found) >= likelihood(found * factor) - 1e-5


def test_where_nothing_bounds_the_temperature_there_is_none():
    logits, _ = sample(0, 1.0)
    assert fit_temperature(logits, logits.argmax(axis=1)) is None
    few, labels = sample(0, 1.0, n=49)
    assert fit_temperature(few, labels) is None


def test_calibration_error_by_hand():
    sure = [[0.9, 0.1]] * 10
    unsure = [[0.6, 0.4]] * 10
    labels = np.array([0] * 7 + [1] * 3 + [0] * 7 + [1] * 3)
    assert calibration_error(np.array(sure + unsure), labels) == pytest.approx(0.5 * 0.2 + 0.5 * 0.1)
    images, confidence, accuracy = reliability(np.array(sure + unsure), labels)
    assert images.tolist() == [0] * 9 + [10, 0, 0, 0, 10, 0]
    assert (confidence[9], accuracy[9]) == (pytest.approx(0.6), pytest.approx(0.7))


def test_a_temperature_makes_a_model_that_is_too_sure_calibrated():
    logits, labels = sample(1, 4.0, n=4000)
    temperature = fit_temperature(logits[:2000], labels[:2000])
    before = calibration_error(softmax(logits[2000:]), labels[2000:])
    after = calibration_error(softmax(logits[2000:] / temperature), labels[2000:])
    assert after < 0.05 < 0.1 < before


def test_stored_probabilities_are_calibrated_as_logits_are():
    logits, _ = sample(2, 3.0, n=20)
    trust = Trust(None, 400, 2.5, (None,) * 99, None)
    np.testing.assert_allclose(trust.calibrated(softmax(logits)), trust.probabilities(logits), atol=1e-6)
    # A probability of nothing stays one.
    assert trust.calibrated(np.array([[1.0, 0.0]])).tolist() == [[1.0, 0.0]]
