"""What folders are understood to be: trees as people have them, and what each is read as."""

import re

import pytest

from vitrail.data.layout import TEST, TRAIN, VAL, arrange
from vitrail.data.tree import place_of

CLASSES = ("cat/1.jpg", "cat/2.jpg", "dog/1.jpg", "dog/2.jpg")


def under(*folders):
    return [f"{folder}/{name}" for folder in folders for name in CLASSES]


def in_each(*levels):
    names = [""]
    for level in levels:
        names = [f"{name}{one}" for name in names for one in level]
    return names


def test_words_of_splits_wherever_they_stand():
    for name in (
        "training_set",
        "train_images",
        "seg_train",
        "train_data",
        "Train",
        "TrainImages",
        "trainset",
        "train2",
    ):
        assert place_of(name) == TRAIN, name
    for name in ("valid", "Val-Images", "dev", "Eval", "validation_set"):
        assert place_of(name) == VAL, name
    for name in ("TEST", "test_set", "seg_test", "testing", "holdout", "my-test-images", "testData"):
        assert place_of(name) == TEST, name
    for name in ("cat", "trainers", "contest", "device", "evaluation1x", "train_val", "strain", "medieval", "2021"):
        assert place_of(name) is None, name


# What is read: its classes, how many images train (of those in splits) or are kept, and what is left out.
READ = {
    "flow_from_directory's test/unknown": ([*under("train"), "test/unknown/1.jpg"], "cat dog", 4, "test/"),
    "a test folder in itself": ([*under("train"), "test/test/1.jpg"], "cat dog", 4, "test/"),
    "Tiny ImageNet": (
        [
            "train/n01/images/1.JPEG",
            "train/n01/n01_boxes.txt",
            "train/n02/images/1.JPEG",
            "val/images/1.JPEG",
            "val/val_annotations.txt",
            "test/images/1.JPEG",
        ],
        "n01 n02",
        2,
        "test/, val/",
    ),
    "ImageNet, validation unsorted": (["train/n01/1.JPEG", "train/n02/2.JPEG", "val/1.JPEG"], "n01 n02", 2, "val/"),
    "GTSRB": (["Train/0/1.png", "Train/1/1.png", "Test/1.png", "Meta/0.png", "Test.csv"], "0 1", 2, "Meta/, Test/"),
    "Fruits-360": (
        [*in_each(("Training/", "Test/"), ("Apple/", "Kiwi/"), ("1.jpg",)), "test-multiple_fruits/1.jpg"],
        "Apple Kiwi",
        2,
        "test-multiple_fruits/",
    ),
    "ASL alphabet": (
        [*in_each(("asl_train/asl_train/",), "AB", ("/1.jpg",)), "asl_test/asl_test/A_test.jpg"],
        "A B",
        2,
        "asl_test/",
    ),
    "chest X-rays with a copy inside": (
        in_each(
            ("chest_xray/", "chest_xray/chest_xray/", "chest_xray/__MACOSX/"),
            ("train/", "val/", "test/"),
            ("NORMAL/", "PNEUMONIA/"),
            ("1.jpeg", "2.jpeg"),
        ),
        "NORMAL PNEUMONIA",
        4,
        "chest_xray/",
    ),
    "STL-10": ([*under("train", "test"), "unlabeled/1.jpg"], "cat dog", 4, "unlabeled/"),
    "an image beside the classes": ([*under("train_set", "test_set"), "train_set/all.jpg"], "cat dog", 4, "train_set/"),
    "thumbnails of a disk station": ([*CLASSES, "cat/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg"], "cat dog", 4, ""),
    "a disk of Windows": ([*CLASSES, "$RECYCLE.BIN/1.jpg", "System Volume Information/1.jpg"], "cat dog", 4, ""),
    "checkpoints of notebooks": (
        [*CLASSES, ".ipynb_checkpoints/1.jpg", "cat/.ipynb_checkpoints/1.jpg"],
        "cat dog",
        4,
        "",
    ),
    "lists of Windows": ([*CLASSES, "cat/Thumbs.db", "dog/desktop.ini"], "cat dog", 4, ""),
    "what exiftool and editors keep": (
        [*CLASSES, "cat/1.jpg_original", "cat/1.jpg~", "cat/1.jpg.bak"],
        "cat dog",
        4,
        "",
    ),
    "a class called train": (["bus/1.jpg", "car/1.jpg", "train/1.jpg"], "bus car train", 3, ""),
    "Food-101": (["images/apple/1.jpg", "images/pie/1.jpg", "meta/train.txt"], "apple pie", 2, ""),
    "textures with a folder of lists": (
        ["images/dots/1.jpg", "images/bands/1.jpg", "labels/1.txt"],
        "bands dots",
        2,
        "",
    ),
}


