"""Drawn inspections hold the numbers they were given, on one scale that says its unit."""

from __future__ import annotations

import io
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from vitrail import plots
from vitrail.plots import panels, style

DOLLAR = r"$\frac{$"
VIRIDIS = matplotlib.colormaps["viridis"]
BLANK = np.full((3, 32, 32), 128, dtype=np.uint8)
rng = np.random.default_rng(0)
PHOTO = rng.integers(0, 256, (3, 24, 32)).astype(np.uint8)


def drawn(figure: Figure) -> str:
    """All text in the figure, once it has been drawn without error."""
    figure.savefig(io.BytesIO(), format="png", dpi=30)
    width, height = figure.get_size_inches()
    assert 2 < width < 9.2
    assert 0.5 < height < 12.5
    assert figure.get_facecolor()[3] == 0
    return " | ".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))


def pictures(figure: Figure) -> list[np.ndarray]:
    """What was drawn into the cells, row by row."""
    placed = sorted(figure.axes[0].images, key=lambda image: (round(image.get_extent()[3], 3), image.get_extent()[0]))
    return [np.asarray(image.get_array()) for image in placed]


def ends(figure: Figure) -> set[tuple[float, float]]:
    """The ends of the scales of all pictures and of the colour bar."""
    scales = [(image.norm.vmin, image.norm.vmax) for image in figure.axes[0].images if image.get_array().ndim == 2]
    return {(round(float(low), 9), round(float(high), 9)) for low, high in [*scales, figure.axes[1].get_xlim()]}


def unit(figure: Figure) -> str:
    return figure.axes[1].get_xlabel()


def bytes_of(share_of_scale: float) -> np.ndarray:
    return np.round(255 * np.array(VIRIDIS(share_of_scale)[:3]))


def shares(layers: int, heads: int, height: int, width: int) -> np.ndarray:
    weights = np.random.default_rng(1).random((layers, heads, height, width)) ** 4
    return weights / weights.sum(axis=(2, 3), keepdims=True)


# Maps over images


def test_each_cell_of_a_map_covers_an_equal_part_of_the_image() -> None:
    shown = plots.overlay(BLANK, np.array([[0.0, 1.0], [4.0, 2.0]]))
    assert shown.shape == (32, 32, 3)
    for rows, columns, value in ((0, 0, 0), (0, 1, 1), (1, 0, 4), (1, 1, 2)):
        cell = shown[16 * rows : 16 * rows + 16, 16 * columns : 16 * columns + 16]
        assert (cell == bytes_of(np.sqrt(value / 4))).all()


