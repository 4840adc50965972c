"""Position embeddings whose structure is known, and patches that change places."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import small_cnn, small_vit

from vitrail.classifier import Classifier
from vitrail.data.preprocessing import Preprocessing
from vitrail.errors import InputError
from vitrail.inspection import positions
from vitrail.inspection.positions import (
    accuracy_by_moved,
    patch_orders,
    position_effect,
    position_similarity,
    position_structure,
    reorder_patches,
    shuffle_patches,
)
from vitrail.models.stems import patchify

BLIND = {
    "mean": {"readout": ("mean",)},
    "class token": {"readout": ("cls",)},
    "registers": {"readout": ("cls", "mean"), "num_registers": 2, "image_size": (8, 20)},
}


def with_positions(table, **changes):
    """A model whose patches' position embeddings are `table` (height, width, dim)."""
    height, width, dim = table.shape
    model = small_vit(image_size=(4 * height, 4 * width), embed_dim=dim, **changes)
    with torch.no_grad():
        model.positions.embed[:, -height * width :] = table.reshape(1, -1, dim)
    return model


def rows_and_columns(height, width, dim=16):
    rows, columns = torch.eye(dim)[:height], torch.eye(dim)[height : height + width]
    return 3 * rows[:, None] + 3 * columns


@pytest.mark.parametrize("size", [(12, 12), (8, 20)])
@pytest.mark.parametrize("readout", [("cls", "dist"), ("mean",)])
def test_sincos_positions_are_symmetric_most_alike_to_themselves_and_a_grid(size, readout):
    similarity = position_similarity(small_vit(image_size=size, pos_embed="sincos", readout=readout))
    height, width = size[0] // 4, size[1] // 4
    assert similarity.shape == (height, width, height, width)
    flat = similarity.reshape(height * width, -1)
    torch.testing.assert_close(flat, flat.T)
    torch.testing.assert_close(flat.diagonal(), torch.ones(height * width))
    assert (flat.argmax(dim=1) == torch.arange(height * width)).all()
    # The similarity depends on the offset alone.
    torch.testing.assert_close(similarity[0, 0, 1, 1], similarity[1, 1, 0, 0])
    torch.testing.assert_close(similarity[0, 0, 0, 1], similarity[1, 1, 1, 2] if width > 2 else similarity[1, 0, 1, 1])
    assert position_structure(similarity).recovered > 0


@pytest.mark.parametrize(
    "changes", [{}, {"readout": ("mean",)}, {"num_registers": 2}, {"readout": ("cls", "dist")}, {"pos_prefix": False}]
)
def test_planted_rows_and_columns_are_recovered(changes):
    """One half for a shared row and one half for a shared column, whatever stands before the patches."""
    similarity = position_similarity(with_positions(rows_and_columns(2, 5), **changes))
    same_row, same_column = torch.eye(2)[:, None, :, None], torch.eye(5)[None, :, None, :]
    torch.testing.assert_close(similarity, (same_row + same_column) / 2)
    structure = position_structure(similarity)
    assert (structure.same_row, structure.same_column, structure.apart) == pytest.approx((0.5, 0.5, 0), abs=1e-6)
    assert structure.recovered == pytest.approx(0.5)


def test_rows_alone_are_no_grid_and_random_positions_are_none():
    rows = position_structure(position_similarity(with_positions(torch.eye(16)[:3, None].repeat(1, 3, 1))))
    assert (rows.same_row, rows.same_column, rows.recovered) == pytest.approx((1, 0, 0))
    torch.manual_seed(0)
    noise = position_structure(position_similarity(with_positions(torch.randn(6, 6, 256))))
    assert abs(noise.recovered) < 0.05


def test_models_without_position_embeddings_are_refused():
    for model in (small_vit(pos_embed="none"), small_cnn()):
        with pytest.raises(InputError, match="has no position embeddings"):
            position_similarity(model)


def numbered(batch, grid, patch):
    """Images (batch, 2, h, w) in which every pixel of a patch has the patch's number; the second channel is noise."""
    height, width = grid
    numbers = torch.arange(height * width).view(height, width)
    plane = numbers.repeat_interleave(patch, 0).repeat_interleave(patch, 1).float()
    return torch.stack([plane.expand(batch, -1, -1), torch.rand(batch, *plane.shape)], dim=1)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), height=st.integers(1, 5), width=st.integers(2, 5), patch=st.integers(1, 4))
def test_exactly_so_many_patches_are_moved_and_none_is_lost(data, height, width, patch):
    moved = data.draw(st.integers(0, height * width).filter(lambda n: n != 1))
    seed = data.draw(st.integers(0, 1000))
    images = numbered(3, (height, width), patch)
    swapped = shuffle_patches(images, patch, moved, seed)
    before, after = patchify(images, patch), patchify(swapped, patch)
    assert ((after[..., 0] != before[..., 0]).sum(dim=1) == moved).all()
    # Patches arrive whole, and each exactly once.
    order = after[..., 0].long()
    assert (order.sort(dim=1).values == torch.arange(height * width)).all()
    assert torch.equal(after, before.gather(1, order[..., None].expand_as(before)))
    assert torch.equal(swapped, shuffle_patches(images, patch, moved, seed))


def test_no_patch_moved_is_the_same_image_and_all_moved_is_a_shuffle():
    images = numbered(4, (3, 5), 2)
    assert torch.equal(shuffle_patches(images, 2, 0), images)
    assert torch.equal(shuffle_patches(images, 2, seed=3), shuffle_patches(images, 2, 15, seed=3))
    bytes_ = (images * 255).to(torch.uint8)
    assert shuffle_patches(bytes_, 2, 4).dtype == torch.uint8
    first, second = shuffle_patches(images, 2)[:2, 0]
    assert not torch.equal(first, second)


