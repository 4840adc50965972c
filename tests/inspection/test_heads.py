"""Heads whose habit was planted are recognised, on rectangles, with and without tokens before the patches."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import small_cnn, small_vit

from vitrail.errors import InputError
from vitrail.inspection import heads
from vitrail.inspection.capture import inspect
from vitrail.inspection.heads import (
    class_dependence,
    entropy,
    head_similarity,
    name_heads,
    offset_profile,
    prefix_attention,
    profile_attention,
    profile_heads,
)
from vitrail.models.grid import TokenGrid

GRIDS = [
    TokenGrid(("class",), 4, 4, 4),
    TokenGrid((), 5, 3, 4),
    TokenGrid(("register 1",), 4, 5, 4),
    TokenGrid(("class", "distillation", "register 1", "register 2"), 3, 7, 8),
]
grids = pytest.mark.parametrize("grid", GRIDS, ids=["class token", "tall, mean", "mean, register", "wide, registers"])


def looking(grid, down, right):
    """(query, key): every patch looks so far down and right, at itself where that is outside; others at all alike."""
    weights = torch.full((grid.num_tokens, grid.num_tokens), 1 / grid.num_tokens)
    for row in range(grid.height):
        for column in range(grid.width):
            inside = 0 <= row + down < grid.height and 0 <= column + right < grid.width
            to = (row + down) * grid.width + column + right if inside else row * grid.width + column
            weights[grid.num_prefix + row * grid.width + column] = torch.eye(grid.num_patches + grid.num_prefix)[
                grid.num_prefix + to
            ]
    return weights


def looking_at(grid, token):
    return torch.eye(grid.num_tokens)[token].repeat(grid.num_tokens, 1)


def everywhere(grid):
    return torch.full((grid.num_tokens, grid.num_tokens), 1 / grid.num_tokens)


def scattered(grid, *shape, seed=0):
    """Random weights (*shape, query, key), rows summing to one."""
    scores = torch.randn(*shape, grid.num_tokens, grid.num_tokens, generator=torch.Generator().manual_seed(seed))
    return (2 * scores).softmax(dim=-1)


def of_heads(images, *weights):
    """(batch, layer, head, query, key) of two layers."""
    stacked = torch.stack([w.expand(images, *w.shape[-2:]) for w in weights], dim=1)
    return stacked.unflatten(1, (2, len(weights) // 2))


@grids
def test_planted_heads_are_recognised(grid):
    mixed = scattered(grid, 3)
    prefix = [looking_at(grid, token) for token in range(grid.num_prefix)] or [everywhere(grid)]
    planted = [
        *(looking(grid, 0, -1), looking(grid, 1, 0), looking(grid, -1, 1), looking(grid, 0, 0), everywhere(grid)),
        *(mixed, scattered(grid, 3, seed=1), mixed, looking(grid, 0, -1), *prefix),
    ]
    planted += [everywhere(grid)] * (len(planted) % 2)
    attention = of_heads(3, *planted)
    names = [name for layer in name_heads(profile_attention([attention], grid)) for name in layer]
    per_layer = len(planted) // 2
    before = {"class": "class token", "distillation": "distillation token"}
    expected = [
        *("looks left", "looks down", "looks up and right", "looks at itself", "looks everywhere"),
        *("mixed", "mixed", f"copy of {5 // per_layer}.{5 % per_layer}", "looks left (copy of 0.0)"),
        *(f"looks at {before.get(name, name)}" for name in grid.prefix),
    ]
    assert names == expected + ["looks everywhere"] * (len(planted) - len(expected))


def test_far_near_and_classes_have_their_words():
    grid, labels = TokenGrid(("class",), 6, 6, 4), torch.tensor([0, 1]).repeat(6)
    near = torch.exp(-grid.distances() / 4)
    near = torch.nn.functional.pad(near, (1, 0, 1, 0), value=0.01)
    by_class = scattered(grid, 2)[labels]
    attention = of_heads(12, looking(grid, -2, 3), near / near.sum(-1, keepdim=True), by_class, everywhere(grid))
    names = name_heads(profile_attention([attention], grid, labels))
    assert names == (("looks 2 up and 3 right", "looks around itself"), ("depends on class", "looks everywhere"))
    without = name_heads(profile_attention([attention], grid))
    assert without == (names[0], ("mixed", "looks everywhere"))


def test_what_one_patch_in_sixteen_does_is_no_habit():
    grid = TokenGrid((), 4, 4, 4)
    mixed = scattered(grid)
    mixed[0] = torch.eye(16)[15]
    profile = profile_attention([of_heads(2, mixed, mixed)], grid)
    assert profile.offsets[0, 0, 6, 6] == 1
    assert name_heads(profile) == (("mixed",), ("copy of 0.0",))


@grids
def test_entropy_of_uniform_certain_and_halved_attention(grid):
    half = 0.5 * (looking(grid, 0, 0) + looking_at(grid, 0))
    if not grid.num_prefix:
        half[0] = looking(grid, 0, -1)[1] / 2 + looking(grid, 0, 0)[1] / 2
    # What the class token does is not counted.
    certain = looking(grid, 0, 0)
    found = entropy(of_heads(2, everywhere(grid), certain, half, certain), grid)
    expected = torch.tensor([[math.log(grid.num_tokens), 0.0], [math.log(2), 0.0]])
    torch.testing.assert_close(found, expected)


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    prefix=st.integers(0, 2),
    down=st.integers(-5, 5),
    right=st.integers(-5, 5),
)
def test_an_offset_is_found_wherever_the_grid_has_it(height, width, prefix, down, right):
    grid = TokenGrid(("class", "register 1")[:prefix], height, width, 4)
    profile = offset_profile(of_heads(1, looking(grid, down, right), everywhere(grid)), grid, radius=5)
    if abs(down) < height and abs(right) < width:
        assert profile[0, 0, 5 + down, 5 + right] == 1
        # It looks nowhere else, but for the patches at the border, which look at themselves.
        others = profile[0, 0].nan_to_num(0)
        assert others.count_nonzero() == (1 if (down, right) == (0, 0) else 2)
    rows, columns = torch.arange(-5, 6).abs(), torch.arange(-5, 6).abs()
    exists = (rows[:, None] < height) & (columns < width)
    torch.testing.assert_close(profile[1, 0][exists], torch.full((int(exists.sum()),), 1 / grid.num_tokens))
    assert profile[1, 0][~exists].isnan().all()


@grids
def test_offset_profile_is_the_mean_over_pairs_counted_one_by_one(grid):
    attention = scattered(grid, 3, 2, 2)
    profile = offset_profile(attention, grid)
    radius = min(grid.height, grid.width) - 1
    assert profile.shape == (2, 2, 2 * radius + 1, 2 * radius + 1)
    for down, right in [(0, 0), (1, -1), (-radius, radius), (0, 1)]:
        pairs = [
            attention[..., grid.num_prefix + r * grid.width + c, grid.num_prefix + (r + down) * grid.width + c + right]
            for r in range(grid.height)
            for c in range(grid.width)
            if 0 <= r + down < grid.height and 0 <= c + right < grid.width
        ]
        torch.testing.assert_close(profile[..., radius + down, radius + right], torch.stack(pairs).mean(dim=(0, 1)))


def test_offsets_reach_four_patches_by_default_and_no_less_than_none():
    big = TokenGrid((), 7, 9, 4)
    assert offset_profile(of_heads(1, everywhere(big), everywhere(big)), big).shape == (2, 1, 9, 9)
    with pytest.raises(InputError, match="radius of an offset profile is -1"):
        offset_profile(of_heads(1, everywhere(big), everywhere(big)), big, radius=-1)


@grids
def test_prefix_attention_is_the_patches_share(grid):
    attention = scattered(grid, 3, 2, 2)
    shares = prefix_attention(attention, grid)
    assert shares.shape == (2, 2, grid.num_prefix)
    rest = attention[..., grid.num_prefix :, grid.num_prefix :].sum(-1).mean(dim=(0, 3))
    torch.testing.assert_close(shares.sum(-1) + rest, torch.ones(2, 2))


@grids
def test_similarity_is_the_mean_correlation_of_rows(grid):
    attention = scattered(grid, 3, 2, 2)
    attention[:, 1, 1] = attention[:, 0, 1]
    found = head_similarity(attention)
    flat = attention.flatten(1, 2).double().numpy()
    rows = np.mean([[np.corrcoef(image[:, q]) for q in range(grid.num_tokens)] for image in flat], axis=(0, 1))
    torch.testing.assert_close(found, torch.from_numpy(rows).float(), atol=1e-5, rtol=0)
    assert found[1, 3] == pytest.approx(1, abs=1e-5)


def test_uniform_heads_are_alike_and_like_no_other():
    grid = GRIDS[0]
    rounded = everywhere(grid) * (1 + 1e-7 * torch.randn(grid.num_tokens, grid.num_tokens))
    found = head_similarity(of_heads(2, everywhere(grid), scattered(grid, 2), rounded, looking(grid, 0, 0)))
    torch.testing.assert_close(found[0], torch.tensor([1.0, 0.0, 1.0, 1 / grid.num_tokens]))
    torch.testing.assert_close(found.diagonal(), torch.ones(4))


def class_map(grid, maps):
    """(batch, 1, 1, query, key) whose class map, or mean query, is `maps` (batch, patch)."""
    attention = scattered(grid, len(maps), 1, 1)
    if "class" in grid.prefix:
        attention[:, 0, 0, 0, grid.num_prefix :] = maps
    else:
        attention[:, 0, 0, grid.num_prefix :, grid.num_prefix :] = maps[:, None]
    return attention


@grids
def test_dependence_on_the_class_is_the_corrected_share_of_variance(grid):
    """Against epsilon squared computed with NumPy from its definition, and its ends: all and nothing."""
    labels = torch.tensor([7, 2, 2, 7, 5, 2, 5, 7, 7, 2])
    noise = scattered(grid, 10)[:, 0, : grid.num_patches]
    means = scattered(grid, 8, seed=1)[:, 0, : grid.num_patches]
    maps = (means[labels] + noise).double().numpy()
    between = sum(
        (labels.numpy() == k).sum() * ((maps[labels.numpy() == k].mean(0) - maps.mean(0)) ** 2).sum() for k in (2, 5, 7)
    )
    total = ((maps - maps.mean(0)) ** 2).sum()
    expected = (between - 2 * (total - between) / 7) / total
    assert 0.1 < expected < 0.9
    found = class_dependence(class_map(grid, means[labels] + noise), grid, labels)
    assert found.item() == pytest.approx(expected, abs=1e-5)
    assert class_dependence(class_map(grid, means[labels]), grid, labels).item() == pytest.approx(1, abs=1e-5)
    alike = class_map(grid, noise[:1].expand(10, -1) * (1 + 1e-7 * torch.randn(10, 1)))
    assert class_dependence(alike, grid, labels).item() == 0


def test_heads_that_ignore_the_class_have_about_no_dependence_on_it():
    """Without the correction it would be 9 / 99 on average, for 100 images of 10 classes."""
    grid = TokenGrid(("class",), 2, 2, 4)
    attention = scattered(grid, 100, 10, 40)
    found = class_dependence(attention, grid, torch.arange(10).repeat(10))
    assert found.mean().item() < 0.03
    assert found.max().item() < 0.3


def test_dependence_needs_classes_and_a_label_for_each_image():
    grid = GRIDS[0]
    attention = scattered(grid, 4, 1, 1)
    with pytest.raises(InputError, match=r"4 images of 4 classes: .* more images than classes"):
        class_dependence(attention, grid, torch.arange(4))
    with pytest.raises(InputError, match="4 images of 1 classes"):
        class_dependence(attention, grid, torch.zeros(4, dtype=torch.long))
    with pytest.raises(InputError, match="3 labels for more images"):
        profile_attention([attention], grid, torch.tensor([0, 1, 0]))
    with pytest.raises(InputError, match="5 labels for 4 images"):
        profile_attention([attention], grid, torch.tensor([0, 1, 0, 1, 0]))
    with pytest.raises(InputError, match="no images"):
        profile_attention([], grid)


@settings(max_examples=10, deadline=None)
@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4), which=st.integers(0, 3))
def test_batches_add_up_to_the_whole(sizes, which):
    grid, images = GRIDS[which], sum(sizes) + 2
    attention, labels = scattered(grid, images, 2, 3), torch.arange(images) % 2
    whole = profile_attention([attention], grid, labels)
    parts = profile_attention(attention.split([*sizes, 2]), grid, labels)
    assert whole.images == parts.images == images
    for field in dataclasses.fields(whole)[2:]:
        torch.testing.assert_close(getattr(parts, field.name), getattr(whole, field.name), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(whole.entropy, entropy(attention, grid))
    torch.testing.assert_close(whole.class_dependence, class_dependence(attention, grid, labels))


@pytest.mark.parametrize("changes", [{}, {"image_size": (8, 16), "readout": ("mean",), "num_registers": 2}])
def test_a_models_heads_are_profiled_a_few_images_at_a_time(changes, monkeypatch):
    model = small_vit(**changes).train()
    images, labels = torch.randn(7, 3, *model.config.size), [0, 1, 0, 1, 0, 1, 0]
    capture = inspect(model, images)
    sizes = []
    monkeypatch.setattr(heads, "_MOST_PER_BATCH", 2 * 3 * 2 * capture.grid.num_tokens**2)
    monkeypatch.setattr(heads, "inspect", lambda model, batch: sizes.append(len(batch)) or inspect(model, batch))
    profile = profile_heads(model, images, labels)
    assert sizes == [2, 2, 2, 1]
    assert model.training
    expected = profile_attention([capture.attention()], capture.grid, torch.tensor(labels))
    assert profile.grid == capture.grid
    for field in dataclasses.fields(expected)[2:]:
        torch.testing.assert_close(getattr(profile, field.name), getattr(expected, field.name), atol=1e-5, rtol=1e-5)


def test_a_cnn_has_no_heads_and_no_images_no_profile():
    with pytest.raises(InputError, match="a CNN has no attention heads"):
        profile_heads(small_cnn(), torch.randn(2, 3, 16, 16))
    with pytest.raises(InputError, match="no images"):
        profile_heads(small_vit(), torch.randn(0, 3, 12, 12))