@given(
    side=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    cells=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    data=st.data(),
)
@settings(max_examples=40, deadline=None)
def test_the_maximum_of_a_map_lies_where_it_lies_in_the_image(
    side: tuple[int, int], cells: tuple[int, int], data: st.DataObject
) -> None:
    h, w = side
    y, x = data.draw(st.integers(0, h - 1)), data.draw(st.integers(0, w - 1))
    row, column = y * cells[0] // h, x * cells[1] // w
    values = np.zeros(cells)
    values[row, column] = 1
    found = (plots.overlay(np.zeros((1, h, w), dtype=np.uint8), values) == bytes_of(1.0)).all(axis=-1)
    # Where cells are narrower than pixels, a pixel shows the cell below its centre.
    middle = (2 * y + 1) * cells[0] // (2 * h), (2 * x + 1) * cells[1] // (2 * w)
    assert found[y, x] == (middle == (row, column))
    assert found.sum() <= -(-h // cells[0]) * -(-w // cells[1])


def test_overlays_are_shaded_by_the_image_and_grey_where_nothing_is_known() -> None:
    image = np.zeros((3, 8, 8), dtype=np.uint8)
    image[:, :, 4:] = 255
    values = np.ones((8, 8))
    values[:4] = np.nan
    shown = plots.overlay(image, values).astype(int)
    assert (shown[:4, 4:] == 255).all()
    assert (shown[:4, :4] == 128).all()
    np.testing.assert_allclose(shown[4:, :4] * 2, shown[4:, 4:], atol=1)


def test_negative_values_of_an_overlay_are_purple_and_positive_ones_orange() -> None:
    shown = plots.overlay(BLANK, np.array([[-1.0, 0.0, 1.0]])).astype(int)
    (r, _, b), middle, (red, _, blue) = shown[0, 0], shown[0, 16], shown[0, -1]
    assert b > r
    assert (middle > 240).all()
    assert red > blue


def test_a_given_scale_makes_overlays_comparable() -> None:
    scale = panels.Scale(0.0, 4.0, "", root=True)
    assert (plots.overlay(BLANK, np.full((4, 4), 1.0), scale) == bytes_of(0.5)).all()
    assert (plots.overlay(BLANK, np.full((4, 4), 9.0), scale) == bytes_of(1.0)).all()
    signed = panels.scale_of(np.array([-4.0, 1.0]), "", root=True)
    assert (plots.overlay(BLANK, np.zeros((4, 4)), signed) > 240).all()


def test_attention_is_shown_in_multiples_of_uniform_with_the_mean_over_heads_last() -> None:
    maps = np.full((1, 2, 8, 8), 1 / 64)
    maps[0, 1] *= 0
    figure = plots.attention_grid(BLANK, maps)
    assert unit(figure) == "share of attention; 1: shared evenly by the patches"
    # Uniform attention is 1, and the scale goes at least to 2.
    assert ends(figure) == {(0.0, 2.0)}
    for picture, multiple in zip(pictures(figure), (1, 0, 0.5), strict=True):
        assert (picture == bytes_of(np.sqrt(multiple / 2))).all()
    shown = drawn(plots.attention_grid(BLANK, np.concatenate([maps, maps]), layers=[3, 11]))
    assert all(name in shown for name in ("layer 3", "layer 11", "head 0", "head 1", "mean"))


def test_all_maps_of_a_grid_share_one_scale() -> None:
    maps = np.full((2, 2, 4, 4), 1 / 32)
    maps[1, 1, 2, 3] = 0.5
    figure = plots.attention_grid(BLANK, maps)
    assert ends(figure) == {(0.0, 8.0)}
    cells = pictures(figure)
    assert (cells[0] == cells[1]).all()
    peak = (cells[4] == bytes_of(1.0)).all(axis=-1)
    side = len(peak) // 4
    assert peak[2 * side : 3 * side, 3 * side :].all()
    assert peak.sum() == side**2


def test_a_few_extreme_values_do_not_set_the_scale() -> None:
    maps = np.full((1, 1, 40, 40), 1 / 1600)
    maps[0, 0, 0, :2] = 0.4
    figure = plots.attention_grid(BLANK, maps)
    assert ends(figure) == {(0.0, 2.0)}


@given(
    layers=st.integers(1, 3),
    heads=st.integers(1, 3),
    channels=st.integers(1, 4),
    image=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    grid=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    gaps=st.booleans(),
)
@settings(max_examples=15, deadline=None)
def test_grids_of_any_shape(
    layers: int, heads: int, channels: int, image: tuple[int, int], grid: tuple[int, int], gaps: bool
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (channels, *image)).astype(np.uint8)
    maps = shares(layers, heads, *grid)
    if gaps:
        maps[0] = np.nan
    before = maps.copy()
    figure = plots.attention_grid(pixels, maps)
    drawn(figure)
    assert len(pictures(figure)) == layers * (heads + 1)
    drawn(plots.map_row(pixels, {"a": maps[0, 0], "b": -maps[-1, -1]}))
    frames = plots.training_frames(pixels, maps, most_pixels=48)
    assert frames.shape[:2] == (layers, heads + 1)
    assert max(frames.shape[2:4]) <= 48
    np.testing.assert_array_equal(maps, before)


@pytest.mark.parametrize(("layers", "heads"), [(12, 12), (24, 16)])
def test_grids_of_large_models_stay_on_a_page(layers: int, heads: int) -> None:
    figure = plots.attention_grid(PHOTO, np.full((layers, heads, 2, 2), 0.25))
    shown = drawn(figure)
    assert len(pictures(figure)) == layers * (heads + 1)
    assert {"layer 0", "head 0"} <= set(shown.split(" | "))


def test_maps_of_methods_are_brought_to_one_unit() -> None:
    values = rng.random((24, 32))
    figure = plots.map_row(PHOTO, {"one": values, "thousandfold": 1000 * values}, {"one": "SaCo 0.4"}, "title")
    image, first, second = pictures(figure)
    assert (first == second).all()
    assert np.unique(image).size > 2
    assert unit(figure) == "in multiples of each map's mean strength"
    assert {"one", "thousandfold", "SaCo 0.4", "title", "image"} <= set(drawn(figure).split(" | "))


def test_signed_maps_make_the_scale_signed_for_all_and_it_is_said() -> None:
    values = np.tile([[-3.0, 1.0]], (4, 2))
    figure = plots.map_row(BLANK, {"signed": values, "not": np.abs(values)})
    low, high = ends(figure).pop()
    assert -low == high == 2
    assert "orange speaks for the class, purple against it" in drawn(figure)
    assert "purple" not in drawn(plots.map_row(BLANK, {"not": np.abs(values)}))


def test_maps_without_any_value() -> None:
    nothing = np.zeros((4, 4))
    figure = plots.map_row(BLANK, {"zeros": nothing, "unknown": np.full((4, 4), np.nan)})
    _, zeros, unknown = pictures(figure)
    assert (zeros == bytes_of(0.0)).all()
    assert (unknown == 255).all()


def test_maps_wrap_at_five_pictures() -> None:
    figure = plots.map_row(PHOTO, {str(i): np.ones((2, 2)) for i in range(9)})
    assert len({image.get_extent()[3] for image in figure.axes[0].images}) == 2
    drawn(figure)


def test_rollout_is_in_multiples_of_uniform_too() -> None:
    figure = plots.rollout_map(BLANK, {"mean": np.full((4, 4), 1 / 16), "max": np.full((4, 4), 4 / 16)})
    assert ends(figure) == {(0.0, 4.0)}
    assert (pictures(figure)[1] == bytes_of(0.5)).all()
    assert "1: shared evenly by the patches" in unit(figure)


def test_frames_share_one_scale_over_epochs() -> None:
    maps = np.zeros((3, 2, 2, 2))
    maps[0, :, 0, 0] = maps[1, 0, 0, 0] = 0.5
    maps[2, :, 1, 1] = 1.0
    frames = plots.training_frames(BLANK, maps)
    assert frames.shape == (3, 3, 32, 32, 3)
    scale = plots.attention_bar(maps).axes[0].get_xlim()
    assert scale == (0.0, 4.0)
    mean, first, second = frames[1, :, 0, 0]
    assert (mean == bytes_of(np.sqrt(1 / 4))).all()
    assert (first == bytes_of(np.sqrt(2 / 4))).all()
    assert (second == bytes_of(0.0)).all()
    assert (frames[0, 0, 0, 0] == bytes_of(np.sqrt(2 / 4))).all()
    assert (frames[2, -1, -1, -1] == bytes_of(1.0)).all()


def test_large_images_are_shrunk_in_frames_with_their_maps() -> None:
    image = np.zeros((3, 200, 100), dtype=np.uint8)
    values = np.zeros((1, 1, 200, 100))
    values[..., 150:, :] = 1
    frames = plots.training_frames(image, values, most_pixels=50)
    assert frames.shape == (1, 2, 50, 25, 3)
    assert (frames[0, :, :37] == bytes_of(0.0)).all()
    assert (frames[0, :, 38:] == bytes_of(1.0)).all()


def test_the_strip_shows_at_most_eight_epochs_from_first_to_last() -> None:
    maps = shares(30, 2, 2, 2)
    figure = plots.training_strip(PHOTO, maps, range(1, 31))
    shown = drawn(figure)
    assert len(pictures(figure)) == 8 * 3
    assert "epoch 1 " in shown
    assert "epoch 30" in shown
    assert figure.axes[1].get_xlim() == plots.attention_bar(maps).axes[0].get_xlim()
    assert len(pictures(plots.training_strip(PHOTO, maps[:2], [5, 6]))) == 2 * 3


# Heads


def test_attention_distance_shows_every_head_their_mean_and_uniform_attention() -> None:
    distances = np.array([[1.0, 3.0], [5.0, np.nan], [np.nan, np.nan]])
    axes = plots.attention_distance(distances, uniform=16.55).axes[0]
    heads, mean, uniform = axes.lines
    np.testing.assert_array_equal(heads.get_xdata(), [0, 0, 1, 1, 2, 2])
    np.testing.assert_array_equal(heads.get_ydata(), distances.ravel())
    np.testing.assert_array_equal(mean.get_ydata(), [2, 5, np.nan])
    assert list(uniform.get_ydata()) == [16.55, 16.55]
    assert axes.get_ylabel() == "pixels"
    assert axes.get_ylim()[0] == 0
    drawn(plots.attention_distance(np.array([[4.0]])))


def test_head_tables_pass_their_numbers_on() -> None:
    entropies = rng.random((3, 5)) * np.log(65)
    figure = plots.head_entropy(entropies, most=np.log(65))
    np.testing.assert_array_equal(pictures(figure)[0], entropies)
    assert ends(figure) == {(0.0, round(np.log(65), 9))}
    assert "nats" in unit(figure)
    assert f"{entropies[2, 4]:.1f}" in drawn(figure).split(" | ")
    dependence = plots.class_dependence(np.array([[0.0, np.nan, 1.0]]))
    assert ends(dependence) == {(0.0, 1.0)}
    assert {"0.00", "1.00"} <= set(drawn(dependence).split(" | "))
    assert "nan" not in drawn(dependence)


def test_offset_profiles_share_a_scale_and_mark_the_middle() -> None:
    profiles = rng.random((2, 3, 5, 5)) * 0.3
    profiles[0, 0, 0, 0] = np.nan
    profiles[1, 2, 2, 1] = 0.8
    figure = plots.head_offsets(profiles)
    assert ends(figure) == {(0.0, 0.8)}
    for picture, profile in zip(pictures(figure), profiles.reshape(6, 5, 5), strict=True):
        np.testing.assert_array_equal(picture, profile)
    marks = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    left, right, bottom, top = figure.axes[0].images[0].get_extent()
    assert len(marks) == 2 * 6
    x, y = marks[0].get_xy()
    assert x + marks[0].get_width() / 2 == pytest.approx((left + right) / 2)
    assert y + marks[0].get_height() / 2 == pytest.approx((bottom + top) / 2)
    assert unit(figure) == "share of attention"
    assert "up to 2 patches up and down" in drawn(figure)
    drawn(plots.head_offsets(np.ones((1, 1, 1, 1))))


def test_similarity_of_heads_is_cut_into_blocks_of_layers() -> None:
    matrix = rng.uniform(-1, 1, (6, 6))
    figure = plots.head_similarity(matrix, heads=3)
    blocks = pictures(figure)
    np.testing.assert_array_equal(blocks[1], matrix[:3, 3:])
    np.testing.assert_array_equal(blocks[2], matrix[3:, :3])
    assert ends(figure) == {(-1.0, 1.0)}
    assert ends(plots.head_similarity(np.abs(matrix), heads=3)) == {(0.0, 1.0)}
    drawn(figure)
    drawn(plots.head_similarity(np.ones((1, 1)), heads=1))


# Positions


@pytest.mark.parametrize("grid", [(1, 1), (3, 5), (8, 8), (14, 14), (37, 9)])
def test_position_similarity_shows_a_map_for_patches_up_to_eight_by_eight(grid: tuple[int, int]) -> None:
    similarity = rng.uniform(-1, 1, (*grid, *grid))
    figure = plots.position_similarity(similarity)
    shown, maps = drawn(figure), pictures(figure)
    assert ends(figure) == {(-1.0, 1.0)}
    assert len(maps) == min(8, grid[0]) * min(8, grid[1])
    np.testing.assert_array_equal(maps[0], similarity[0, 0])
    np.testing.assert_array_equal(maps[-1], similarity[-1, -1])
    left_out = f"{len(maps)} of {grid[0] * grid[1]} patches have a map"
    assert (left_out in shown) == (len(maps) < grid[0] * grid[1])
    assert unit(figure) == "cosine similarity of position embeddings"


def test_what_moving_patches_does_to_the_prediction() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.05, 0.9, 0.05]])
    names = ["original", "4 patches moved", "all moved"]
    figure = plots.position_effect([PHOTO] * 3, names, probabilities, ["cat", "dog", DOLLAR])
    shown = drawn(figure).split(" | ")
    assert {*names, DOLLAR, "70.0 %", "90.0 %"} <= set(shown)
    assert shown.count("same prediction") == shown.count("another prediction") == 1
    bars = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    widths = np.array([bar.get_width() for bar in bars]).reshape(3, 3)
    left, right, *_ = figure.axes[0].images[0].get_extent()
    np.testing.assert_allclose(widths / (right - left), -np.sort(-probabilities, axis=1))
    kept = [to_hex(bar.get_facecolor()) == style.RIGHT for bar in bars]
    assert kept == [True, False, False, True, False, False, False, True, False]
    np.testing.assert_array_equal(pictures(figure)[0], pictures(figure)[1])


