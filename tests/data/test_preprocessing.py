"""One object from any image to the model's input, and exact statistics."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from data_builders import encoded, noise
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vitrail.configs import DataConfig
from vitrail.data import preprocessing
from vitrail.data.dataset import ImageDataset
from vitrail.data.preprocessing import Preprocessing, measure, preprocessing_for
from vitrail.errors import InputError


def dataset(images):
    return ImageDataset(np.asarray(images, np.uint8), np.zeros(len(images), np.int64))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.sampled_from([1, 3]), st.integers(0, 99))
def test_statistics_are_those_of_numpy_over_the_chosen_images(count, channels, seed):
    images = np.random.default_rng(seed).integers(0, 256, (count + 3, channels, 4, 5), dtype=np.uint8)
    chosen = np.random.default_rng(seed).permutation(count + 3)[:count]
    mean, std = measure(dataset(images), chosen)
    np.testing.assert_allclose(mean, images[chosen].mean((0, 2, 3)) / 255, rtol=1e-12)
    np.testing.assert_allclose(std, images[chosen].std((0, 2, 3)) / 255, rtol=1e-9)


def test_statistics_do_not_depend_on_the_pieces(monkeypatch):
    images = dataset(noise(0, (50, 3, 8, 8)))
    whole = measure(images, np.arange(50))
    monkeypatch.setattr(preprocessing, "_CHUNK_BYTES", 1000)
    assert measure(images, np.arange(50)[::-1]) == whole


def test_constant_images_can_be_normalised():
    images = dataset(np.full((4, 1, 3, 3), 51))
    mean, std = measure(images, np.arange(4))
    made = preprocessing_for(DataConfig("x", image_size=3, mean=mean, std=std), 1)
    assert made.mean == (0.2,)
    assert made.std == (1 / 255,)
    assert torch.isfinite(made.normalize(torch.from_numpy(images.read([0])))).all()


def test_given_statistics_serve_all_channels_or_each():
    made = preprocessing_for(DataConfig("x", image_size=2, mean=(0.5,), std=(0.1, 0.2, 0.3)), 3)
    assert (made.mean, made.std) == ((0.5, 0.5, 0.5), (0.1, 0.2, 0.3))
    with pytest.raises(InputError, match="mean has 2 numbers, but the images have 3 channels"):
        preprocessing_for(DataConfig("x", image_size=2, mean=(0.5, 0.4), std=(0.1,)), 3)


def test_normalize_known_answer_and_inverse():
    made = Preprocessing((2, 2), 3, (0.0, 0.5, 1.0), (1.0, 0.5, 0.25))
    images = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    normal = made.normalize(images)
    assert normal.dtype == torch.float32
    assert normal[0, :, 0, 0].tolist() == [1.0, 1.0, 0.0]


def test_paths_pillow_images_and_arrays_are_read_alike(tmp_path):
    pixels = noise(5, (12, 20, 3))
    path = tmp_path / "a.png"
    path.write_bytes(encoded(pixels))
    made = Preprocessing((8, 8), 3, (0.5,) * 3, (0.5,) * 3)
    expected = made.read(path)
    assert expected.shape == (3, 8, 8)
    for image in (str(path), pixels, Image.fromarray(pixels), Image.open(path)):
        assert np.array_equal(made.read(image), expected)
    grey = Preprocessing((8, 8), 1, (0.5,), (0.5,))
    assert np.array_equal(grey.read(pixels[..., 0]), grey.read(pixels[..., :1]))


def test_reading_leaves_a_lazily_opened_jpeg_as_it_was(tmp_path):
    (tmp_path / "a.jpg").write_bytes(encoded(noise(0, (400, 400, 3)), "JPEG"))
    image = Image.open(tmp_path / "a.jpg")
    Preprocessing((8, 8), 3, (0.5,) * 3, (0.5,) * 3).read(image)
    assert image.size == (400, 400)


@pytest.mark.parametrize("wrong", [np.zeros((4, 4), np.float32), np.zeros((3, 8, 8), np.uint8), np.zeros(4, np.uint8)])
def test_other_arrays_are_refused(wrong):
    with pytest.raises(InputError, match="images are uint8"):
        Preprocessing((8, 8), 1, (0.5,), (0.5,)).read(wrong)


def test_json_round_trip():
    made = Preprocessing((4, 6), 3, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert Preprocessing.from_json(json.loads(json.dumps(dataclasses.asdict(made)))) == made
    with pytest.raises(InputError, match="incomplete"):
        Preprocessing.from_json({"image_size": [4, 6]})


@pytest.mark.parametrize("wrong", [{"mean": (0.1,)}, {"std": (0.0,) * 3}, {"mean": (float("nan"),) * 3}])
def test_impossible_statistics_are_refused(wrong):
    with pytest.raises(InputError):
        Preprocessing(**{"image_size": (4, 4), "channels": 3, "mean": (0.5,) * 3, "std": (0.5,) * 3} | wrong)
