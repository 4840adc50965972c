"""NumPy's arrays of images and labels, as MedMNIST and Keras call them."""

import re

import numpy as np
import pytest
from data_builders import write_tree

from vitrail.configs import DataConfig
from vitrail.data import npz
from vitrail.data.doctor import examine
from vitrail.data.layout import TEST, TRAIN, VAL
from vitrail.data.sources import open_source
from vitrail.data.splits import split
from vitrail.errors import InputError

SHAPES = {"grey": (5, 4), "one channel": (5, 4, 1), "rgb": (5, 4, 3)}


def arrays(
    names=("train_images", "train_labels", "val_images", "val_labels", "test_images", "test_labels"), shape=(5, 4)
):
    """Images and labels by turns, of 12, 6 and 6."""
    rng, made = np.random.default_rng(0), {}
    for k in range(0, len(names), 2):
        count = 12 if k == 0 else 6
        made[names[k]] = rng.integers(0, 256, (count, *shape), dtype=np.uint8)
        made[names[k + 1]] = (np.arange(count) % 3).reshape(-1, 1).astype(np.uint8)
    return made


def saved(path, save=np.savez_compressed, **content):
    save(path, **content)
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_medmnist(tmp_path, data_dir, monkeypatch, shape, save):
    monkeypatch.setattr(npz, "_BLOCK_BYTES", 50)
    content = arrays(shape=shape)
    source = open_source(saved(tmp_path / "My Set.npz", save, **content), data_dir)
    assert (source.name, source.kind, source.native_size) == ("my-set", "NumPy arrays", (5, 4))
    assert source.class_names == ("0", "1", "2")
    assert source.split.tolist() == [TRAIN] * 12 + [VAL] * 6 + [TEST] * 6
    expected = np.concatenate([content[f"{part}_images"] for part in ("train", "val", "test")]).reshape(24, 5, 4, -1)
    assert np.array_equal(source.load((5, 4)).images, expected.transpose(0, 3, 1, 2))
    assert source.labels.tolist() == [0, 1, 2] * 8
    assert examine(tmp_path / "My Set.npz", data_dir).ok


def test_keras(tmp_path, data_dir):
    content = arrays(("x_train", "y_train", "x_test", "y_test"))
    content["y_train"] = 3 + 2 * content["y_train"].ravel().astype(np.int64)
    content["y_test"] = 3 + 2 * content["y_test"].ravel().astype(np.int64)
    source = open_source(saved(tmp_path / "x.npz", **content), data_dir)
    assert source.class_names == ("3", "5", "7")
    assert source.split.tolist() == [TRAIN] * 12 + [TEST] * 6
    folder = write_tree(tmp_path / "folder", {})
    folder.mkdir()
    for name, array in content.items():
        np.save(folder / f"{name}.npy", array)
    assert open_source(folder, data_dir).content == source.content


def test_without_a_test_what_validates_is_held_out_and_without_either_a_split_is_drawn(tmp_path, data_dir):
    content = arrays()
    del content["test_images"], content["test_labels"]
    source = open_source(saved(tmp_path / "x.npz", **content), data_dir)
    assert source.split.tolist() == [TRAIN] * 12 + [TEST] * 6
    assert source.notes == ("val/ is used as the held-out test split; validation images are drawn from train/",)
    del content["val_images"], content["val_labels"]
    source = open_source(saved(tmp_path / "y.npz", **content), data_dir)
    assert source.split is None
    assert len(split(source.labels, source.split, DataConfig("x"), source.class_names).test) > 0


def test_large_ones_are_mapped_from_the_data_folder_and_found_again(tmp_path, data_dir, monkeypatch):
    path = saved(tmp_path / "x.npz", **arrays(shape=(5, 4, 3)))
    before = open_source(path, data_dir)
    monkeypatch.setattr(npz, "LARGE", 100)
    monkeypatch.setattr(npz, "_BLOCK_BYTES", 100)
    source = open_source(path, data_dir)
    images = source.load((5, 4)).images
    assert isinstance(images, np.memmap)
    assert np.array_equal(images, before.load((5, 4)).images)
    assert source.content == before.content
    monkeypatch.setattr(npz, "_blocks", None)
    assert open_source(path, data_dir).content == before.content


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("it was unpickled",))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"train_labels": np.zeros((12, 14), np.uint8)},
            r"train_labels\.npy is uint8 of shape \(12, 14\): several labels",
        ),
        ({"train_labels": np.zeros(12, np.float32)}, r"train_labels\.npy is float32 .* expected whole numbers"),
        ({"train_labels": np.zeros(11, np.uint8)}, r"train_images\.npy has 12 images but train_labels\.npy 11 labels"),
        ({"train_labels": None}, "there are no labels of the train images"),
        ({"train_images": np.zeros((12, 5, 4), np.float32)}, r"train_images\.npy is float32 .* expected uint8"),
        ({"train_images": np.zeros((12, 3, 5, 4), np.uint8)}, r"of shape \(12, 3, 5, 4\): expected uint8"),
        ({"train_images": np.zeros((12, 5), np.uint8)}, r"of shape \(12, 5\): expected uint8"),
        ({"train_images": np.zeros((0, 5, 4), np.uint8)}, r"of shape \(0, 5, 4\)"),
        ({"train_images": np.zeros((12, 5, 5), np.uint8)}, "train and val and test images differ in size"),
        ({"train_images": np.asfortranarray(np.ones((12, 5, 4), np.uint8))}, "in Fortran's order"),
        ({"train_labels": np.array([Trap()] * 12, object)}, "holds Python objects, which are not opened"),
        (
            {name: np.zeros((12 if "train" in name else 6, 1), np.uint8) for name in arrays() if "labels" in name},
            "one class",
        ),
        ({"train_images": None}, "no image in it that can be read, but 5 .npy files"),
    ],
)
def test_what_cannot_be_used_is_named_in_one_line(tmp_path, data_dir, changed, said):
    content = {name: array for name, array in (arrays() | changed).items() if array is not None}
    with pytest.raises(InputError) as caught:
        open_source(saved(tmp_path / "x.npz", np.savez, **content), data_dir)
    assert re.search(said, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("at", [0.2, 0.5, 0.95])
def test_a_damaged_file_is_named(tmp_path, data_dir, at):
    path = saved(tmp_path / "x.npz", np.savez, **arrays(shape=(32, 32)))
    data = bytearray(path.read_bytes())
    start = int(at * len(data))
    data[start : start + 40] = b"\xa5" * 40
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"cannot be read|corrupt"):
        open_source(path, data_dir)


def test_an_npz_in_a_folder_is_pointed_at(tmp_path, data_dir):
    (tmp_path / "sets").mkdir()
    saved(tmp_path / "sets/x.npz", **arrays())
    with pytest.raises(InputError, match=r"but 1 \.npz file: unpack the archives, or name one"):
        open_source(tmp_path / "sets", data_dir)