def test_accuracy_against_the_share_of_patches_moved() -> None:
    figure = plots.accuracy_by_moved(np.array([0.0, 1.0]), np.array([0.9, 0.2]), chance=0.1, unaltered=0.95)
    moved, unaltered, chance = figure.axes[0].lines
    assert list(moved.get_xdata()) == [0, 100]
    np.testing.assert_allclose(moved.get_ydata(), [90, 20])
    np.testing.assert_allclose([unaltered.get_ydata()[0], chance.get_ydata()[0]], [95, 10])
    assert "in %" in figure.axes[0].get_ylabel()
    assert len(plots.accuracy_by_moved(np.array([0.5]), np.array([0.9])).axes[0].lines) == 1


# Features


def test_each_filter_has_its_own_scale_about_grey() -> None:
    filters = rng.normal(size=(3, 3, 4, 5))
    filters[1] = 1000 * filters[0]
    filters[2] = 0
    figure = plots.patch_filters(filters, np.array([0.5, 0.25, 0.125]))
    first, second, third = pictures(figure)
    assert (first == second).all()
    assert (third == 128).all()
    strongest = np.unravel_index(np.abs(filters[0]).argmax(), filters[0].shape)
    c, y, x = strongest
    assert first[y, x, c] == (255 if filters[0][strongest] > 0 else 0)
    shown = drawn(figure)
    assert all(text in shown for text in ("50.0 %", "25.0 %", "12.5 %", "sign is arbitrary"))
    assert "sign is arbitrary" not in drawn(plots.patch_filters(filters, np.zeros(3), signed=True))
    gray = pictures(plots.patch_filters(filters[:, :1], np.zeros(3)))[0]
    assert (gray == gray[..., :1]).all()


