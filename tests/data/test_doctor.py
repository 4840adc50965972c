"""The doctor finds every planted problem in one pass."""

import os

import numpy as np
import pytest
from data_builders import (
    cifar_files,
    encoded,
    huge_png,
    idx_files,
    noise,
    small_files,
    split_files,
    write_tree,
    write_zip,
)
from PIL import Image

from vitrail.cli import run
from vitrail.data.doctor import examine
from vitrail.errors import InputError


def test_healthy_data(tmp_path, data_dir):
    diagnosis = examine(write_tree(tmp_path / "x", split_files(train=12, test=3)), data_dir)
    assert diagnosis.ok
    assert (diagnosis.name, diagnosis.kind, diagnosis.channels) == ("x", "folder of images", 3)
    assert diagnosis.counts == {"train": (12, 12), "test": (3, 3)}
    assert diagnosis.sizes == (((6, 6), 30),)
    assert diagnosis.modes == (("RGB", 30),)
    assert not diagnosis.warnings
    assert diagnosis.to_lines()[-1] == "ready to train"


def planted():
    same = encoded(noise(1234))
    return split_files(train=30, test=4) | {
        "train/cat/copy.png": same,
        "train/cat/copy again.png": same,
        "test/cat/leak.png": same,
        "train/dog/contradiction.png": encoded(noise([0, 0, 0])),
        "train/dog/broken.png": encoded(noise(0))[:50],
        "train/dog/<i>'broken'\n.png": b"",
        "train/cat/huge.png": huge_png(),
        "train/lonely/1.png": encoded(noise(7, (9, 5))),
        "test/stranger/1.png": encoded(noise(8)),
        "train/cat/notes.txt": b"",
        ".hidden/x.png": b"",
    }


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_all_planted_problems_are_found_at_once(tmp_path, data_dir, kind):
    content = planted()
    if kind == "zip":
        path = write_zip(tmp_path / "x.zip", content | {"../out.png": b""})
    else:
        path = write_tree(tmp_path / "x", content)
    diagnosis = examine(path, data_dir)
    assert not diagnosis.ok
    problems = "\n".join(diagnosis.problems)
    for expected in (
        "train/ has no image of class stranger, which val/ or test/ has",
        "train/cat/huge.png: 2,500 megapixels",
        "2 of 77 images cannot be read",
        "class lonely has 1 training image: at least 2",
        *(["outside itself (../out.png)"] if kind == "zip" else []),
    ):
        assert expected in problems
    assert dict(diagnosis.unreadable).keys() == {"train/dog/broken.png", "train/dog/<i>'broken'\\n.png"}
    assert dict(diagnosis.ignored) == {"files that are not images": 1, "hidden files": 1}
    assert [set(group) for group in diagnosis.duplicates_across] == [
        {"train/cat/copy.png", "train/cat/copy again.png", "test/cat/leak.png"}
    ]
    assert [set(group) for group in diagnosis.contradictions] == [{"train/cat/0.png", "train/dog/contradiction.png"}]
    assert diagnosis.smallest == (6, 6)
    assert diagnosis.largest == (9, 5)
    assert dict(diagnosis.modes) == {"RGB": 73, "L": 1}
    assert any("classes are uneven" in warning for warning in diagnosis.warnings)
    assert any("no test image of class lonely" in warning for warning in diagnosis.warnings)
    assert all("\n" not in line and line.isprintable() for line in diagnosis.to_lines())
    assert diagnosis.to_lines()[-1].startswith("not ready to train")


def test_samples_are_up_to_ten_of_each_class_at_one_size(tmp_path, data_dir):
    content = small_files(per_class=23, shape=(90, 70, 3)) | {"dog/small.png": encoded(noise(0, (5, 5, 3)))}
    content |= {f"few/{k}.png": encoded(Image.new("RGB", (8, 8), "red")) for k in range(2)}
    samples = dict(examine(write_tree(tmp_path / "x", content), data_dir).samples)
    assert {name: images.shape for name, images in samples.items()} == {
        "cat": (10, 3, 64, 64),
        "dog": (10, 3, 64, 64),
        "few": (2, 3, 64, 64),
    }
    assert all(images.dtype == np.uint8 for images in samples.values())
    assert samples["few"][0, :, 0, 0].tolist() == [255, 0, 0]


def test_duplicates_without_splits_are_a_warning(tmp_path, data_dir):
    content = small_files(per_class=12) | {"cat/copy.png": encoded(noise([0, 0, 3]))}
    diagnosis = examine(write_tree(tmp_path / "x", content), data_dir)
    assert diagnosis.ok
    assert [set(group) for group in diagnosis.duplicates] == [{"cat/3.png", "cat/copy.png"}]
    assert diagnosis.notes == ("1 copy is left out",)


def test_idx_files_and_cifar_batches(tmp_path, data_dir):
    content, _ = idx_files()
    diagnosis = examine(write_tree(tmp_path / "idx", content), data_dir)
    assert (diagnosis.ok, diagnosis.kind) == (True, "IDX files")
    assert diagnosis.counts == {"train": (7, 7, 6), "test": (4, 3, 3)}
    assert diagnosis.samples[0][1].shape == (10, 1, 5, 4)
    content, _, _ = cifar_files()
    diagnosis = examine(write_tree(tmp_path / "cifar", content), data_dir)
    assert diagnosis.counts == {"train": (10,) * 10, "test": (2,) * 10}


def test_digits(data_dir):
    diagnosis = examine("digits", data_dir)
    assert diagnosis.ok
    assert sum(diagnosis.counts["all"]) == 1797
    assert diagnosis.samples[3][1].shape == (10, 1, 8, 8)


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz"])
def test_a_corrupt_archive_is_a_diagnosis(tmp_path, data_dir, name):
    (tmp_path / name).write_bytes(b"\x1f\x8b" + os.urandom(100))
    diagnosis = examine(tmp_path / name, data_dir)
    assert not diagnosis.ok
    assert "corrupt" in diagnosis.problems[0]


def test_a_bomb_is_not_read_even_to_find_more(tmp_path, data_dir, monkeypatch):
    monkeypatch.setattr("vitrail.data.archives.FREE_EXPANSION_BYTES", 1000)
    diagnosis = examine(write_zip(tmp_path / "x.zip", {"cat/1.png": bytes(10**7), "dog/1.png": bytes(10**7)}), data_dir)
    assert "expands to" in diagnosis.problems[0]
    assert sum(diagnosis.counts["all"]) == 0


def test_an_empty_folder_and_a_missing_one(tmp_path, data_dir):
    (tmp_path / "x").mkdir()
    assert "no image" in examine(tmp_path / "x", data_dir).problems[0]
    with pytest.raises(InputError, match="no such file"):
        examine(tmp_path / "y", data_dir)


def test_a_sheet_that_cannot_be_written_hides_no_verdict(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert run(["doctor", "digits", "--out", str(tmp_path / "file" / "x")]) == 0
    printed = capsys.readouterr()
    assert "ready to train" in printed.out
    assert "cannot be written" in printed.out + printed.err
