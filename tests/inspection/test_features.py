"""Filters, colours, outliers and early predictions that were planted are found again."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import small_cnn, small_vit

from vitrail.errors import InputError
from vitrail.inspection import features
from vitrail.inspection.capture import inspect
from vitrail.inspection.features import (
    Outlier,
    feature_maps,
    logit_lens,
    outlier_mask,
    outlier_tokens,
    patch_filters,
    token_norms,
    token_pca,
)
from vitrail.models.grid import TokenGrid

GRIDS = [TokenGrid((), 3, 3, 4), TokenGrid(("class", "register 1"), 2, 7, 4)]


def orthogonal(rows, columns, seed=0):
    """Orthonormal rows."""
    return torch.linalg.qr(torch.randn(columns, rows, generator=torch.Generator().manual_seed(seed)))[0].T


def test_planted_filters_are_recovered_in_their_order():
    model = small_vit(in_channels=1, embed_dim=32)
    planted, strengths = orthogonal(5, 16), torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0])
    with torch.no_grad():
        model.patch_embed.proj.weight.copy_(orthogonal(5, 32, seed=1).T @ (strengths[:, None] * planted))
    found = patch_filters(model)
    assert found.filters.shape == (16, 1, 4, 4)
    agreement = found.filters[:5].flatten(1) @ planted.T
    torch.testing.assert_close(agreement.abs(), torch.eye(5), atol=1e-5, rtol=0)
    assert (found.filters.flatten(1).max(dim=1).values == found.filters.flatten(1).abs().max(dim=1).values).all()
    expected = torch.cat([strengths.square() / 55, torch.zeros(11)])
    torch.testing.assert_close(found.explained, expected, atol=1e-6, rtol=0)
    first = patch_filters(model, 3)
    assert torch.equal(first.filters, found.filters[:3])
    assert torch.equal(first.explained, found.explained[:3])


@pytest.mark.parametrize("make", [small_cnn, lambda: small_vit(stem="conv"), lambda: small_vit(stem="pooled")])
def test_of_convolutions_the_first_kernels_are_shown_longest_first(make):
    model = make()
    kernel = next(p for name, p in model.named_parameters() if p.ndim == 4).detach()
    with torch.no_grad():
        kernel[1], kernel[2] = 0, -9.0
        kernel[3], kernel[3, 0, 0, 0] = 0, 2.0
    found = patch_filters(model)
    assert found.filters.shape == kernel.shape
    torch.testing.assert_close(found.filters[0], torch.full((3, 3, 3), -(27**-0.5)))
    assert (found.filters[-1] == 0).all()
    lengths = kernel.flatten(1).norm(dim=1).sort(descending=True).values
    torch.testing.assert_close(found.explained, lengths.square() / lengths.square().sum())


def test_no_filters_cannot_be_asked_for():
    with pytest.raises(InputError, match="0 patch filters were asked for: at least 1"):
        patch_filters(small_vit(), 0)


def of_patches(patches, grid):
    """Tokens (batch, layer, token, dim) with noise before the patches (batch, layer, patch, dim)."""
    return torch.cat([100 * torch.randn(*patches.shape[:2], grid.num_prefix, patches.shape[-1]), patches], dim=2)


@pytest.mark.parametrize("grid", GRIDS, ids=["square", "wide, with prefix"])
def test_token_colours_are_the_planted_coordinates(grid):
    torch.manual_seed(0)
    # Three coordinates of falling size, uncorrelated over all patches of all images.
    coordinates = orthogonal(3, 4 * grid.num_patches).T
    coordinates = (coordinates - coordinates.mean(0)) * torch.tensor([9.0, 5.0, 2.0])
    layer = (coordinates @ orthogonal(3, 20) + torch.randn(20)).view(4, 1, -1, 20)
    colours = token_pca(of_patches(layer, grid), grid)
    assert colours.shape == (4, 1, grid.height, grid.width, 3)
    assert colours.min() == 0
    assert colours.max() == 1
    principal = torch.linalg.svd(coordinates - coordinates.mean(0))[2]
    scores = coordinates @ principal.T
    for component in range(3):
        found, expected = colours[..., component].flatten(), scores[:, component]
        inside = (found > 0) & (found < 1)
        assert torch.corrcoef(torch.stack([found[inside], expected[inside]]))[0, 1].abs() > 0.9999


@pytest.mark.parametrize("grid", GRIDS, ids=["square", "wide, with prefix"])
def test_colours_are_one_scale_for_all_images_and_keep_their_sign_through_layers(grid):
    """A layer that turns and shifts all tokens keeps every colour; an image repeated has the same colours."""
    torch.manual_seed(0)
    first = torch.randn(4, grid.num_patches, 12) * torch.linspace(3, 0.3, 12)
    first[3] = first[0]
    layers = [first, *(first @ orthogonal(12, 12, seed) + torch.randn(12) for seed in range(6)), -first]
    colours = token_pca(of_patches(torch.stack(layers, dim=1), grid), grid)
    for layer in range(1, 8):
        torch.testing.assert_close(colours[:, layer], colours[:, 0], atol=1e-4, rtol=0)
    assert torch.equal(colours[3], colours[0])
    # Alone, an image would be stretched to its own ends.
    assert (colours[1].amax(dim=(0, 1, 2)) < 1).any() or (colours[1].amin(dim=(0, 1, 2)) > 0).any()


def test_what_does_not_vary_has_the_middle_colour():
    grid = GRIDS[1]
    line = torch.arange(2 * 14.0).view(2, 1, 14, 1) * torch.ones(5)
    colours = token_pca(of_patches(torch.cat([torch.full((2, 1, 14, 5), 3.7), line], dim=1), grid), grid)
    assert (colours[:, 0] == 0.5).all()
    assert (colours[:, 1, ..., 1:] == 0.5).all()
    assert colours[:, 1, ..., 0].flatten().diff().min() >= 0
    narrow = token_pca(of_patches(torch.randn(2, 1, 14, 2), grid), grid)
    assert (narrow[..., 2] == 0.5).all()


def test_norms_are_lengths():
    assert token_norms(torch.tensor([3.0, 0.0, 4.0]).view(1, 1, 1, 3)).item() == 5


@settings(max_examples=30, deadline=None)
@given(data=st.data(), which=st.integers(0, 1), seed=st.integers(0, 1000), scale=st.sampled_from([1e-3, 1.0, 1e4]))
def test_planted_outliers_are_found_all_of_them_and_nothing_else(data, which, seed, scale):
    grid, generator = GRIDS[which], torch.Generator().manual_seed(seed)
    norms = 10 + torch.randn(20, 3, grid.num_tokens, generator=generator)
    norms[:, 1] *= 5
    norms[..., : grid.num_prefix] = 500
    place = st.tuples(st.integers(0, 19), st.integers(0, 2), st.integers(grid.num_prefix, grid.num_tokens - 1))
    planted = data.draw(st.sets(place, max_size=20))
    for image, layer, token in planted:
        norms[image, layer, token] = (50 if layer == 1 else 10) * 2.5
    found = outlier_tokens(norms * scale, grid)
    assert found == [Outlier(*place) for place in sorted(planted)]
    mask = outlier_mask(norms * scale, grid)
    assert mask.sum() == len(planted)
    assert all(mask[place] for place in planted)


def test_the_limit_is_where_the_docstring_says():
    """On exact quantiles of a normal distribution: 5.3 standard deviations are none, 5.5 are one."""
    grid = TokenGrid((), 100, 100, 4)
    quantiles = torch.special.ndtri((torch.arange(10_000, dtype=torch.float64) + 0.5) / 10_000).float()
    for deviation, outliers in ((5.3, 0), (5.5, 1)):
        norms = (5 + quantiles).clone()
        norms[-1] = 5 + deviation
        assert outlier_mask(norms.view(1, 1, -1), grid).sum() == outliers
        assert outlier_mask(norms.view(1, 1, -1), grid, deviations=6.0).sum() == 1


def test_normal_lengths_have_no_outliers():
    norms = 30 + torch.randn(100, 12, 256, generator=torch.Generator().manual_seed(0))
    assert not outlier_mask(norms, TokenGrid((), 16, 16, 4)).any()


def test_strokes_on_blank_paper_are_no_outliers():
    """Three patches in four are blank: the median deviation is of them alone, and all others are far beyond it."""
    norms = torch.full((4, 2, 16), 10.0) + 0.01 * torch.randn(4, 2, 16, generator=torch.Generator().manual_seed(0))
    norms[:, :, :4] += 5.0
    assert outlier_tokens(norms, TokenGrid((), 4, 4, 4)) == []
    norms[0, 1, 2] = 25.0
    assert outlier_tokens(norms, TokenGrid((), 4, 4, 4)) == [Outlier(0, 1, 2)]


def test_rounding_makes_no_outliers():
    grid = TokenGrid((), 2, 4, 4)
    norms = torch.full((3, 2, 8), 7.0)
    norms[0, 0, 0] += 1e-6
    assert outlier_tokens(norms, grid) == []


@pytest.mark.parametrize("changes", [{}, {"image_size": (8, 20), "num_registers": 2, "readout": ("cls", "mean")}])
def test_feature_maps_of_a_vit_are_its_patch_tokens(changes, monkeypatch):
    monkeypatch.setattr(features, "_BATCH", 2)
    model = small_vit(**changes)
    images = torch.randn(5, 3, *model.config.size)
    capture = inspect(model, images)
    maps = feature_maps(model.train(), images)
    assert model.training
    assert list(maps) == ["embed", "blocks.0", "blocks.1", "blocks.2"]
    height, width = model.config.grid
    for depth, found in enumerate(maps.values()):
        assert found.shape == (5, 16, height, width)
        last = capture.tokens[:, depth, capture.grid.num_prefix + width * 1 + 2]
        torch.testing.assert_close(found[:, :, 1, 2], last, atol=1e-5, rtol=1e-5)
    assert feature_maps(model, torch.randn(1, 3, 4, 24))["embed"].shape == (1, 16, 1, 6)


def test_feature_maps_of_a_cnn_are_its_stages():
    model, images = small_cnn(), torch.randn(3, 3, 16, 16)
    maps = feature_maps(model, images)
    assert list(maps) == ["stages.0", "stages.1"]
    for found, expected in zip(maps.values(), inspect(model, images).features, strict=True):
        torch.testing.assert_close(found, expected)
    maps["stages.0"].mul_(2)
    with pytest.raises(InputError, match="no images"):
        feature_maps(model, images[:0])
    with pytest.raises(InputError, match="a model alone takes a float tensor"):
        feature_maps(model, torch.zeros(1, 3, 16, 16, dtype=torch.uint8))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"readout": ("mean",), "num_registers": 2, "image_size": (8, 16)},
        {"readout": ("cls", "dist"), "head": "tanh"},
        {"readout": ("cls", "mean"), "final_norm": "readout"},
    ],
)
def test_the_logit_lens_ends_in_the_logits(changes):
    model = small_vit(**changes)
    images = torch.randn(4, 3, *model.config.size)
    capture = inspect(model, images)
    lens = logit_lens(model.train(), capture.tokens)
    assert model.training
    assert lens.shape == (4, 4, 5)
    assert not lens.requires_grad
    torch.testing.assert_close(lens[:, -1], capture.logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(lens[:, 0], model.eval().classify(capture.tokens[:, 0]))
    assert (lens[:, 0] - lens[:, -1]).abs().max() > 1e-2


def test_where_blocks_add_nothing_the_lens_sees_the_logits_everywhere():
    model = small_vit()
    with torch.no_grad():
        for block in model.blocks:
            for layer in (block.attn.proj, block.mlp.fc2):
                layer.weight.zero_()
                layer.bias.zero_()
    capture = inspect(model, torch.randn(2, 3, 12, 12))
    lens = logit_lens(model, capture.tokens)
    torch.testing.assert_close(lens, capture.logits[:, None].expand_as(lens))


def test_a_cnn_has_no_lens():
    with pytest.raises(InputError, match="logit_lens needs a ViT"):
        logit_lens(small_cnn(), torch.zeros(1, 2, 3, 4))