def test_tokens_in_colour_pass_through() -> None:
    colors = rng.random((9, 3, 4, 3))
    figure = plots.token_colors(PHOTO, colors)
    for picture, of in zip(pictures(figure)[1:], colors, strict=True):
        np.testing.assert_array_equal(picture, np.round(255 * of))
    shown = drawn(figure)
    assert "embedding" in shown
    assert "layer 7" in shown
    assert DOLLAR in drawn(plots.token_colors(PHOTO, colors[:1], [DOLLAR]))


def test_feature_maps_are_in_units_of_their_depth() -> None:
    maps = [rng.random((12, 8, 8)), 1e6 * rng.random((4, 2, 2))]
    figure = plots.feature_maps(PHOTO, maps, ["stage 0", DOLLAR], most=6)
    shown = pictures(figure)
    assert len(shown) == 1 + 6 + 4
    np.testing.assert_allclose(shown[1], maps[0][0] / maps[0].mean())
    np.testing.assert_allclose(shown[7], maps[1][0] / maps[1].mean())
    assert len(ends(figure)) == 1
    assert "multiples of its depth's mean strength" in unit(figure)
    text = drawn(figure)
    assert "stage 0: 12 channels of 8 × 8" in text
    assert "96 channels of 8 × 8" in drawn(plots.feature_maps(PHOTO, maps[:1], channels=96))
    assert DOLLAR in text
    low, high = ends(plots.feature_maps(PHOTO, [-maps[0]])).pop()
    assert low == -high