@pytest.mark.parametrize("name", READ)
def test_trees_that_are_read(name):
    names, classes, learned, left_out = READ[name]
    layout = arrange(names)
    assert not layout.problems
    assert layout.class_names == tuple(classes.split())
    assert sum(place == TRAIN for place in layout.split or [TRAIN] * len(layout.kept)) == learned
    said = [note.rpartition(": ")[2] for note in layout.notes if note.startswith("left out")]
    assert said == [left_out] * bool(left_out)


_MVTEC = ("train/good/1.png", "test/good/1.png", "test/broken/1.png", "ground_truth/broken/1.png")
_OF_OBJECTS = "this is a data set for detection or segmentation"
ASKED = {
    "versions": (under("color", "grayscale", "segmented"), r"color/ and grayscale/ hold the same folders \(cat, dog\)"),
    "domains": (under("amazon", "dslr", "webcam"), "amazon/ and dslr/ hold the same folders .*--layout class"),
    "birds and their outlines": (under("images", "segmentations"), "images/ and segmentations/ hold the same folders"),
    "one split, one folder without a word": (under("train", "unseen"), "train/ and unseen/ hold the same folders"),
    "a third folder": (
        under("Train", "my-eval", "unseen"),
        "Train/, my-eval/ may be splits or classes: .*--layout split-class",
    ),
    "words that contradict": (under("trainval", "test"), "hold the same folders"),
    "folds": (under("fold1", "fold2"), "fold1/ and fold2/ hold the same folders"),
    "splits in folds": (
        under(*in_each(("fold1/", "fold2/"), ("train", "val"))),
        "fold1/ and fold2/ hold the same folders",
    ),
    "versions in splits": (
        under("train/color", "train/gray", "test/color", "test/gray"),
        "class folders in class folders",
    ),
    "kinds of kinds": (
        [*under("animals"), "plants/oak/1.jpg", "plants/fern/1.jpg"],
        r"in class folders \(animals/ holds cat, dog\): .*--layout class that animals, plants are",
    ),
    "no classes": (["train/1.png", "test/2.png"], "test/, train/ hold images but no class folders"),
    "no classes, other words": (["train_img/1.png", "test_img/2.png"], "hold images but no class folders"),
    "no classes, one word": (["train_1/1.png", "train_2/2.png"], "hold images but no class folders"),
    "a flat folder beside train/": ([*under("train"), "pred/1.png"], "name train/ itself if these are the classes"),
    "a test of other classes": (list(_MVTEC), "train/ has no image of class broken"),
    "several of these": (in_each(("bottle/", "cable/"), _MVTEC), "bottle/ and cable/ hold the same"),
    "words of splits over other classes": (
        ["train_station/day/1.jpg", "train_station/night/1.jpg", "test_tube/full/1.jpg", "test_tube/empty/1.jpg"],
        "test_tube/, train_station/ may be splits or classes: say by --layout split-class, or --layout class",
    ),
    "a word of a split over moods of a class": (
        ["train_station/day/1.jpg", "train_station/night/1.jpg", "test_tube/1.jpg", "car/1.jpg"],
        "may be splits or classes",
    ),
    "a test beside images of the class": (
        [*CLASSES, "cat/test/3.jpg", "dog/test/3.jpg"],
        "cat/, dog/ hold test/ beside others: .*class-split.*--layout class",
    ),
    "plants with a copy inside": (
        in_each(("PlantVillage/", "PlantVillage/PlantVillage/"), ("ill/", "well/"), ("1.jpg",)),
        r"PlantVillage/ holds folders that lie beside it too \(ill, well\)",
    ),
    "X-rays in numbered parts": (
        in_each(("images_001/", "images_002/", "images_010/"), ("images/",), ("1.png",)),
        "are numbered parts by their names",
    ),
    "dermatoscopy in parts": (
        ["HAM_images_part_1/1.jpg", "HAM_images_part_2/2.jpg", "HAM_metadata.csv"],
        "are numbered parts by their names",
    ),
    "masks in every class": (
        in_each(("COVID/", "Normal/"), ("images/", "masks/"), ("1.png", "2.png")),
        "COVID/, Normal/ hold images/, masks/: leave only images of the class",
    ),
    "one class in two spellings": (
        ["train/Cat/1.jpg", "train/dog/1.jpg", "test/cat/1.jpg", "test/dog/1.jpg"],
        "train/ has no image of class cat",
    ),
    "Pascal VOC": (["JPEGImages/1.jpg", "Annotations/1.xml", "SegmentationClass/1.png"], _OF_OBJECTS),
    "YOLO by Roboflow": (in_each(("train/", "valid/"), ("images/1.jpg", "labels/1.txt")), _OF_OBJECTS),
    "YOLO by Ultralytics": (["images/train/1.jpg", "images/val/1.jpg", "labels/train/1.txt"], _OF_OBJECTS),
    "one folder with labels": (["images/1.jpg", "labels/1.txt"], _OF_OBJECTS),
    "COCO by Roboflow": (in_each(("train/", "valid/"), ("1.jpg", "_annotations.coco.json")), _OF_OBJECTS),
    "COCO 2017": (["train2017/1.jpg", "val2017/1.jpg", "annotations/instances_train2017.json"], _OF_OBJECTS),
    "images and masks": (["images/1.png", "masks/1.png"], _OF_OBJECTS),
    "images and masks in splits": (in_each(("train/", "test/"), ("images/1.png", "masks/1.png")), _OF_OBJECTS),
    "archives of classes": (["n01.tar", "n02.tar"], "no image in it that can be read, but 2 .tar files: unpack"),
    "tables of images": (["data/train-0000.parquet"], "but 1 .parquet file"),
}


