"""The arrays behind the figures have answers known on paper; the figures hold what they were given."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.figure import Figure

from vitrail import plots
from vitrail.plots.style import plain_texts
from vitrail.text import plain_text

DOLLAR = r"$\frac{$"


def drawn(figure: Figure) -> str:
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=40)
    assert written.getvalue().startswith(b"\x89PNG")
    return " | ".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))


def test_smoothing_is_the_mean_of_the_neighbours() -> None:
    assert plots.smooth(np.array([1.0, 2, 6, 7]), 3).tolist() == [1.5, 3, 5, 6.5]
    assert plots.smooth(np.array([1.0, 2, 6]), 1).tolist() == [1, 2, 6]


def test_smoothing_leaves_out_what_is_not_finite() -> None:
    assert plots.smooth(np.array([1.0, np.nan, 5]), 3).tolist() == [1, 3, 5]
    assert np.isnan(plots.smooth(np.array([np.nan, np.inf]), 3)).all()


def test_thinning_keeps_the_ends_and_every_extreme() -> None:
    values = np.zeros(10_000)
    values[1234], values[8765] = 9, -9
    kept = plots.thin(values, 100)
    assert len(kept) <= 100
    assert {0, 1234, 8765, 9999} <= set(kept.tolist())
    assert plots.thin(np.arange(5.0), 100).tolist() == [0, 1, 2, 3, 4]


def test_thinning_survives_stretches_without_a_value() -> None:
    assert plots.thin(np.full(1000, np.nan), 10).tolist() == [0, 999]


def test_spread_over_seeds() -> None:
    mean, std = plots.mean_and_std(np.array([[1.0, 4, np.nan], [3.0, np.nan, np.nan]]))
    np.testing.assert_allclose(mean, [2, 4, np.nan])
    np.testing.assert_allclose(std, [np.sqrt(2), np.nan, np.nan])


@pytest.mark.parametrize(("shape", "patch", "count", "length"), [((3, 32, 32), 4, 64, 48), ((1, 8, 12), 2, 24, 4)])
def test_patch_vectors_round_trip(shape: tuple[int, int, int], patch: int, count: int, length: int) -> None:
    image = np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
    vectors = plots.patch_vectors(image, patch)
    assert vectors.shape == (count, length)
    c, h, w = shape
    np.testing.assert_array_equal(vectors[1], image[:, :patch, patch : 2 * patch].ravel())
    grid = vectors.reshape(h // patch, w // patch, c, patch, patch)
    np.testing.assert_array_equal(grid.transpose(2, 0, 3, 1, 4).reshape(shape), image)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 8, 8), (3, 32, 96), (3, 160, 32)])
def test_the_patch_figure_says_its_numbers(shape: tuple[int, int, int]) -> None:
    c, h, w = shape
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    n = h * w // 16
    shown = drawn(plots.patches(image, 4))
    assert f"{h} × {w} × {c}  →  {n} patches of 4 × 4 × {c}  =  {n} vectors of {16 * c}" in shown


def test_patches_laid_apart_are_the_patches() -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 8, 8)).astype(np.uint8)
    apart = plots.patches(image, 4).axes[1].images[0].get_array()
    zoom, gap = 20, 13
    assert apart.shape == (2 * 80 + gap, 2 * 80 + gap, 4)
    assert (apart[80 : 80 + gap, :, 3] == 0).all()
    np.testing.assert_array_equal(apart[80 + gap :: zoom, :80:zoom, :3], np.moveaxis(image[:, 4:, :4], 0, -1))


def test_confusions_are_coloured_by_the_root_of_their_share() -> None:
    cells = plots.confusion_matrix(np.array([[3, 1], [0, 0]]), ["a", "b"]).axes[0].images[0].get_array()
    np.testing.assert_allclose(cells[..., 3], [[np.sqrt(0.75), 0.5], [0, 0]])
    assert (cells[0, 0, :3] != cells[0, 1, :3]).any()


@pytest.mark.parametrize("k", [2, 12, 13, 100])
def test_confusion_matrices_of_any_size(k: int) -> None:
    shown = drawn(plots.confusion_matrix(np.eye(k, dtype=int) * 7, [DOLLAR] * k))
    assert (DOLLAR in shown) == (k <= 40)


def test_names_are_never_read_as_mathematics() -> None:
    values = np.array([0.5])
    assert DOLLAR in drawn(plots.per_class([DOLLAR], values, values))
    assert DOLLAR in drawn(plots.metric_curves(values, {DOLLAR: values}, "accuracy"))
    assert DOLLAR in drawn(plots.comparison_curves({DOLLAR: (values, values[None])}, "accuracy"))
    assert DOLLAR in drawn(plots.seed_values({DOLLAR: [0.5, 0.6]}, "accuracy"))
    assert DOLLAR in drawn(plots.sample_sheet([(DOLLAR, np.zeros((2, 1, 8, 8), dtype=np.uint8))]))


def test_control_characters_in_names_are_replaced() -> None:
    assert plain_text("a\x00b\u202ec\udc80") == "a\ufffdb\ufffdc\ufffd"
    assert plain_text("猫 é 👩‍🚀") == "猫 é 👩‍🚀"
    assert plain_text("x" * 99, 10) == "x" * 9 + "…"


def test_curves_with_gaps_and_single_points() -> None:
    nothing = np.array([np.nan])
    drawn(plots.metric_curves(np.array([1.0]), {"training": nothing}, "AUROC"))
    drawn(plots.loss_over_steps(np.array([1.0]), np.array([2.0])))
    drawn(plots.learning_rate(np.array([1.0]), np.array([0.1])))
    drawn(plots.loss_over_steps(np.arange(300.0), np.where(np.arange(300) % 7, 1.0, np.nan)))


def test_the_loss_keeps_its_shape_under_a_huge_first_step() -> None:
    loss = np.concatenate([[1e6], np.linspace(2, 1, 20_000)])
    low, high = plots.loss_over_steps(np.arange(len(loss)), loss, window=1).axes[0].get_ylim()
    assert low < 1 < 2 < high


def test_a_sheet_shows_ten_images_of_a_class_and_says_what_it_leaves_out() -> None:
    rows = [(f"class {i}", np.full((14, 3, 6, 5), i % 256, dtype=np.uint8)) for i in range(1000)]
    figure = plots.sample_sheet(rows, most_rows=3)
    sheet = figure.axes[0].images[0].get_array()
    assert sheet.shape == (3 * 7, 10 * 6, 4)
    assert (sheet[14:20, 54:59, :3] == 2).all()
    shown = drawn(figure)
    assert "class 2" in shown
    assert "class 3" not in shown
    assert "and 997 more classes" in shown


def test_a_sheet_of_large_or_few_images() -> None:
    large = np.random.default_rng(0).integers(0, 256, (2, 3, 224, 300)).astype(np.uint8)
    figure = plots.sample_sheet([("pets", large), ("none", large[:0])])
    assert figure.axes[0].images[0].get_array().shape[1] <= 10 * 102
    drawn(figure)
    with pytest.raises(ValueError, match="at least one row"):
        plots.sample_sheet([])


def test_names_that_begin_alike_are_told_apart_by_their_ends() -> None:
    leaves = ["Corn_(maize)___Common_rust_", "Corn_(maize)___healthy", "Corn_(maize)___Northern_Leaf_Blight"]
    confusions = plots.confusion_matrix(np.eye(3, dtype=np.int64), [*leaves])
    shown = [label.get_text() for label in confusions.axes[0].get_yticklabels()]
    assert len(set(shown)) == 3
    assert all(len(name) <= 16 and name.startswith("Corn_") for name in shown)
    assert plain_texts(["short", "a name of twenty letters"], 10) == ["short", "a name of…"]
    rare = ["Tomato_early_blight_leaf_spot", "Tomato_late_blight_leaf_spot"]
    assert plain_texts([*leaves, *rare], 16)[3:] == ["Tomato_early_bl…", "Tomato_late_bli…"]
    assert plain_texts(["the same in its middle here", "the same at its middle here"], 9) == ["the same…"] * 2
    assert plain_texts(["the same", "the same"], 6) == ["the s…", "the s…"]