def test_outlier_tokens_are_named_and_outlined_where_they_lie() -> None:
    norms = np.ones((3, 1 + 6))
    norms[:, 0], norms[2, 5] = 7, 9
    figure = plots.token_norms(norms, [(1, 0), (1, 2), (2, 5)], ["class"], (2, 3))
    shown = drawn(figure)
    assert "class" in shown.split(" | ")
    assert "row 1, column 1" in shown
    left, right = figure.axes[:2]
    np.testing.assert_array_equal(right.images[0].get_array(), norms[-1, 1:].reshape(2, 3))
    assert {patch.get_xy() for patch in right.patches} == {(0.5, 0.5)}, "token 2 is an outlier of another depth"
    [band] = [artist for artist in left.collections if isinstance(artist, PolyCollection)]
    assert band.get_paths()[0].vertices[:, 1].max() == 1
    lines = {line.get_label(): list(line.get_ydata()) for line in left.lines}
    assert lines["row 1, column 1"] == [1, 1, 9]
    assert lines["median"] == [1, 1, 1]


def test_of_many_outliers_five_are_named_and_the_rest_counted() -> None:
    norms = 1 + np.arange(10.0)[None].repeat(2, axis=0)
    shown = drawn(plots.token_norms(norms, [(1, i) for i in range(9)], ["class", "register 1"], (2, 4)))
    assert "4 more outliers" in shown
    assert "row 1, column 2" in shown
    assert "register 1" not in shown
    drawn(plots.token_norms(norms, [], ["class", "register 1"], (2, 4)))
    drawn(plots.token_norms(norms[:1], [(0, i) for i in range(10)], ["class", "register 1"], (2, 4), [DOLLAR]))


