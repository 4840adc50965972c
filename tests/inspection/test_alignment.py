"""Centred kernel alignment against its definition, its invariances, and values known from the distribution."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import small_cnn, small_vit

from vitrail.classifier import Classifier
from vitrail.data.preprocessing import Preprocessing
from vitrail.errors import InputError
from vitrail.inspection import alignment as module
from vitrail.inspection.alignment import centred_gram, cka, minibatch_cka

HALF = (0.5, 0.5, 0.5)


def features(images, dim, seed=0):
    return torch.randn(images, dim, generator=torch.Generator().manual_seed(seed))


def linear_cka(x, y):
    return float(minibatch_cka([(centred_gram(x)[None], centred_gram(y)[None])])[0, 0])


def hsic_1(x, y):
    """Song et al. (2012), as written: traces of Gram matrices without their diagonals."""
    k, n, ones = x @ x.T, len(x), np.ones(len(x))
    gram_l = y @ y.T
    np.fill_diagonal(k, 0)
    np.fill_diagonal(gram_l, 0)
    terms = (
        np.trace(k @ gram_l)
        + ones @ k @ ones * (ones @ gram_l @ ones) / ((n - 1) * (n - 2))
        - 2 / (n - 2) * (ones @ k @ gram_l @ ones)
    )
    return terms / (n * (n - 3))


def biased_cka(x, y):
    """Kornblith et al. (2019), from the feature side: |Y'X|^2 / (|X'X| |Y'Y|) of centred features."""
    x, y = x - x.mean(0), y - y.mean(0)
    return np.square(y.T @ x).sum() / np.sqrt(np.square(x.T @ x).sum() * np.square(y.T @ y).sum())


@settings(max_examples=25, deadline=None)
@given(n=st.integers(4, 20), p=st.integers(1, 30), q=st.integers(1, 30), seed=st.integers(0, 1000))
def test_centred_grams_multiply_to_the_unbiased_estimate(n, p, q, seed):
    x, y = features(n, p, seed) + 3, features(n, q, seed + 1) - 1
    ours = (centred_gram(x) * centred_gram(y)).sum() / (n * (n - 3))
    expected = hsic_1(x.double().numpy(), y.double().numpy())
    assert ours.item() == pytest.approx(expected, rel=1e-6, abs=1e-9 * p * q)
    torch.testing.assert_close(centred_gram(x).sum(dim=0), torch.zeros(n).double(), atol=1e-9, rtol=0)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(5, 40), p=st.integers(2, 30), seed=st.integers(0, 1000), scale=st.floats(1e-3, 1e3))
def test_the_same_features_turned_scaled_and_shifted_have_one(n, p, seed, scale):
    x = features(n, p, seed)
    turn = torch.linalg.qr(features(p, p, seed + 1).double())[0]
    turned = (scale * (x.double() @ turn) + 5).float()
    assert linear_cka(x, x) == pytest.approx(1, abs=1e-6)
    assert linear_cka(x, turned) == pytest.approx(1, abs=1e-4)
    y = features(n, 3, seed + 2) + x[:, :1]
    assert linear_cka(turned, y) == pytest.approx(linear_cka(x, y), abs=1e-4)


def test_features_that_have_nothing_to_do_with_each_other_have_about_none():
    """Where the biased estimate, of as many dimensions as images, is about one half."""
    x, y = features(400, 400), features(400, 400, seed=1)
    assert abs(linear_cka(x, y)) < 0.02
    assert biased_cka(x.numpy(), y.numpy()) > 0.4


def grams(x, sizes):
    return [centred_gram(part)[None] for part in x.split(sizes)]


def test_minibatches_are_the_quotient_of_summed_estimates():
    x, y = features(30, 8), features(30, 5, seed=1)
    y = y + x[:, :5]
    found = minibatch_cka(zip(grams(x, [9, 11, 10]), grams(y, [9, 11, 10]), strict=True)).item()
    parts = [
        (a.double().numpy(), b.double().numpy())
        for a, b in zip(x.split([9, 11, 10]), y.split([9, 11, 10]), strict=True)
    ]
    cross, own_x, own_y = (
        sum(hsic_1(*pair) for pair in pairs)
        for pairs in (parts, [(a, a) for a, _ in parts], [(b, b) for _, b in parts])
    )
    assert found == pytest.approx(cross / np.sqrt(own_x * own_y), abs=1e-6)


def test_minibatches_agree_with_all_images_at_once_and_with_the_truth():
    """Of one number each, linear CKA is the squared correlation: here 1 / 2."""
    first, second = features(6000, 1), features(6000, 1, seed=1)
    both = first + second
    sizes = [60] * 100
    estimate = minibatch_cka(zip(grams(first, sizes), grams(both, sizes), strict=True)).item()
    whole = linear_cka(first[:2000], both[:2000])
    assert estimate == pytest.approx(0.5, abs=0.03)
    assert whole == pytest.approx(biased_cka(first[:2000].numpy(), both[:2000].numpy()), abs=2e-3)
    assert whole == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("model", [small_vit(), small_cnn(image_size=12)], ids=["ViT", "CNN"])
