"""What a folder tree says about its images."""

import re

import pytest

from vitrail.data.layout import TEST, TRAIN, VAL, arrange
from vitrail.text import listed, natural_key, plural, quoted, shown, slug

CLASSES = ("cat/1.jpg", "dog/1.jpg")


def under(*folders):
    return [f"{folder}/{name}" for folder in folders for name in CLASSES]


def test_class_folders_without_splits():
    layout = arrange(["dog/2.png", "cat/1.JPG", "dog/10.png"])
    assert layout.class_names == ("cat", "dog")
    assert layout.split is None
    assert layout.kept == (1, 0, 2)
    assert layout.labels == (0, 1, 1)
    assert not layout.problems


@pytest.mark.parametrize("train", ["train", "Training"])
@pytest.mark.parametrize("val", ["val", "valid", "VALIDATION"])
@pytest.mark.parametrize("test", ["test", "testing"])
def test_spellings_of_splits(train, val, test):
    layout = arrange(under(train, val, test))
    assert sorted(layout.split) == [TRAIN, TRAIN, VAL, VAL, TEST, TEST]
    assert layout.class_names == ("cat", "dog")


@pytest.mark.parametrize("wrapping", ["name/", "a/b/", "train/"])
def test_wrapping_folders_are_looked_through(wrapping):
    layout = arrange([wrapping + name for name in under("train", "test")])
    assert layout.class_names == ("cat", "dog")
    assert sorted(layout.split) == [TRAIN, TRAIN, TEST, TEST]
    assert arrange([wrapping + name for name in CLASSES]).class_names == ("cat", "dog")


def test_val_alone_is_the_test_split_and_said_to_be():
    layout = arrange(under("train", "val"))
    assert sorted(layout.split) == [TRAIN, TRAIN, TEST, TEST]
    assert "val/ is used as the held-out test" in layout.notes[0]


def test_a_class_may_be_called_train():
    layout = arrange(["train/1.jpg", "car/1.jpg", "car/x/2.jpg"])
    assert layout.class_names == ("car", "train")
    assert layout.split is None


def test_an_image_beside_what_wraps_the_splits_is_passed_over():
    layout = arrange(["preview.jpg", *(f"data/{name}" for name in under("train", "test"))])
    assert layout.class_names == ("cat", "dog")
    assert len(layout.kept) == 4
    assert layout.ignored == (("images outside train/, val/ and test/", 1),)


def test_a_test_folder_without_classes_is_passed_over():
    layout = arrange([*under("train"), "test/1.jpg"])
    assert layout.split is None
    assert layout.class_names == ("cat", "dog")
    assert layout.ignored == (("images outside any class folder", 1),)
    assert any("test/1.jpg" in note for note in layout.notes)


def test_nested_folders_belong_to_the_class():
    layout = arrange(["cat/a/1.jpg", "cat/b/c/2.jpg", "dog/1.jpg"])
    assert layout.labels == (0, 0, 1)


def test_hidden_and_foreign_files_are_counted():
    hidden = ["__MACOSX/cat/1.jpg", "cat/.DS_Store", ".git/x.png", "cat/._1.jpg"]
    layout = arrange([*CLASSES, *hidden, "readme.txt", "cat/Thumbs.db", "loose.png"])
    assert layout.kept == (0, 1)
    assert dict(layout.ignored) == {
        "hidden files": 4,
        "files that are not images": 2,
        "images outside any class folder": 1,
    }


def test_pictures_that_cannot_be_read_are_said_with_the_cure():
    layout = arrange([*CLASSES, "cat/IMG_1.HEIC", "dog/IMG_2.heic", "dog/raw.dng"])
    assert "not read: 1 .dng file, 2 .heic files; convert them to JPEG" in layout.notes
    assert not layout.problems
    [problem, *_] = arrange(["cat/1.heic", "dog/2.heic"]).problems
    assert problem == "there is no image in it that can be read: convert its 2 .heic files to JPEG"


def test_empty_class_folders_are_said():
    layout = arrange(under("train", "test"), ["train", "train/cat", "train/bird", "test/dog", "other/x", "train/.x"])
    assert any(note.endswith("left out: bird") for note in layout.notes)


def test_folders_beside_train_are_said():
    layout = arrange([*under("train", "test"), "extra/cat/1.jpg"])
    assert "ignored beside train/ and the like: extra" in layout.notes
    assert len(layout.kept) == 4


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "no image"),
        (["readme.txt"], "no image"),
        (["1.jpg", "2.jpg"], "no class folder"),
        (["cat/1.jpg", "cat/2.jpg"], r"only one class \(cat\)"),
        ([*under("train", "test"), "test/bird/1.jpg"], "train/ has no image of class bird, which val/ or test/ has"),
        (under("val", "test"), "no train/ folder"),
    ],
)
def test_trees_that_cannot_be_used(names, said):
    problems = arrange(names).problems
    assert any(re.search(said, problem) for problem in problems)
    assert not any("\n" in problem for problem in problems)


def test_a_class_that_is_not_tested_is_fine():
    layout = arrange([*under("train", "test"), "train/bird/1.jpg"])
    assert layout.class_names == ("bird", "cat", "dog")
    assert not layout.problems


def test_classes_sort_as_people_count():
    assert sorted(["10", "9", "1", "a2", "a10", "²"], key=natural_key) == ["1", "9", "10", "a2", "a10", "²"]


def test_names_are_shown_in_one_line():
    assert shown("a\nb\x1b[31m\udcff") == "a\\nb\\x1b[31m\\udcff"
    assert shown("<b>'été'</b>") == "<b>'été'</b>"
    assert listed("abcde") == "a, b, c and 2 more"
    assert slug("My Photos (2).v1") == "my-photos-2-v1"
    assert slug("写真") == "images"


@pytest.mark.parametrize(
    ("count", "words", "said"),
    [
        (0, ("image",), "0 images"),
        (1, ("image",), "1 image"),
        (1200, ("image",), "1,200 images"),
        (1, ("class", "classes"), "1 class"),
        (3, ("class", "classes"), "3 classes"),
    ],
)
def test_a_count_with_its_noun(count, words, said):
    assert plural(count, *words) == said


def test_a_path_as_a_shell_takes_it():
    assert quoted("runs/a b") == "'runs/a b'"