def test_cka_is_drawn_from_zero_to_one_whatever_it_is() -> None:
    matrix = np.array([[0.9, 0.5, 1.01], [0.4, -0.01, 0.6]])
    figure = plots.cka_heatmap(matrix, (["a", DOLLAR], ["x", "y", "z"]), ("first", DOLLAR * 2))
    np.testing.assert_array_equal(pictures(figure)[0], matrix)
    assert ends(figure) == {(0.0, 1.0)}
    assert unit(figure).startswith("CKA")
    assert {"a", DOLLAR, DOLLAR * 2, "first", "0.90"} <= set(drawn(figure).split(" | "))
    many = [f"layer {i}" for i in range(60)]
    drawn(plots.cka_heatmap(np.eye(60), (many, many)))


def test_the_logit_lens_shows_the_answer_the_explained_class_and_the_strongest_others() -> None:
    probabilities = np.full((4, 20), 0.01)
    probabilities[-1, 3], probabilities[1, 7], probabilities[0, 8] = 0.8, 0.6, 0.3
    axes = plots.logit_lens(probabilities, [f"c{i}" for i in range(20)], target=12, most=4).axes[0]
    assert [line.get_label() for line in axes.lines] == ["c3", "c12 (explained)", "c7", "c8"]
    np.testing.assert_allclose(axes.lines[2].get_ydata(), [1, 60, 1, 1])
    assert "in %" in axes.get_ylabel()
    figure = plots.logit_lens(probabilities[:, :2], [DOLLAR, "_b"])
    assert DOLLAR in drawn(figure)
    assert [text.get_text().strip() for text in figure.legends[0].get_texts()] == [DOLLAR, "_b"]