def test_a_smaller_number_moves_some_of_the_patches_of_a_larger():
    few, many = patch_orders(20, (4, 4), 5) != torch.arange(16), patch_orders(20, (4, 4), 9) != torch.arange(16)
    assert (few <= many).all()
    assert not torch.equal(patch_orders(20, (4, 4), 5), patch_orders(20, (4, 4), 5, seed=1))


def test_every_patch_is_as_likely_to_be_moved():
    often = (patch_orders(6000, (2, 3), 2) != torch.arange(6)).float().mean(dim=0)
    torch.testing.assert_close(often, torch.full((6,), 1 / 3), atol=0.03, rtol=0)


def test_numbers_and_sizes_that_do_not_fit_are_named():
    images = torch.zeros(1, 3, 12, 12)
    with pytest.raises(InputError, match="patches of 5 pixels do not tile an image of 12 x 12: use 4 or 6"):
        shuffle_patches(images, 5, 2)
    with pytest.raises(InputError, match="patches of 0 pixels"):
        shuffle_patches(images, 0)
    for number in (1, 10, -2):
        with pytest.raises(InputError, match=f"{number} of 9 patches cannot change places: move 0, or 2 to 9, or all"):
            shuffle_patches(images, 4, number)


@pytest.mark.parametrize("changes", BLIND.values(), ids=BLIND)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_without_position_embeddings_no_order_of_patches_changes_the_logits(changes, seed):
    """And with them it does."""
    blind, sighted = small_vit(pos_embed="none", **changes), small_vit(**changes)
    images = torch.randn(3, 3, *blind.config.size, generator=torch.Generator().manual_seed(seed))
    orders = torch.stack([torch.randperm(blind.config.num_patches) for _ in range(3)])
    moved = reorder_patches(images, 4, orders)
    with torch.no_grad():
        torch.testing.assert_close(blind(moved), blind(images), atol=1e-5, rtol=1e-5)
        assert (sighted(shuffle_patches(images, 4)) - sighted(images)).abs().max() > 1e-3


def test_the_effect_is_both_images_and_both_predictions(monkeypatch):
    monkeypatch.setattr(positions, "_BATCH", 2)
    model, images = small_vit(dropout=0.5).train(), torch.randn(5, 3, 12, 12)
    effect = position_effect(model, images, moved=4, seed=1)
    assert model.training
    assert torch.equal(effect.images, images)
    assert torch.equal(effect.altered, shuffle_patches(images, 4, 4, seed=1))
    model.eval()
    torch.testing.assert_close(effect.before, model(images).softmax(dim=1))
    torch.testing.assert_close(effect.after, model(effect.altered).softmax(dim=1))
    assert torch.equal(position_effect(model, images).altered, shuffle_patches(images, 4))
    unchanged = position_effect(model, images, moved=0)
    assert torch.equal(unchanged.altered, images)
    assert torch.equal(unchanged.after, unchanged.before)


def test_a_cnn_needs_a_patch_size_and_every_image_a_label():
    images = torch.randn(3, 3, 16, 16)
    with pytest.raises(InputError, match="a CNN has no patches"):
        position_effect(small_cnn(), images)
    effect = position_effect(small_cnn(), images, patch_size=8)
    assert torch.equal(effect.altered, shuffle_patches(images, 8))
    with pytest.raises(InputError, match="2 labels for 3 images"):
        accuracy_by_moved(small_cnn(), images, [0, 1], patch_size=8)
    with pytest.raises(InputError, match=r"shares of patches to move \(1.5,\)"):
        accuracy_by_moved(small_cnn(), images, [0, 1, 2], shares=[1.5], patch_size=8)
    with pytest.raises(InputError, match="the image is one patch"):
        accuracy_by_moved(small_cnn(), images, [0, 1, 2], patch_size=16)
    with pytest.raises(InputError, match="no images"):
        position_effect(small_cnn(), images[:0], patch_size=8)


def test_accuracy_by_share_of_patches_moved(monkeypatch):
    """Labels are what the model says of the whole images: right at share 0, and for a blind model always."""
    monkeypatch.setattr(positions, "_BATCH", 7)
    blind, sighted = small_vit(pos_embed="none"), small_vit(pos_init_std=2.0)
    pixels = torch.randint(0, 256, (40, 3, 12, 12), dtype=torch.uint8)
    half = (0.5, 0.5, 0.5)
    for model in (blind, sighted):
        classifier = Classifier(model, Preprocessing((12, 12), 3, half, half), tuple("abcde"))
        inputs = classifier.preprocessing.normalize(pixels)
        with torch.no_grad():
            model.head[0].bias -= model(inputs).mean(dim=0)
        labels = model(inputs).argmax(dim=1)
        assert len(labels.unique()) == 5
        found = accuracy_by_moved(classifier, pixels, labels.numpy(), shares=(0.0, 0.1, 0.5, 1.0), seed=5)
        assert found.moved.tolist() == [0, 2, 4, 9]
        assert found.correct.shape == (4, 40)
        assert found.accuracy[0] == 1
        if model is blind:
            assert (found.accuracy == 1).all()
        else:
            said = model(shuffle_patches(inputs, 4, 4, seed=5)).argmax(dim=1)
            assert torch.equal(found.correct[2], said == labels)
            assert found.accuracy[3] < 0.8
