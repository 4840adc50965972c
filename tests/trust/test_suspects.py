"""Images whose label is likely wrong."""

import numpy as np
import pytest

from vitrail.runs.margins import Margins
from vitrail.trust.suspects import margins, suspects


def test_margins_by_hand():
    logits = np.array([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0]])
    assert margins(logits, np.array([0, 1])).tolist() == [1.0, -2.0]


def test_flipped_labels_are_found_and_a_shuffled_ranking_finds_none():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 5, 2000)
    labels = true.copy()
    flipped = rng.choice(2000, 100, replace=False)
    labels[flipped] = (labels[flipped] + rng.integers(1, 5, 100)) % 5
    # Evidence for the true class that single epochs show in much noise.
    kept = Margins.none(2000)
    for epoch in range(10):
        kept = kept.until(epoch) if epoch else kept
        logits = 2.0 * np.eye(5)[true] + 1.5 * rng.standard_normal((2000, 5))
        kept.last[:] = margins(logits, labels)
    found = suspects(kept.mean(), 100)
    assert np.isin(found, flipped).mean() > 0.9
    assert np.isin(rng.permutation(2000)[:100], flipped).mean() < 0.15
    mean = kept.mean()
    assert (np.diff(mean[found]) >= 0).all()
    assert (mean[found] < 0).all()


def test_only_images_seen_in_training_can_be_suspects():
    assert suspects(np.array([np.nan, 1.0, -1.0, -3.0, np.nan]), 9).tolist() == [3, 2]
    assert suspects(np.array([np.nan, 1.0]), 9).tolist() == []


def test_the_mean_is_over_the_epochs_that_saw_an_image(tmp_path):
    kept = Margins.none(3)
    kept.last[:2] = [1.0, -1.0]
    kept = kept.until(1)
    kept.last[0] = 3.0
    kept.write(tmp_path / "margins.safetensors")
    read = Margins.read(tmp_path / "margins.safetensors")
    np.testing.assert_array_equal(read.mean(), [2.0, -1.0, np.nan])
    # A step that is done again writes over what it wrote.
    read.last[0] = 5.0
    assert read.mean()[0] == pytest.approx(3.0)
    assert Margins.read(tmp_path / "nothing") is None