# Trust


METHODS = ["attention", "rollout", "relevancy", "legrad", "grad-cam", "occlusion", DOLLAR, "random", "centre"]


def test_trust_shows_each_value_in_its_interval_and_leaves_gaps() -> None:
    scores = {name: (i / 10, i / 10 - 0.05, i / 10 + 0.02) for i, name in enumerate(METHODS)}
    figure = plots.trust_chart({"SaCo": scores, DOLLAR: {"rollout": (0.5, np.nan, np.nan)}})
    first, second = figure.axes
    intervals, dots = first.lines[::2], first.lines[1::2]
    for row, (interval, dot, (value, low, high)) in enumerate(zip(intervals, dots, scores.values(), strict=True)):
        assert list(interval.get_xdata()) == [low, high]
        assert (list(dot.get_xdata()), list(dot.get_ydata())) == ([value], [row])
        assert (dot.get_color() == style.SOFT) == (METHODS[row] in ("random", "centre"))
    [band] = first.patches
    assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx(scores["centre"][1:]), "the better control"
    assert np.isfinite(np.concatenate([line.get_xdata() for line in second.lines])).sum() == 1
    assert not second.patches
    shown = drawn(figure)
    assert DOLLAR in shown
    assert "best control's 95 % interval" in shown
    marked = plots.trust_chart({"SaCo": scores}, least={"SaCo": 0.5})
    assert not marked.axes[0].patches
    assert list(marked.axes[0].lines[0].get_xdata()) == [0.5, 0.5]
    assert "to be reached" in drawn(marked)
    drawn(plots.trust_chart({f"measure {i}": scores for i in range(8)}, controls=()))


# What all share


def test_scales_leave_out_what_is_not_finite_and_end_in_readable_numbers() -> None:
    scale = panels.scale_of(np.array([0.0, 3.141, np.nan, np.inf]), "")
    assert (scale.low, scale.high, scale.clipped) == (0.0, 3.2, False)
    assert panels.scale_of(np.array([np.nan]), "").high == 1
    assert panels.scale_of(np.zeros(3), "").high == 1
    clipped = panels.scale_of(np.arange(101.0), "", quantile=0.5)
    assert (clipped.high, clipped.clipped) == (50, True)
    # One value in a hundred: the quantile is 0, but the value is to be seen.
    assert panels.scale_of(np.eye(10).ravel()[:50], "", quantile=0.5).high == 1


def test_names_beside_maps_are_never_read_as_mathematics() -> None:
    shown = drawn(plots.map_row(PHOTO, {DOLLAR: np.ones((2, 2))}, {DOLLAR: DOLLAR * 2}, DOLLAR * 3))
    assert {DOLLAR, DOLLAR * 2, DOLLAR * 3} <= set(shown.split(" | "))


def test_drawing_needs_neither_pyplot_nor_torch() -> None:
    check = "import sys, vitrail.plots; print('matplotlib.pyplot' in sys.modules, 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True).stdout.split() == ["False"] * 2
