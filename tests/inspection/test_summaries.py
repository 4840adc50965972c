from dataclasses import fields

import numpy as np
import pytest
import torch
from planted import small_cnn, small_vit

import vitrail
from vitrail.classifier import Classifier
from vitrail.data.preprocessing import Preprocessing
from vitrail.errors import InputError
from vitrail.inspection.summaries import (
    ModelSummary,
    PairSummary,
    SampleSummary,
    read,
    store,
    summarize_model,
    summarize_pair,
    summarize_samples,
)


def classifier(model):
    size = model.config.size
    return Classifier(model, Preprocessing(size, 3, (0.5,) * 3, (0.25,) * 3), tuple("abcde"))


def pixels(model, count=12):
    return np.random.default_rng(0).integers(0, 256, (count, 3, *model.config.size), np.uint8)


def test_a_summary_of_a_vit_is_what_its_captures_show():
    model = small_vit(num_registers=1)
    images, labels = pixels(model, 40), np.arange(40) % 5
    view = summarize_model(classifier(model), images, labels)
    capture = vitrail.inspect(model, classifier(model).preprocessing.normalize(torch.from_numpy(images)))
    assert view.images == 40
    assert np.allclose(view.attention_distance, capture.attention_distance().numpy(), atol=1e-4)
    # Nine patches of 4 pixels in a square: the mean distance of two of them, by hand.
    between = [4 * np.hypot(a // 3 - b // 3, a % 3 - b % 3) for a in range(9) for b in range(9)]
    assert view.uniform_distance == pytest.approx(np.mean(between), abs=1e-4)
    assert view.most_entropy == pytest.approx(np.log(11))
    assert view.head_entropy.shape == view.class_dependence.shape == (3, 2)
    assert view.head_similarity.shape == (6, 6)
    assert len(view.head_names) == 6
    assert view.position_similarity.shape == (3, 3, 3, 3)
    assert view.moved[0] == 0
    assert view.moved_accuracy[0] == pytest.approx((capture.logits.argmax(dim=1).numpy() == labels).mean())


def test_without_labels_or_positions_a_summary_leaves_out_what_they_give():
    model = small_vit(pos_embed="none")
    view = summarize_model(classifier(model), pixels(model))
    assert view.position_similarity is view.class_dependence is view.moved is view.moved_accuracy is None
    assert view.attention_distance is not None


def test_a_summary_of_a_cnn_has_its_first_kernels_alone():
    model = small_cnn()
    view = summarize_model(classifier(model), pixels(model), np.arange(12) % 5)
    values = {f.name: getattr(view, f.name) for f in fields(view)}
    there = {name for name, value in values.items() if isinstance(value, np.ndarray) or value}
    assert there == {"images", "patch_filters", "explained"}
    assert view.patch_filters.shape[1:] == (3, 3, 3)


def test_samples_are_seen_as_a_capture_sees_them():
    model = small_vit(readout=("mean",))
    images = pixels(model, 3)
    view = summarize_samples(classifier(model), images)
    capture = vitrail.inspect(model, classifier(model).preprocessing.normalize(torch.from_numpy(images)))
    assert view.method == "relevancy"
    maps = vitrail.attribute(model, capture.images, "relevancy")
    assert np.allclose(view.maps, maps / maps.abs().amax(dim=(1, 2), keepdim=True), atol=1e-6)
    assert np.allclose(view.attention, capture.class_attention(-1).mean(dim=(1, 2)), atol=1e-6)
    assert np.allclose(view.first_attention, capture.class_attention()[0], atol=1e-6)
    assert np.allclose(view.rollout.reshape(3, -1), capture.rollout().mean(dim=1), atol=1e-6)
    assert summarize_samples(classifier(small_cnn()), pixels(small_cnn(), 3)).method == "grad-cam"


def test_a_model_beside_itself_is_like_itself():
    model, other = small_vit(image_size=16), small_cnn()
    images = pixels(model, 32)
    view = summarize_pair(("one", "two"), (classifier(model), classifier(model)), images, images[:4], np.arange(4))
    assert np.allclose(np.diag(view.cka), 1, atol=1e-5)
    assert np.array_equal(view.maps_a, view.maps_b)
    mixed = summarize_pair(("vit", "cnn"), (classifier(model), classifier(other)), images, images[:4], np.arange(4))
    assert mixed.methods == ("relevancy", "grad-cam")
    assert mixed.cka.shape == (len(mixed.layers_a), len(mixed.layers_b))
    assert mixed.occlusion_a.shape == mixed.maps_b.shape == (4, 16, 16)


def test_summaries_come_back_as_they_were_stored(tmp_path):
    model = small_vit()
    kept = summarize_model(classifier(model), pixels(model)), summarize_samples(classifier(model), pixels(model, 2))
    store(tmp_path / "views", *kept)
    for view in kept:
        found = read(tmp_path / "views", type(view))
        for field in fields(view):
            before, after = getattr(view, field.name), getattr(found, field.name)
            if isinstance(before, np.ndarray):
                assert after.dtype == before.dtype
                assert np.allclose(after, before, rtol=1e-3, atol=1e-4)
            else:
                assert after == before
    assert read(tmp_path / "views", PairSummary) is None
    assert read(tmp_path / "elsewhere", ModelSummary) is None


@pytest.mark.parametrize("cut", [0, 20, -5])
def test_a_damaged_file_is_named_with_its_cure(cut, tmp_path):
    path = tmp_path / "views"
    store(path, summarize_samples(classifier(small_cnn()), pixels(small_cnn(), 2)))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match=r"views is damaged .* 'vitrail resume' makes it again"):
        read(path, SampleSummary)