def test_a_model_is_like_itself_in_minibatches_too(model):
    found = cka(model, model, torch.randn(23, 3, 12, 12), batch_size=8)
    torch.testing.assert_close(found.matrix.diagonal(), torch.ones(len(found.names_a)), atol=1e-6, rtol=0)
    torch.testing.assert_close(found.matrix, found.matrix.T)
    assert found.matrix.max() <= 1 + 1e-6
    assert (found.matrix - 1).abs().max() > 0.01


def everything(model, images):
    """What passes through the tap, flattened per image."""
    seen = {}

    def tap(name, tensor):
        seen[name] = tensor.detach().flatten(1)
        return tensor

    model(images, tap)
    return seen


def test_layers_of_a_vit_and_a_cnn_are_compared_flattened():
    vit, cnn = small_vit(dropout=0.5), small_cnn(image_size=12).train()
    images, before = torch.randn(10, 3, 12, 12), {name: value.clone() for name, value in cnn.state_dict().items()}
    found = cka(vit, cnn, images, batch_size=10)
    assert cnn.training
    assert not vit.training
    assert all(torch.equal(value, before[name]) for name, value in cnn.state_dict().items())
    assert found.names_a == ("embed", "blocks.0", "blocks.1", "blocks.2", "logits")
    assert found.names_b == ("stages.0", "stages.1", "logits")
    in_vit, in_cnn = everything(vit, images), everything(cnn.eval(), images)
    expected = [[linear_cka(in_vit[a], in_cnn[b]) for b in found.names_b] for a in found.names_a]
    torch.testing.assert_close(found.matrix, torch.tensor(expected), atol=1e-5, rtol=0)
    some = cka(vit, cnn, images, ["blocks.1.attn.z", "blocks.0"], ["logits"], batch_size=10)
    assert some.names_a == ("blocks.1.attn.z", "blocks.0")
    torch.testing.assert_close(some.matrix[1, 0], found.matrix[1, 2])
    with pytest.raises(InputError, match=r"no layer 'blocks\.7': it has embed, blocks\.0"):
        cka(vit, cnn, images, ["embed", "blocks.7"])


def test_each_classifier_prepares_the_images_in_its_own_way():
    pixels = torch.randint(0, 256, (9, 3, 16, 16), dtype=torch.uint8)
    vit = Classifier(small_vit(), Preprocessing((12, 12), 3, HALF, HALF), tuple("abcde"))
    cnn = Classifier(small_cnn(in_channels=1), Preprocessing((16, 16), 1, (0.1,), (0.3,)), tuple("abcde"))
    arrays = pixels.permute(0, 2, 3, 1).numpy()
    pair = (vit.prepare(arrays), cnn.prepare(arrays))
    assert pair[0].shape == (9, 3, 12, 12)
    assert pair[1].shape == (9, 1, 16, 16)
    expected = cka(vit, cnn, pair)
    assert torch.equal(cka(vit, cnn, pixels).matrix, expected.matrix)
    assert torch.equal(cka(vit, cnn, list(arrays)).matrix, expected.matrix)
    assert torch.equal(cka(vit.model, cnn.model, pair).matrix, expected.matrix)


@settings(max_examples=20, deadline=None)
@given(images=st.integers(4, 40), batch_size=st.integers(4, 12))
def test_every_image_is_in_one_batch_and_no_batch_is_small_or_large(images, batch_size):
    sizes = []

    def grams(model, part, names):
        sizes.append(len(part))
        return torch.eye(len(part)).double()[None]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_grams", grams)
        cka(small_cnn(), small_cnn(), torch.zeros(images, 3, 16, 16), ["logits"], ["logits"], batch_size)
    assert sum(sizes) == 2 * images
    assert all(min(batch_size, images) <= size < 2 * batch_size for size in sizes)


def test_a_layer_that_never_varies_has_no_similarity():
    model = small_vit()
    torch.nn.init.zeros_(model.head[0].weight)
    matrix = cka(model, model, torch.randn(6, 3, 12, 12)).matrix
    assert matrix[-1].isnan().all()
    assert not matrix[:-1, :-1].isnan().any()


def test_too_few_images_or_unlike_numbers_are_named():
    model = small_vit()
    with pytest.raises(InputError, match="CKA of 3 images in batches of 64: at least 4 of each"):
        cka(model, model, torch.randn(3, 3, 12, 12))
    with pytest.raises(InputError, match="batches of 2"):
        cka(model, model, torch.randn(8, 3, 12, 12), batch_size=2)
    with pytest.raises(InputError, match="8 images for the one model and 7 for the other"):
        cka(model, model, (torch.randn(8, 3, 12, 12), torch.randn(7, 3, 12, 12)))
