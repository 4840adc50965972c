"""Splits are disjoint, in proportion, seeded, and refuse what cannot be divided."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitrail.configs import DataConfig
from vitrail.data.layout import TEST, TRAIN, VAL
from vitrail.data.splits import quotas, split, spread_over
from vitrail.errors import InputError


def config(**options):
    return DataConfig(source="x", **options)


def balanced(train=1000, test=200, classes=10):
    labels = np.arange(train + test) % classes
    return labels.astype(np.int64), np.repeat(np.array([TRAIN, TEST], np.uint8), [train, test])


counts_of_classes = st.lists(st.integers(2, 40), min_size=2, max_size=8)


@settings(max_examples=60, deadline=None)
@given(counts_of_classes, st.integers(0, 5))
def test_without_splits_everything_is_used_once_and_every_class_trains_and_tests(counts, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    splits = split(labels, None, config(split_seed=seed))
    assert np.array_equal(np.sort(np.concatenate([splits.train, splits.val, splits.test])), np.arange(len(labels)))
    assert set(labels[splits.train]) == set(range(len(counts)))
    for part in (splits.train, splits.val, splits.test):
        assert np.array_equal(part, np.sort(part))
    if round(0.2 * len(labels)) >= len(counts):
        assert set(labels[splits.test]) == set(range(len(counts)))


@settings(max_examples=100, deadline=None)
@given(counts_of_classes, st.floats(0, 1), st.booleans())
def test_quotas_sum_and_are_within_one_of_proportion_where_nothing_binds(counts, share, leave_one):
    counts = np.array(counts)
    size = round(share * counts.sum())
    taken = quotas(counts, size, leave_one)
    available = counts - 1 if leave_one else counts
    assert taken.sum() == min(size, available.sum())
    assert (taken >= 0).all()
    assert (taken <= available).all()
    exact = counts * size / counts.sum()
    if (exact >= 1).all() and (exact <= available).all():
        assert (np.abs(taken - exact) < 1).all()


def test_where_not_every_class_finds_place_no_kind_is_left_out():
    labels = np.repeat(np.arange(100), 5)
    taken = [set(labels[split(labels, None, config(split_seed=seed)).val]) for seed in range(2)]
    assert taken[0] != taken[1]
    assert all({label // 50 for label in of_seed} == {0, 1} for of_seed in taken)


def test_quotas_known_answers():
    assert quotas(np.array([50, 30, 20]), 10).tolist() == [5, 3, 2]
    # 4.5, 4.5, 1: the tie for the last place goes to the first class.
    assert quotas(np.array([45, 45, 10]), 10).tolist() == [5, 4, 1]
    # A rare class still gives one.
    assert quotas(np.array([1000, 2]), 10).tolist() == [9, 1]
    assert quotas(np.array([1000, 1]), 10, leave_one=True).tolist() == [10, 0]


def test_proportions_without_splits_are_70_10_20():
    labels = np.repeat(np.arange(5), 200)
    splits = split(labels, None, config())
    assert [len(splits.train), len(splits.val), len(splits.test)] == [700, 100, 200]
    assert np.bincount(labels[splits.val]).tolist() == [20] * 5


def test_the_sources_own_splits_are_kept():
    labels, source_split = balanced()
    splits = split(labels, source_split, config())
    assert np.array_equal(splits.test, np.arange(1000, 1200))
    assert [len(splits.train), len(splits.val)] == [900, 100]
    assert not set(splits.val) & set(splits.test)
    source_split[900:1000] = VAL
    splits = split(labels, source_split, config(train_subset=50))
    assert np.array_equal(splits.val, np.arange(900, 1000))
    assert len(splits.train) == 50


def test_subsets_are_stratified_seeded_and_validate_on_the_unused():
    labels, source_split = balanced()
    options = {"train_subset": 200, "test_subset": 50}
    splits = split(labels, source_split, config(**options))
    again = split(labels, source_split, config(**options))
    other = split(labels, source_split, config(**options, split_seed=1))
    assert np.bincount(labels[splits.train]).tolist() == [20] * 10
    assert np.bincount(labels[splits.test]).tolist() == [5] * 10
    # The whole training set decides the size of the validation set, which costs no training image.
    assert [len(splits.train), len(splits.val), len(splits.test)] == [200, 100, 50]
    assert not set(splits.val) & set(splits.train)
    assert np.array_equal(splits.train, again.train)
    assert not np.array_equal(splits.train, other.train)
    assert not np.array_equal(splits.test, other.test)


def test_growing_subsets_contain_each_other_and_keep_the_validation_set():
    labels, source_split = balanced()
    small, large = (split(labels, source_split, config(train_subset=size)) for size in (100, 300))
    assert set(small.train) < set(large.train)
    assert np.array_equal(small.val, large.val)


def test_a_test_subset_moves_no_training_image():
    labels = np.repeat(np.arange(5), 100)
    whole, part = split(labels, None, config()), split(labels, None, config(test_subset=20))
    assert np.array_equal(whole.train, part.train)
    assert np.array_equal(whole.val, part.val)


def test_a_nearly_whole_subset_gives_up_some_of_its_own_images():
    labels, source_split = balanced()
    splits = split(labels, source_split, config(train_subset=1000))
    assert [len(splits.train), len(splits.val)] == [900, 100]
    # Eleven unused of ten classes: they serve, few as they are, if every class is among them.
    splits = split(labels, source_split, config(train_subset=990))
    assert [len(splits.train), len(splits.val)] == [990, 10]


def test_first_order_takes_the_first():
    labels, source_split = balanced()
    splits = split(labels, source_split, config(train_subset=100, test_subset=30, subset_order="first"))
    assert np.array_equal(splits.train, np.arange(100))
    assert np.array_equal(splits.test, np.arange(1000, 1030))
    assert splits.val.min() >= 100


def test_validating_on_the_test_images_keeps_all_training_images():
    labels, source_split = balanced()
    splits = split(labels, source_split, config(val_split="test", test_subset=40))
    assert np.array_equal(splits.val, splits.test)
    assert [len(splits.train), len(splits.test)] == [1000, 40]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"train_subset": 1001}, "1,001.*only 1,000"),
        ({"test_subset": 201}, "201.*only 200"),
        ({"train_subset": 5}, "no image of class"),
        ({"train_subset": 9, "subset_order": "first"}, "class nine.*stratified"),
    ],
)
def test_impossible_subsets_are_refused(options, said):
    labels, source_split = balanced()
    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    with pytest.raises(InputError, match=said):
        split(labels, source_split, config(**options), names)


@pytest.mark.parametrize("source_split", [None, np.zeros(21, np.uint8)])
def test_a_class_with_one_image_is_refused_by_name(source_split):
    labels = np.repeat(np.arange(2), [20, 1])
    with pytest.raises(InputError, match=r"class rare has 1 .*image: at least 2"):
        split(labels, source_split, config(), ("common", "rare"))


def test_a_class_without_a_readable_image_is_refused():
    with pytest.raises(InputError, match="class gone has 0 images"):
        split(np.zeros(20, np.int64), None, config(), ("there", "gone"))


def test_a_training_set_too_small_to_validate_is_refused():
    labels = np.repeat([0, 1], [2, 10])
    with pytest.raises(InputError, match=r"no image is left to validate with: .* a larger --train-subset"):
        split(labels, None, config(train_subset=2))
    assert len(split(labels, None, config(train_subset=3)).val)


@given(st.integers(1, 300), st.integers(1, 100))
def test_what_is_spread_over_a_sorted_list_is_of_all_its_parts(count, most):
    indices = np.arange(1000, 1000 + count)
    some = spread_over(indices, most)
    assert len(some) == len(set(some.tolist())) == min(most, count)
    assert set(some.tolist()) <= set(indices.tolist())
    if most > 1:
        assert (some[0], some[-1]) == (indices[0], indices[-1])
        assert np.ptp(np.diff(some)) <= 1 if len(some) > 1 else True
