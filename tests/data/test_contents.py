"""Contents decide where endings do not: in folders, archives and for prediction; and what is no image is named."""

import pickle
import re

import pytest
from data_builders import encoded, noise, small_files, write_tar, write_tree, write_zip
from PIL import Image

from vitrail.data import survey
from vitrail.data.contents import FIRST_BYTES, IMAGES, is_image, kind_of
from vitrail.data.doctor import examine
from vitrail.data.pictures import pictures
from vitrail.data.sources import open_source
from vitrail.errors import InputError

PILLOW = {"JPEG": "JPEG", "PNG": "PNG", "GIF": "GIF", "BMP": "BMP", "TIFF": "TIFF", "WEBP": "WebP", "AVIF": "AVIF"}
PILLOW |= {"JPEG2000": "JPEG 2000", "PPM": "PPM"}


@pytest.mark.parametrize("kind", PILLOW)
def test_kinds_are_those_that_pillow_writes(kind):
    Image.init()
    if kind not in Image.SAVE:
        pytest.skip(f"this Pillow writes no {kind}")
    assert kind_of(encoded(noise(0, (9, 7, 3)), kind)[:FIRST_BYTES]) == PILLOW[kind]
    assert PILLOW[kind] in IMAGES


def test_texts_are_no_images():
    for start in (
        b"",
        b"P1 and P2",
        b"PyTorch",
        b"BM is a company, and this is a long text of it",
        b"<svg>",
        b"II think",
    ):
        assert kind_of(start) == ""
    assert is_image("a.PNG") is True
    assert [is_image(name) for name in ("a.txt", "a.heic", "a.jpg_original", "a.jpg~", "x/a.jpg.part")] == [False] * 5
    assert [is_image(name) for name in ("img1", "a.jpg_large", "a.jpg?size=2", "1.2.840.113", "a.jpg.1")] == [None] * 5


@pytest.mark.parametrize("kind", ["folder", "x.zip", "x.tar", "x.tar.gz"])
@pytest.mark.parametrize("ending", ["", ".jpg_large", ".1", ".image"])
def test_images_without_an_images_ending_are_images(tmp_path, data_dir, kind, ending):
    content = {name.removesuffix(".png") + ending: data for name, data in small_files().items()}
    content |= {"cat/LICENSE": b"text", "dog/README": b"", "cat/notes.txt": encoded(noise(5))}
    if kind == "folder":
        path = write_tree(tmp_path / kind, content)
    elif kind == "x.zip":
        path = write_zip(tmp_path / kind, content)
    else:
        path = write_tar(tmp_path / kind, content, "w:gz" if kind.endswith("gz") else "w")
    source = open_source(path, data_dir)
    assert source.class_names == ("cat", "dog")
    assert len(source.load(6).images) == 8
    assert source.notes == ("8 files without an image's ending: taken for what is in them (PNG)",)
    assert dict(examine(path, data_dir).ignored) == {"files that are not images": 3}


def test_files_are_opened_only_where_the_ending_does_not_tell(tmp_path, data_dir, monkeypatch):
    path = write_tree(tmp_path / "x", small_files() | {"cat/a.txt": b"", "cat/b.npz": b"", "cat/plain": b"text"})
    seen = []
    monkeypatch.setattr(survey, "kind_of", lambda start: seen.append(start) or "")
    open_source(path, data_dir)
    assert seen == [b"text"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            {f"cifar-10-batches-py/{name}": pickle.dumps({b"data": 1}) for name in ("data_batch_1", "batches.meta")},
            r"2 files \(Python pickle\): these are CIFAR's Python pickles, which are not opened: take the binary archive",
        ),
        ({"cat/1": b"\0\0\0\x18ftypheic", "dog/2": b"\0\0\0\x18ftypheic"}, r"but 2 files \(HEIC\)"),
        ({"a/1.dcm": b"\0" * 200, "b/notes.txt": b""}, r"but 1 \.dcm file, 1 \.txt file"),
        ({"cat/1.jpg": b"<!DOCTYPE html><p>Not found"}, "cat/1.jpg .not an image that can be read, but HTML"),
        ({"cat/1.jpg": b"version https://git-lfs.github.com/spec/v1\noid"}, "Git LFS: 'git lfs pull' fetches"),
    ],
)
def test_what_is_there_is_named_where_nothing_can_be_used(tmp_path, data_dir, content, said):
    if any(name.endswith(".jpg") for name in content):
        content = {**content, "dog/1.png": encoded(noise(1))}
    with pytest.raises(InputError) as caught:
        open_source(write_tree(tmp_path / "x", content), data_dir)
    assert re.search(said, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)


def test_prediction_takes_the_same_for_images(tmp_path):
    content = {"a/1": encoded(noise(0)), "a/2.JPG": b"", "b.jpg_large": encoded(noise(1), "JPEG")}
    others = {"c": b"text", "d.txt": encoded(noise(2)), "@eaDir/1.jpg": encoded(noise(3)), ".x/1.jpg": b""}
    found, passed_over = pictures([write_tree(tmp_path, content | others)])
    assert [str(path.relative_to(tmp_path)) for path in found] == ["a/1", "a/2.JPG", "b.jpg_large"]
    assert passed_over == 2
