"""Images unlike those of training."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitrail.experiments.trusting import fitted
from vitrail.runs.trust import Trust
from vitrail.trust.unlike import auroc, fit_spread


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.lists(st.integers(0, 9), min_size=1, max_size=30))
def test_the_area_is_that_of_scikit_learn(like, unlike):
    from sklearn.metrics import roc_auc_score

    found = auroc(np.array(like), np.array(unlike))
    assert found.value == pytest.approx(roc_auc_score([0] * len(like) + [1] * len(unlike), like + unlike))
    assert found.low <= found.value <= found.high


def test_the_interval_holds_the_area_as_often_as_it_says():
    from scipy.stats import norm

    true, hits = norm.cdf(1 / np.sqrt(2)), 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        found = auroc(rng.standard_normal(60), 1 + rng.standard_normal(80))
        hits += found.low <= true <= found.high
    assert hits / 400 == pytest.approx(0.95, abs=0.03)


def test_the_distance_is_scipys():
    from scipy.spatial.distance import mahalanobis

    rng = np.random.default_rng(0)
    learned = rng.standard_normal((500, 4)) @ rng.standard_normal((4, 4))
    spread = fit_spread(learned)
    others = rng.standard_normal((5, 4))
    precision = np.linalg.inv(np.cov(learned.T))
    expected = [mahalanobis(one, learned.mean(axis=0), precision) for one in others]
    np.testing.assert_allclose(spread.distance(others), expected, rtol=0.02)


def test_fewer_images_than_features_and_features_that_never_change_are_no_obstacle():
    learned = np.zeros((3, 10))
    learned[:, 0] = [1, 2, 3]
    assert np.isfinite(fit_spread(learned).distance(np.ones((2, 10)))).all()
    assert np.isfinite(fit_spread(np.zeros((3, 4))).distance(np.zeros((2, 4)))).all()


def test_one_in_twenty_of_those_like_them_is_marked_and_nearly_all_others(tmp_path):
    rng = np.random.default_rng(0)
    logits, labels = rng.standard_normal((1000, 3)), rng.integers(0, 3, 1000)
    like = rng.standard_normal((4000, 6))
    trust = fitted(logits, like[:1000], labels, like[1000:2000])
    trust.write(tmp_path)
    read = Trust.read(tmp_path)
    assert read.unlike(like[2000:]).mean() == pytest.approx(0.05, abs=0.02)
    assert read.unlike(like[2000:] + 9).mean() > 0.99
    # Of 18 images the highest distance is not that of 95 %.
    assert fitted(logits[:18], like[:18], labels[:18], like[:100]).unlike(like) is None