@pytest.mark.parametrize("name", ASKED)
def test_trees_that_could_mean_several_things_are_asked_about(name):
    names, said = ASKED[name]
    problems = arrange(names).problems
    assert re.search(said, problems[0])
    assert not any("\n" in problem for problem in problems)


@pytest.mark.parametrize(
    ("names", "chosen", "classes", "splits"),
    [
        (under("fold1", "fold2"), "class", "fold1 fold2", None),
        (["train/1.png", "test/2.png"], "class", "test train", None),
        ([*under("animals"), "plants/oak/1.jpg", "plants/fern/1.jpg"], "class", "animals plants", None),
        ([*CLASSES, "cat/test/3.jpg", "dog/test/3.jpg"], "class", "cat dog", None),
        ([*CLASSES, "cat/test/3.jpg", "dog/test/3.jpg"], "class-split", "cat dog", [TRAIN] * 4 + [TEST] * 2),
        (in_each(("bottle/", "cable/"), _MVTEC), "class-split", "bottle cable", [TRAIN] * 2 + [TEST] * 4),
        (
            under("train/color", "train/gray", "test/color", "test/gray"),
            "split-class",
            "color gray",
            [TRAIN] * 8 + [TEST] * 8,
        ),
        (under("Train", "my-eval", "unseen"), "split-class", "cat dog", [TRAIN] * 4 + [TEST] * 4),
        (under("train_set", "my-val", "test_set"), "split-class", "cat dog", [TRAIN] * 4 + [VAL] * 4 + [TEST] * 4),
        (under("data/train"), "split-class", "cat dog", None),
    ],
)
def test_a_layout_that_is_chosen_is_read(names, chosen, classes, splits):
    layout = arrange(names, layout=chosen)
    assert not layout.problems
    assert layout.class_names == tuple(classes.split())
    assert (layout.split and sorted(layout.split)) == splits


@pytest.mark.parametrize(
    ("names", "chosen", "said"),
    [
        (list(CLASSES), "split-class", "there is no train/ folder with classes in it, only cat/, dog/"),
        (under("test", "val"), "split-class", "there is no train/ folder with classes in it, only test/, val/"),
        (
            in_each(("cat/", "dog/"), ("test/",), ("1.jpg",)),
            "class-split",
            "no train/ folder in the class folders, only test/",
        ),
    ],
)
def test_a_layout_that_does_not_fit_is_refused(names, chosen, said):
    assert said in arrange(names, layout=chosen).problems[0]
