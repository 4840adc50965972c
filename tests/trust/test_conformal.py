"""Sets of classes: the promised coverage, exactly, on exchangeable scores."""

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitrail.experiments.trusting import fitted
from vitrail.runs.trust import COVERAGES, Trust, softmax
from vitrail.trust.conformal import least_probability

scores = st.lists(st.integers(0, 30), min_size=2, max_size=60).map(lambda of: np.array(of) / 30)


@given(scores, st.sampled_from(COVERAGES))
def test_over_all_choices_of_the_one_more_the_coverage_is_what_is_promised(of_truth, coverage):
    """Each of n + 1 images is as likely as another to be the one that is not known: an average over them is exact."""
    n = len(of_truth) - 1
    covered = []
    for one in range(n + 1):
        least = least_probability(np.delete(of_truth, one), coverage / 100)
        covered.append(least is None or of_truth[one] >= least)
    assert np.mean(covered) >= coverage / 100 - 1e-12
    if len(set(of_truth)) == n + 1 and least_probability(of_truth[:n], coverage / 100) is not None:
        assert np.mean(covered) <= coverage / 100 + 1 / (n + 1) + 1e-12


def test_by_hand():
    of_truth = np.array([0.1, 0.9, 0.5, 0.7, 0.3, 0.2, 0.8, 0.6, 0.4])
    # The ceil(10 * 0.9) = 9th highest of nine, the ceil(10 * 0.5) = 5th; for 95 % nine are too few.
    assert least_probability(of_truth, 0.9) == 0.1
    assert least_probability(of_truth, 0.5) == 0.5
    assert least_probability(of_truth, 0.95) is None
    assert len({least_probability(np.array(order), 0.5) for order in permutations([0.2, 0.4, 0.6])}) == 1


def test_a_larger_coverage_gives_larger_sets_that_have_the_most_probable_class():
    rng = np.random.default_rng(0)
    logits, labels = 2 * rng.standard_normal((300, 5)), rng.integers(0, 5, 300)
    features = rng.standard_normal((300, 3))
    trust = fitted(logits, features, labels, features)
    probabilities = trust.probabilities(logits)
    sets = [trust.sets(probabilities, coverage) for coverage in COVERAGES]
    for smaller, larger in pairwise(sets):
        assert (smaller <= larger).all()
    assert sets[0][np.arange(300), probabilities.argmax(axis=1)].all()


def test_where_too_few_images_are_known_the_set_is_of_all_classes():
    trust = Trust(None, 5, None, (None,) * 99, None)
    assert trust.sets(np.array([[0.9, 0.1, 0.0]]), 99).all()


@pytest.mark.parametrize("coverage", [80, 90, 95])
def test_new_images_are_covered_as_often_as_asked(coverage):
    """The method whole, temperature and sets from the same images: means over 40 samples."""
    covered = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        true = 1.5 * rng.standard_normal((600, 6))
        labels = np.array([rng.choice(6, p=row) for row in softmax(true)])
        trust = fitted(3 * true[:200], true[:200], labels[:200], true[:200])
        sets = trust.sets(trust.probabilities(3 * true[200:]), coverage)
        covered.append(sets[np.arange(400), labels[200:]].mean())
    assert np.mean(covered) == pytest.approx(coverage / 100, abs=0.012)
