"""What a folder tree says about its images."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    assert any("val/ is used as the held-out test" in note for note in layout.notes)


def test_a_class_may_be_called_train():
    layout = arrange(["train/1.jpg", "car/1.jpg", "car/x/2.jpg"])
    assert layout.class_names == ("car", "train")
    assert layout.split is None


def test_an_image_beside_what_wraps_the_splits_is_passed_over():
    layout = arrange(["preview.jpg", *(f"data/{name}" for name in under("train", "test"))])
    assert layout.class_names == ("cat", "dog")
    assert len(layout.kept) == 4
    assert layout.ignored == (("images outside the class folders", 1),)


def test_a_test_folder_without_classes_is_passed_over():
    layout = arrange([*under("train"), "test/1.jpg"])
    assert layout.split is None
    assert layout.class_names == ("cat", "dog")
    assert layout.ignored == (("images outside the class folders", 1),)
    assert "left out 1 image outside the class folders, for vitrail predict: test/" in layout.notes


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
        "images outside the class folders": 1,
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
    assert "left out 1 image outside the class folders, for vitrail predict: extra/" in layout.notes
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


@pytest.mark.parametrize(
    ("train", "other", "held_out"),
    [
        ("training_set", "test_set", "test"),
        ("Train", "Eval", "validation"),
        ("train", "dev", "validation"),
        ("train_images", "test_images", "test"),
        ("train_data", "val_data", "validation"),
        ("seg_train/seg_train", "seg_test/seg_test", "test"),
        ("train/train", "test/test", "test"),
        ("train/images", "test/images", "test"),
        ("train", "holdout", "test"),
        ("TrainingData", "TestData", "test"),
    ],
)
@pytest.mark.parametrize("wrapping", ["", "archive/data/"])
def test_splits_in_other_words(train, other, held_out, wrapping):
    layout = arrange([wrapping + name for name in under(train, other)])
    assert layout.class_names == ("cat", "dog")
    assert sorted(layout.split) == [TRAIN, TRAIN, TEST, TEST]
    note = f"read as: training images from {train}/, {held_out} images from {other}/; classes cat, dog"
    assert layout.notes[0] == note
    assert not layout.problems


def test_three_splits_in_other_words():
    layout = arrange(under("my_train", "my_val", "my_test"))
    assert sorted(layout.split) == [TRAIN, TRAIN, VAL, VAL, TEST, TEST]


_NAMES = st.text("abcxyzäß0123", min_size=1, max_size=5)
_AFFIX = st.sampled_from(["", "my_", "set1-", "A "])


@given(
    st.sets(_NAMES, min_size=2, max_size=4),
    st.sampled_from(["train", "Training", "TRAIN"]),
    st.sampled_from(["test", "Testing", "HOLDOUT"]),
    _AFFIX,
    st.sampled_from(["", "_set", "-images", " data"]),
    st.booleans(),
)
def test_a_split_in_any_words_is_that_of_train_and_test(classes, train, test, before, after, doubled):
    folders = [before + train + after, before + test + after]
    tops = [f"{folder}/{folder}" if doubled else folder for folder in folders]
    layout = arrange([f"{top}/{name}/1.png" for top in tops for name in sorted(classes)])
    plain = arrange([f"{top}/{name}/1.png" for top in ("train", "test") for name in sorted(classes)])
    assert not layout.problems
    assert layout.class_names == plain.class_names
    pairs = zip(layout.labels, layout.split, strict=True)
    assert sorted(pairs) == sorted(zip(plain.labels, plain.split, strict=True))


@given(st.sets(_NAMES, min_size=2, max_size=4), st.sampled_from(["train", "test", "train_station", "Eval"]))
def test_one_flat_folder_with_the_word_of_a_split_is_a_class(others, word):
    layout = arrange([f"{name}/1.png" for name in {*others, word}])
    assert set(layout.class_names) == {*others, word}
    assert layout.split is None
    assert not layout.notes
    assert not layout.problems


@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("cat_train", "cat_test"), ("Training", "Holdout")])
def test_a_split_below_the_class(train, test):
    layout = arrange([f"{name}/{of}/{at}.jpg" for name in ("cat", "dog") for of in (train, test) for at in range(2)])
    assert layout.class_names == ("cat", "dog")
    assert sorted(zip(layout.labels, layout.split, strict=True)) == sorted(
        (label, place) for label in (0, 1) for place in (TRAIN, TEST) for _ in range(2)
    )
    note = f"read as: training images from */{train}/, test images from */{test}/; classes cat, dog"
    assert layout.notes == (note,)


@pytest.mark.parametrize("flat", ["seg_pred", "seg_pred_2"])
def test_flat_folders_beside_splits_are_left_for_predict(flat):
    layout = arrange([*under("seg_train/seg_train", "seg_test/seg_test"), f"{flat}/1.jpg", f"{flat}/2.jpg"])
    assert len(layout.kept) == 4
    assert f"left out 2 images outside the class folders, for vitrail predict: {flat}/" in layout.notes
    assert layout.ignored == (("images outside the class folders", 2),)


def test_a_flat_test_folder_in_other_words_is_left_for_predict():
    layout = arrange([*under("train_images"), "test_images/1.png"])
    assert layout.class_names == ("cat", "dog")
    assert layout.split is None
    assert "left out 1 image outside the class folders, for vitrail predict: test_images/" in layout.notes


def test_as_imagenet_is_unpacked_without_its_validation_labels():
    layout = arrange(["train/n01440764/1.JPEG", "train/n01443537/2.JPEG", "val/1.JPEG", "test/1.JPEG"])
    assert layout.class_names == ("n01440764", "n01443537")
    assert layout.split is None
    assert layout.ignored == (("images outside the class folders", 2),)


def test_one_folder_in_every_class_wraps_its_images():
    layout = arrange([f"{name}/images/1.JPEG" for name in ("n01443537", "n01629819")])
    assert layout.class_names == ("n01443537", "n01629819")
    assert not layout.problems


def test_numbered_classes_keep_their_order():
    names = [str(number) for number in range(1, 13)]
    assert arrange([f"{name}/1.png" for name in names]).class_names == tuple(names)


def test_folders_of_some_classes_are_said_to_belong_to_these():
    layout = arrange(["cat/a/1.jpg", "cat/b/1.jpg", "dog/1.jpg"])
    assert layout.notes == ("images in the folders of cat/ belong to the class above them",)


def test_one_name_in_two_forms_of_unicode_is_one_class():
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    assert arrange([f"{composed}/1.jpg", f"{decomposed}/2.jpg", "tea/1.jpg"]).class_names == (composed, "tea")
    layout = arrange([f"training_set/{composed}/1.jpg", "training_set/tea/1.jpg", f"test_set/{decomposed}/1.jpg"])
    assert layout.class_names == (composed, "tea")
    assert not layout.problems
